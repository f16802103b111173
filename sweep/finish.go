// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"xsweep/internal/route"
	"xsweep/loader"
	"xsweep/sweep/probe"
	"xsweep/sweep/reply"
	"xsweep/sweep/transmit"
)

// finish takes the filter off the device, lets the last records through, and
// sums up. The error is what ended the sweep early, or what went wrong now.
func (r *run) finish() (Summary, error) {
	r.logPhase(Done)
	r.checkAttached()
	errs := []error{r.failure()}
	if errors.Is(errs[0], ErrLink) && !deviceExists(r.route.Interface.Index) {
		// A device that is removed goes down first, and that is what was heard.
		errs[0] = fmt.Errorf("%w: %s is gone", ErrLink, r.route.Interface.Name)
	}
	if err := r.filter.Detach(); err != nil {
		errs = append(errs, err)
	}
	r.collector.finish(r.filter.Rings())
	if err := r.collector.sink.Close(); err != nil && r.failure() == nil {
		errs = append(errs, err)
	}
	r.config.Monitor.mu.Lock()
	stats, err := r.filter.Stats()
	r.last, r.phase = stats, Done
	r.config.Monitor.mu.Unlock()
	if err != nil {
		errs = append(errs, err)
	}
	s := r.plan.newSummary()
	s.Started, s.Ended, s.Interrupted = r.started.UTC(), time.Now().UTC(), r.interrupted
	r.choiceLock.Lock()
	s.Transmitter = r.choice
	r.choiceLock.Unlock()
	r.countProbes(&s)
	countPackets(&s, &stats)
	countKinds(&s, &stats)
	if err := r.countTargets(&s, &stats); err != nil {
		errs = append(errs, err)
	}
	r.countRecords(&s)
	if err := r.countDevice(&s); err != nil {
		errs = append(errs, err)
	}
	err = errors.Join(errs...)
	if err != nil {
		s.Error = err.Error()
	}
	return s, err
}

func deviceExists(ifindex int) bool {
	_, err := route.ReadCounters(ifindex)
	return err == nil
}

// countProbes sums up the senders' accounts.
func (r *run) countProbes(s *Summary) {
	var counts transmit.Counts
	var skipped uint64
	for _, sender := range r.senders {
		counts.Add(sender.counts())
		skipped += sender.skipped.Load()
		s.Targets.Swept += sender.swept
		for reason, n := range sender.reasons {
			s.Targets.Skipped[reason.String()] += n
		}
	}
	p := &s.Probes
	p.Accepted, p.Retries = counts.Accepted, counts.Retries
	p.Unconfirmed = counts.Unconfirmed
	p.Handed = counts.Accepted + counts.Unconfirmed
	for errno, n := range counts.Refused {
		p.Refused[errnoName(errno)] = n
		p.Handed += n
	}
	if skipped > 0 {
		p.Unsent["skipped"] = skipped
	}
	if left := p.Due - p.Handed - skipped; left > 0 {
		p.Unsent[r.unsentReason()] = left
	}
	s.Targets.Unprobed = r.plan.Len() - s.Targets.Swept - total(s.Targets.Skipped)

	elapsed := r.sendingEnded.Sub(r.started).Seconds()
	s.Rate.Stalls = counts.Stalls
	if elapsed > 0 {
		s.Rate.Mean = float64(p.Accepted+p.Unconfirmed) / elapsed
	}
	s.Rate.PeakSecond = max(r.peak.rate, s.Rate.Mean)
}

// unsentReason is why probes that were due were not even tried: the errno of
// the device that failed, or that the sweep was stopped.
func (r *run) unsentReason() string {
	var errno unix.Errno
	switch err := r.failure(); {
	case errors.Is(err, transmit.ErrDevice) && errors.As(err, &errno):
		return errnoName(errno)
	case errors.Is(err, ErrDetached):
		return "filter_detached"
	case errors.Is(err, ErrLink):
		return errnoName(unix.ENETDOWN)
	}
	return "stopped"
}

// errnoName is an errno as the summary names it.
func errnoName(errno unix.Errno) string {
	if errno == unix.EOPNOTSUPP { // on Linux the same number as ENOTSUP, which the kernel does not speak of
		return "EOPNOTSUPP"
	}
	if name := unix.ErrnoName(errno); name != "" {
		return name
	}
	return "errno " + errno.Error()
}

// countTargets tells apart who answered, whom only errors came for, and who kept
// silent.
func (r *run) countTargets(s *Summary, stats *loader.ReplyStats) error {
	t := &s.Targets
	t.Answered = stats.Verdicts[loader.First]
	var err error
	if stats.Errored > 0 {
		t.Both, err = r.filter.Both()
	}
	t.ErrorsOnly = stats.Errored - t.Both
	if r.config.Many {
		// One target can have answered many times, and errors came for some.
		t.Answered, t.Both = uint64(len(r.collector.answered)), 0
		t.ErrorsOnly = min(stats.Errored, t.Swept-t.Answered)
	}
	t.Silent = t.Swept - t.Answered - t.ErrorsOnly
	return err
}

func countPackets(s *Summary, stats *loader.ReplyStats) {
	s.Packets.Judged = stats.Judged
	for v, n := range stats.Verdicts {
		s.Packets.Verdicts[loader.Verdict(v).String()] = n
	}
	s.RTT = reply.SummariseRTT(stats)
	for ttl, n := range stats.TTL {
		if n > 0 {
			s.TTL[strconv.Itoa(ttl)] = n
		}
	}
	for ttl, n := range stats.TTL {
		if n > 0 {
			s.InitialTTL[strconv.Itoa(int(reply.InitialTTL(uint8(ttl))))] += float64(n)
		}
	}
	answers := float64(total(s.TTL))
	for initial := range s.InitialTTL {
		s.InitialTTL[initial] /= answers
	}
}

// countKinds names what the filter counted of the kinds and codes of all that
// carried our cookie.
func countKinds(s *Summary, stats *loader.ReplyStats) {
	for icmpType, counts := range stats.Codes() {
		kind, ok := reply.KindOf(icmpType)
		if !ok {
			continue // cannot be: no other type carries our cookie
		}
		named := map[string]uint64{}
		for code, n := range counts {
			named[strconv.Itoa(int(code))] = n
		}
		s.Kinds[kind.String()] = named
	}
}

func (r *run) countRecords(s *Summary) {
	s.Records.Offered = s.offered()
	for what, n := range r.collector.extensions {
		s.Packets.Extensions[what] = n
	}
	s.Records.Emitted = r.collector.emitted
	s.Records.Lost = r.collector.lost.Load()
	s.Records.Sinks = append(s.Records.Sinks, r.collector.sink.Counts())
}

// countDevice compares the device's counters. A device that is gone has none.
func (r *run) countDevice(s *Summary) error {
	device := r.route.Interface
	after, err := route.ReadCounters(device.Index)
	if err != nil {
		if r.failure() != nil {
			return nil
		}
		return fmt.Errorf("%s: %w", device.Name, err)
	}
	d := DeviceCounts{
		Tx:        after.TxPackets - r.before.TxPackets,
		Rx:        after.RxPackets - r.before.RxPackets,
		TxDropped: after.TxDropped - r.before.TxDropped,
	}
	d.Unexplained = int64(d.Tx - s.Probes.Accepted - s.Probes.Unconfirmed)
	s.Devices[device.Name] = d
	return nil
}

func kindNames(kinds []probe.Kind) []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.String())
	}
	return names
}

// describe is the configuration as the summary shows it.
func (c Config) describe() map[string]any {
	d := map[string]any{
		"shard":           c.Shard.String(),
		"probes":          c.Probes,
		"probe_interval":  c.ProbeInterval.String(),
		"rate":            askedRate(c.Rate),
		"batch":           c.pace().EffectiveBatch(),
		"tx":              c.Tx,
		"tx_threads":      c.Threads,
		"xdp":             c.XDP.String(),
		"probe":           kindNames(c.Kinds),
		"ttl":             c.HopLimit,
		"size":            c.Size,
		"payload_pattern": hex.EncodeToString(c.Pattern),
		"tos":             c.TOS,
		"df":              c.DontFragment,
		"replies":         c.Replies,
		"many":            c.Many,
		"cooldown":        c.Cooldown.String(),
		"max_runtime":     c.MaxRuntime.String(),
		"max_results":     c.MaxResults,
		"all":             c.RecordAll,
		"interface":       c.Interface,
		"source":          "",
		"gateway_mac":     c.GatewayMAC.String(),
		"exclusions":      c.Exclude.Len(),
	}
	if c.Source.IsValid() {
		d["source"] = c.Source.String()
	}
	return d
}
