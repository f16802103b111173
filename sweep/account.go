// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"time"

	"xsweep/internal/route"
	"xsweep/loader"
	"xsweep/sweep/transmit"
)

// account is what has been counted of a sweep: by one run, or by several
// together. A checkpoint holds it as JSON.
type account struct {
	Started time.Time `json:"started"`
	// Sending is how long probes were sent.
	Sending time.Duration `json:"sending"`
	Peak    float64       `json:"peak"` // packets in the best second
	Runs    int           `json:"runs"`

	Accepted    uint64            `json:"accepted"`
	Unconfirmed uint64            `json:"unconfirmed"`
	Refused     map[string]uint64 `json:"refused"`
	Retries     uint64            `json:"retries"`
	Stalls      uint64            `json:"stalls"`
	Held        time.Duration     `json:"held"`    // that sinks slowed sending
	Skipped     uint64            `json:"skipped"` // probes
	// Again are probes beyond those that the configuration asks for, since runs
	// go on before the place where the one before had come to. Unaccounted is how
	// many killed runs sent at most after they were last saved.
	Again       uint64 `json:"again"`
	Unaccounted uint64 `json:"unaccounted"`

	// Targets, each counted once.
	Swept          uint64            `json:"swept"`
	SkippedTargets map[string]uint64 `json:"skipped_targets"`

	Stats      loader.ReplyStats       `json:"stats"`
	Extensions map[string]uint64       `json:"extensions"`
	Emitted    uint64                  `json:"emitted"`
	Kept       uint64                  `json:"kept"` // of these, what --where let through
	Lost       uint64                  `json:"lost"`
	Devices    map[string]DeviceCounts `json:"devices"`
}

// handled is how many places of the sequence an account has been through.
func (a *account) handled() uint64 {
	return a.Accepted + a.Unconfirmed + total(a.Refused) + a.Skipped
}

// add adds a later run's account.
func (a *account) add(b *account) {
	if a.Runs == 0 {
		a.Started = b.Started
	}
	a.Sending += b.Sending
	a.Peak = max(a.Peak, b.Peak)
	a.Runs += b.Runs
	a.Accepted += b.Accepted
	a.Unconfirmed += b.Unconfirmed
	a.Refused = sum(a.Refused, b.Refused)
	a.Retries += b.Retries
	a.Stalls += b.Stalls
	a.Held += b.Held
	a.Skipped += b.Skipped
	a.Again += b.Again
	a.Unaccounted += b.Unaccounted
	a.Swept += b.Swept
	a.SkippedTargets = sum(a.SkippedTargets, b.SkippedTargets)
	a.Stats.Add(&b.Stats)
	a.Extensions = sum(a.Extensions, b.Extensions)
	a.Emitted += b.Emitted
	a.Kept += b.Kept
	a.Lost += b.Lost
	devices := map[string]DeviceCounts{}
	for _, counts := range []map[string]DeviceCounts{a.Devices, b.Devices} {
		for name, d := range counts {
			devices[name] = devices[name].plus(d)
		}
	}
	a.Devices = devices
}

func (d DeviceCounts) plus(o DeviceCounts) DeviceCounts {
	return DeviceCounts{d.Tx + o.Tx, d.Rx + o.Rx, d.TxDropped + o.TxDropped, d.Unexplained + o.Unexplained}
}

// sum adds counts by name, into a map of its own.
func sum(a, b map[string]uint64) map[string]uint64 {
	s := map[string]uint64{}
	for _, counts := range []map[string]uint64{a, b} {
		for name, n := range counts {
			s[name] += n
		}
	}
	return s
}

// account is what this run has counted so far, but for packets and records.
func (r *run) account(now time.Time) account {
	a := account{
		Runs: 1, Refused: map[string]uint64{}, SkippedTargets: map[string]uint64{},
		Held: time.Duration(r.pressure.held.Load()),
	}
	var counts transmit.Counts
	for _, s := range r.senders {
		counts.Add(s.counts())
	}
	a.Accepted, a.Unconfirmed = counts.Accepted, counts.Unconfirmed
	a.Retries, a.Stalls = counts.Retries, counts.Stalls
	for errno, n := range counts.Refused {
		a.Refused[errnoName(errno)] = n
	}
	ended := now
	m := r.config.Monitor
	m.mu.Lock()
	defer m.mu.Unlock()
	a.Started = r.started.UTC()
	if !r.sendingEnded.IsZero() {
		ended = r.sendingEnded
	}
	a.Sending = ended.Sub(r.started)
	a.Peak = r.peak.rate
	if seconds := a.Sending.Seconds(); seconds > 0 {
		a.Peak = max(a.Peak, float64(a.Accepted+a.Unconfirmed)/seconds)
	}
	return a
}

// count adds what the ledger tells.
func (a *account) count(s *standing) {
	a.Skipped, a.Swept = s.skipped, s.swept
	for reason, n := range s.reasons {
		if n > 0 {
			a.SkippedTargets[route.Reason(reason).String()] = n
		}
	}
}

// countDevice adds what the device has counted since the run began.
func (a *account) countDevice(name string, now, before route.Counters) {
	d := DeviceCounts{
		Tx:        now.TxPackets - before.TxPackets,
		Rx:        now.RxPackets - before.RxPackets,
		TxDropped: now.TxDropped - before.TxDropped,
	}
	d.Unexplained = int64(d.Tx - a.Accepted - a.Unconfirmed)
	a.Devices = map[string]DeviceCounts{name: d}
}
