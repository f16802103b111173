// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"errors"
	"sync"
	"time"

	"xsweep/loader"
	"xsweep/sweep/pace"
)

// Phase is what a sweep is doing.
type Phase uint8

// The phases, in their order.
const (
	Preparing Phase = iota
	Sending
	CoolingDown
	Done
)

func (p Phase) String() string {
	return [...]string{"preparing", "sending", "cooldown", "done"}[p]
}

// Progress is a sweep at one moment.
type Progress struct {
	Phase Phase
	// Elapsed is the time since the first probe was due; SendingFor is as much
	// of it as was spent sending, and CooldownLeft what is left to wait.
	Elapsed, SendingFor, CooldownLeft time.Duration
	// Due, Handed and Skipped count probes; what is left is the rest.
	Due, Handed, Skipped uint64
	// Accepted is what the device took, Refused what it did not, and Unconfirmed
	// what the kernel does not tell of.
	Accepted, Refused, Unconfirmed uint64
	// Judged, First, Repeat and Duplicate count packets by verdict. Probes count
	// when their batch has been sent, so replies can be ahead by a batch.
	Judged, First, Repeat, Duplicate uint64
	// Lost counts replies that could not be recorded.
	Lost uint64
}

// Monitor shows a sweep's progress. The zero value belongs to a sweep that has
// not begun. It may be asked from any goroutine.
type Monitor struct {
	mu   sync.Mutex
	run  *run
	last Progress // once the run has ended
	sum  *Summary // likewise
}

// Summary is the account of a sweep that has ended; ok is false before, and where
// nothing was sent.
func (m *Monitor) Summary() (s Summary, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sum == nil {
		return Summary{}, false
	}
	return *m.sum, true
}

// release keeps the last progress and lets go of the run.
func (m *Monitor) release(r *run) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.run == r {
		m.last, m.run = r.progress(), nil
	}
}

// ErrNotSending says that there is no sweep under way that sends.
var ErrNotSending = errors.New("the sweep is not sending")

// SetRate changes the rate of the sweep under way, from the next batch on. The
// summary goes on to name the rate that was asked for at first.
func (m *Monitor) SetRate(rate pace.Rate) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.run == nil || m.run.phase != Sending {
		return ErrNotSending
	}
	m.run.collector.setRate(rate)
	if m.run.saver != nil {
		m.run.saver.setRate(rate)
	}
	var errs []error
	for _, s := range m.run.senders {
		if s.open.Load() {
			errs = append(errs, s.tx.SetRate(rate))
		}
	}
	return errors.Join(errs...)
}

// Progress is how far the sweep has come.
func (m *Monitor) Progress() Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.run == nil {
		return m.last
	}
	return m.run.progress()
}

// progress must be called with the monitor locked, since it reads the
// filter's counters into memory that the filter owns.
func (r *run) progress() Progress {
	p := Progress{Phase: r.phase, Due: r.plan.due()}
	if r.phase == Preparing {
		return p
	}
	now := time.Now()
	p.Elapsed = now.Sub(r.started)
	p.SendingFor = p.Elapsed
	if r.phase > Sending {
		p.SendingFor = r.sendingEnded.Sub(r.started)
	}
	if r.phase == CoolingDown {
		p.CooldownLeft = max(r.config.Cooldown-now.Sub(r.sendingEnded), 0)
	}
	// Replies before probes, so that no reply seems to come before its probe.
	if r.phase != Done {
		if stats, err := r.filter.Stats(); err == nil {
			r.last = stats
		}
	}
	for _, s := range r.senders {
		c := s.counts()
		p.Accepted += c.Accepted
		p.Unconfirmed += c.Unconfirmed
		for _, n := range c.Refused {
			p.Refused += n
		}
		p.Skipped += s.skipped.Load()
	}
	p.Handed = p.Accepted + p.Refused + p.Unconfirmed
	p.Judged = r.last.Judged
	p.First = r.last.Verdicts[loader.First]
	p.Repeat = r.last.Verdicts[loader.Repeat]
	p.Duplicate = r.last.Verdicts[loader.Duplicate]
	p.Lost = r.last.Verdicts[loader.RecordLost]
	return p
}
