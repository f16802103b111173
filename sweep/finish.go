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
	r.config.Monitor.mu.Lock()
	stats, err := r.filter.Stats()
	r.last, r.phase = stats, Done
	r.config.Monitor.mu.Unlock()
	if err != nil {
		errs = append(errs, err)
	}
	complete, err := r.conclude()
	if failure := r.failure(); err != nil && (failure == nil || failure.Error() != err.Error()) {
		errs = append(errs, err)
	}
	s, err := r.sumUp(&stats)
	if err = errors.Join(append(errs, err)...); err != nil {
		s.Error = err.Error()
	}
	if !complete {
		return s, err
	}
	if r.saver != nil {
		if saveErr := r.saver.save(saving{ended: true, complete: &s}); saveErr != nil {
			return s, errors.Join(err, saveErr)
		}
	}
	return s, errors.Join(err, r.collector.publish())
}

// conclude saves where a sweep with a checkpoint stands, and ends the outputs.
// It says whether they may have their names: whether they are complete, or, where
// nothing can go on with them, as complete as they will ever be.
func (r *run) conclude() (complete bool, err error) {
	if r.saver == nil {
		return true, r.collector.close()
	}
	if r.saver.begun {
		err = r.saver.save(saving{ended: true})
	}
	done := r.failure() == nil && (r.filled.Load() || r.saver.lowWater(r.clock.Now()) >= r.plan.due())
	err = errors.Join(err, r.collector.close())
	return done && err == nil && r.collector.works(), err
}

// sumUp makes the summary of all runs.
func (r *run) sumUp(stats *loader.ReplyStats) (Summary, error) {
	standing := r.ledger.standing()
	own := r.account(time.Now())
	own.count(&standing)
	own.Stats = *stats
	last := r.collector.counts()
	own.Emitted, own.Kept, own.Lost, own.Extensions = last.emitted, last.kept-r.before.Kept, last.lost, last.extensions
	var errs []error
	if after, err := route.ReadCounters(r.route.Interface.Index); err == nil {
		own.countDevice(r.route.Interface.Name, after, r.counters)
	} else if r.failure() == nil {
		errs = append(errs, fmt.Errorf("%s: %w", r.route.Interface.Name, err))
	}
	all := r.before
	all.add(&own)

	s := r.plan.newSummary()
	s.Started, s.Ended, s.Interrupted, s.Runs = all.Started, time.Now().UTC(), r.interrupted, all.Runs
	r.choiceLock.Lock()
	s.Transmitter = r.choice
	r.choiceLock.Unlock()
	r.countProbes(&s, &all)
	countPackets(&s, &all.Stats)
	countKinds(&s, &all.Stats)
	errs = append(errs, r.countTargets(&s, &all))
	s.Records.Offered = s.offered()
	s.Packets.Extensions = sum(all.Extensions, nil)
	s.Records.Emitted, s.Records.Lost = all.Emitted, all.Lost
	for _, o := range r.collector.outlets {
		s.Records.Sinks = append(s.Records.Sinks, o.counts())
	}
	s.Devices = all.Devices
	return s, errors.Join(errs...)
}

func deviceExists(ifindex int) bool {
	_, err := route.ReadCounters(ifindex)
	return err == nil
}

// countProbes accounts for the probes of all runs.
func (r *run) countProbes(s *Summary, all *account) {
	p := &s.Probes
	p.Again, p.UnaccountedAtMost = all.Again, all.Unaccounted
	p.Due += all.Again
	p.Accepted, p.Unconfirmed, p.Retries = all.Accepted, all.Unconfirmed, all.Retries
	p.Refused = sum(all.Refused, nil)
	p.Handed = all.handled() - all.Skipped
	if all.Skipped > 0 {
		p.Unsent["skipped"] = all.Skipped
	}
	if left := p.Due - p.Handed - all.Skipped; left > 0 {
		p.Unsent[r.unsentReason()] = left
	}
	s.Targets.Swept = all.Swept
	s.Targets.Skipped = sum(all.SkippedTargets, nil)
	s.Targets.Unprobed = r.plan.Len() - s.Targets.Swept - total(s.Targets.Skipped)

	s.Rate.Stalls = all.Stalls
	s.Rate.Held = all.Held.Nanoseconds()
	if seconds := all.Sending.Seconds(); seconds > 0 {
		s.Rate.Mean = float64(p.Accepted+p.Unconfirmed) / seconds
	}
	s.Rate.PeakSecond = all.Peak
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
func (r *run) countTargets(s *Summary, all *account) error {
	t, stats := &s.Targets, &all.Stats
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
