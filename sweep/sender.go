// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"xsweep/internal/route"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
	"xsweep/sweep/transmit"
)

// sender is one sending thread: it takes part after part of the order, until
// none is left.
type sender struct {
	plan    *Plan
	parts   *parts // shared by all threads
	skips   *route.Skips
	tx      transmit.Transmitter
	waiter  *pace.Waiter
	probes  []probe.Probe
	fail    func(error)   // ends the sweep
	given   []given       // parts that are not through yet, oldest first
	skipped atomic.Uint64 // probes

	taken     uint64 // probes that the transmitter took
	firstPass uint64 // as many of them in the first pass

	// Read when the thread has ended.
	swept   uint64                  // targets that got a probe
	reasons map[route.Reason]uint64 // skipped targets
	err     error                   // why its transmitter could not be made
	open    atomic.Bool             // tx can be asked for counts
}

// counts is the transmitter's account.
func (s *sender) counts() transmit.Counts {
	if !s.open.Load() {
		return transmit.Counts{}
	}
	return s.tx.Counts()
}

// gate is where the sending threads wait until all of them, and all else, is
// ready. Each opens its transmitter on its own thread before.
type gate struct {
	ready sync.WaitGroup // each thread has its transmitter, or an error
	begin chan struct{}  // closed to let them go
	done  sync.WaitGroup
	abort atomic.Bool // set before begin: end at once
}

// work is the life of a thread.
func (s *sender) work(g *gate, open func(*pace.Waiter) (transmit.Transmitter, error), clock pace.Clock, stop *pace.Stop) {
	defer g.done.Done()
	// Locked and not unlocked: timer slack was changed, so the thread ends
	// with its goroutine.
	runtime.LockOSThread()
	s.waiter = pace.NewWaiter(clock, stop)
	s.tx, s.err = open(s.waiter)
	if s.err == nil {
		s.open.Store(true)
	}
	g.ready.Done()
	<-g.begin
	if s.err != nil || g.abort.Load() {
		return
	}
	err := s.send()
	left, drainErr := s.tx.Drain()
	s.swept = min(s.firstPass, s.taken-uint64(left))
	if err == nil {
		err = drainErr
	}
	if err != nil && !errors.Is(err, transmit.ErrStopped) {
		s.fail(err)
	}
}

// given is a part that was given to the transmitter, which had taken so many
// probes by then.
type given struct {
	part  part
	taken uint64
}

// send sends parts until none is left, or the sweep is stopped.
func (s *sender) send() error {
	s.probes = make([]probe.Probe, 0, pace.Burst)
	last := uint32(s.plan.config.passes() - 1)
	for {
		p, ok := s.parts.deal()
		if !ok {
			break
		}
		if err := s.await(p); err != nil {
			return err
		}
		if err := s.pass(p); err != nil {
			return err
		}
		if p.pass < last {
			s.given = append(s.given, given{p, s.taken})
			s.settle()
		}
	}
	// Others may wait for what this thread has sent.
	for s.settle(); len(s.given) > 0; s.settle() {
		if !s.waiter.Until(s.waiter.Now() + settleEvery) {
			return transmit.ErrStopped
		}
	}
	return nil
}

// settleEvery is how often a thread that waits looks whether what it has given
// is sent, in ns.
const settleEvery = int64(200 * time.Microsecond)

// settle notes which of the given parts are through.
func (s *sender) settle() {
	if len(s.given) == 0 {
		return
	}
	handed, done := s.tx.Handed(), 0
	for done < len(s.given) && s.given[done].taken <= handed {
		s.parts.through(s.given[done].part, s.waiter.Now())
		done++
	}
	s.given = slices.Delete(s.given, 0, done)
}

// await waits until a part may be begun. Others may wait for what this thread
// has given meanwhile.
func (s *sender) await(p part) error {
	for waited := false; ; waited = true {
		s.settle()
		until, known := s.parts.due(p)
		now := s.waiter.Now()
		if known && now >= until {
			if waited {
				s.tx.Idle()
			}
			return nil
		}
		if !known || len(s.given) > 0 {
			until = now + settleEvery
		}
		if !s.waiter.Until(until) {
			return transmit.ErrStopped
		}
	}
}

// idleAfter is how many targets must be skipped between two batches for the
// time it takes to excuse a late batch.
const idleAfter = 10_000

// pass sends one probe to each target of a part.
func (s *sender) pass(p part) error {
	batch, passed := s.tx.Batch(), 0
	for k := p.first; k < p.next; k++ {
		addr, index := s.plan.At(k)
		if reason := s.skips.Reason(addr); reason != route.Send {
			s.skip(reason, p.pass)
			if passed++; passed == idleAfter {
				s.tx.Idle()
			}
			// A long run of skipped targets must not delay a stop.
			if s.waiter.Stopped() {
				return transmit.ErrStopped
			}
			continue
		}
		s.probes = append(s.probes, probe.Probe{
			Index: index, Target: uint32(addr), Attempt: p.attempt, HopLimit: s.plan.config.HopLimit, Kind: p.kind,
		})
		if len(s.probes) >= batch {
			if err := s.flush(p.pass); err != nil {
				return err
			}
			batch, passed = s.tx.Batch(), 0 // the rate may have been changed
		}
	}
	return s.flush(p.pass)
}

func (s *sender) skip(reason route.Reason, pass uint32) {
	s.skipped.Add(1)
	if pass == 0 {
		s.reasons[reason]++
	}
}

// flush sends the probes that wait.
func (s *sender) flush(pass uint32) error {
	if len(s.probes) == 0 {
		return nil
	}
	taken, err := s.tx.Send(s.probes)
	s.taken += uint64(taken)
	if pass == 0 {
		s.firstPass += uint64(taken)
	}
	s.probes = s.probes[:0]
	return err
}
