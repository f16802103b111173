// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"xsweep/internal/route"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
	"xsweep/sweep/transmit"
)

// sender is one sending thread. Of n threads, thread t sends the targets
// t, t+n, t+2n, ... of the shard: no thread needs to know of the others.
type sender struct {
	plan    *Plan
	skips   *route.Skips
	thread  int
	tx      transmit.Transmitter
	waiter  *pace.Waiter
	probes  []probe.Probe
	fail    func(error) // ends the sweep
	through parts
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

// send makes a pass over the order for each attempt. All passes go in the same
// order, and each part of a pass waits until the probe interval has passed since
// the pass before was through with that part: that keeps any two probes to one
// target apart, also when a pass is held up in its middle or the next is faster.
func (s *sender) send() error {
	config := &s.plan.config
	s.probes = make([]probe.Probe, 0, pace.Burst)
	threads := uint64(max(config.Threads, 1))
	s.through.plan(s.plan.Len(), threads, uint64(s.tx.Batch()))
	for attempt := 1; attempt <= config.Probes; attempt++ {
		s.through.begin()
		if err := s.pass(uint8(attempt), threads); err != nil {
			return err
		}
	}
	return nil
}

// idleAfter is how many targets must be skipped between two batches for the
// time it takes to excuse a late batch.
const idleAfter = 10_000

// pass sends one probe to each of the thread's targets.
func (s *sender) pass(attempt uint8, threads uint64) error {
	targets := s.plan.Len()
	batch, passed := s.tx.Batch(), 0
	for k := uint64(s.thread); k < targets; k += threads {
		addr, index := s.plan.At(k)
		if reason := s.skips.Reason(addr); reason != route.Send {
			s.skip(reason, attempt)
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
			Index: index, Target: uint32(addr), Attempt: attempt, HopLimit: s.plan.config.HopLimit, Kind: probe.Echo,
		})
		if len(s.probes) >= batch {
			if err := s.flush(attempt, k); err != nil {
				return err
			}
			batch, passed = s.tx.Batch(), 0 // the rate may have been changed
		}
	}
	if targets == 0 {
		return nil
	}
	if err := s.flush(attempt, targets-1); err != nil {
		return err
	}
	s.through.give(targets, true, s.taken)
	if int(attempt) == s.plan.config.Probes {
		return nil
	}
	// The next pass must know when this one was through.
	for s.through.done < len(s.through.ends) {
		s.through.settle(s.tx.Handed(), s.waiter.Now())
		if s.tx.Handed() < s.taken && !s.waiter.Until(s.waiter.Now()+settleEvery) {
			return transmit.ErrStopped
		}
	}
	return nil
}

// settleEvery is how often the end of a pass looks whether all is sent, in ns.
const settleEvery = int64(200 * time.Microsecond)

func (s *sender) skip(reason route.Reason, attempt uint8) {
	s.skipped.Add(1)
	if attempt == 1 {
		s.reasons[reason]++
	}
}

// flush sends the probes that wait, of targets up to the one in place k.
func (s *sender) flush(attempt uint8, k uint64) error {
	if len(s.probes) == 0 {
		return nil
	}
	if attempt > 1 {
		due := s.through.ends[k/s.through.size] + int64(s.plan.config.ProbeInterval)
		if s.waiter.Now() < due {
			if !s.waiter.Until(due) {
				return transmit.ErrStopped
			}
			s.tx.Idle()
		}
	}
	taken, err := s.tx.Send(s.probes)
	s.taken += uint64(taken)
	if attempt == 1 {
		s.firstPass += uint64(taken)
	}
	s.probes = s.probes[:0]
	if s.plan.config.Probes > 1 {
		s.through.give(k+1, false, s.taken)
		s.through.settle(s.tx.Handed(), s.waiter.Now())
	}
	return err
}
