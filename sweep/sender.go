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
	run     uint16      // number of the sweep's run
	fail    func(error) // ends the sweep
	holds   []hold      // what may keep it from sending
	first   uint64      // place in the sequence of the first probe that waits
	gaps    []gap       // places behind it without a probe
	given   []given     // parts that are not through yet, oldest first
	ledger  *ledger
	skipped atomic.Uint64 // probes

	taken    uint64 // probes that the transmitter took
	unlooked uint64 // probes since it looked at the rings

	progress progress

	err  error       // why its transmitter could not be made; read when the thread has ended
	open atomic.Bool // tx can be asked for counts
}

// skipCounts counts targets by why they are skipped.
type skipCounts [route.NumReasons]uint64

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
	s.ledger.untaken(&s.progress, uint64(left), s.plan.Len(), s.reason)
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
	base := uint64(p.pass) * s.plan.Len()
	s.begin(base + p.first)
	for k := p.first; k < p.next; k++ {
		addr, index := s.plan.At(k)
		if reason := s.skips.Reason(addr); reason != route.Send {
			s.skip(reason, p.pass, base+k)
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
			Run: s.run, Index: index, Target: uint32(addr), Attempt: p.attempt, HopLimit: s.plan.config.HopLimit, Kind: p.kind,
		})
		if len(s.probes) == 1 {
			s.first = base + k
		}
		if len(s.probes) >= batch {
			if err := s.flush(p.pass, base+k+1); err != nil {
				return err
			}
			batch, passed = s.tx.Batch(), 0 // the rate may have been changed
		}
	}
	if err := s.flush(p.pass, base+p.next); err != nil {
		return err
	}
	s.ledger.finished(&s.progress)
	return nil
}

// begin notes where a part begins.
func (s *sender) begin(place uint64) {
	p := &s.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	p.under = span{place, place}
}

// skip passes over a target. Behind probes that wait it counts when they are sent.
func (s *sender) skip(reason route.Reason, pass uint32, place uint64) {
	s.skipped.Add(1)
	if len(s.probes) > 0 {
		s.gaps = append(s.gaps, gap{place, reason})
		return
	}
	p := &s.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	p.skip(reason, pass, place)
	p.under.Next = place + 1
}

// gap is a place without a probe.
type gap struct {
	place  uint64
	reason route.Reason
}

// flush sends the probes that wait. All places before next that are not theirs
// are skipped.
func (s *sender) flush(pass uint32, next uint64) error {
	taken, err := 0, error(nil)
	if len(s.probes) > 0 {
		for _, h := range s.holds {
			if err := h.wait(s, uint64(len(s.probes))); err != nil {
				s.probes, s.gaps = s.probes[:0], s.gaps[:0]
				return err
			}
		}
		taken, err = s.tx.Send(s.probes)
	}
	s.taken += uint64(taken)
	p := &s.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken = s.taken
	if p.under.Next = next; taken < len(s.probes) {
		p.under.Next = s.walk(taken, func(uint64) {})
	}
	for _, g := range s.gaps {
		if g.place < p.under.Next {
			p.skip(g.reason, pass, g.place)
		}
	}
	if pass == 0 && taken > 0 {
		p.swept += uint64(taken)
		if s.first < p.previous.end() {
			s.walk(taken, func(place uint64) {
				if p.previous.contains(place) {
					p.swept--
				}
			})
		}
	}
	s.probes, s.gaps = s.probes[:0], s.gaps[:0]
	return err
}

// walk visits the places of the first n probes that wait, and returns that of the
// one behind them: they stand in a row, but for the gaps.
func (s *sender) walk(n int, visit func(place uint64)) uint64 {
	place, gaps := s.first, s.gaps
	for i := 0; ; i++ {
		for len(gaps) > 0 && gaps[0].place == place {
			place, gaps = place+1, gaps[1:]
		}
		if i == n {
			return place
		}
		visit(place)
		place++
	}
}

// reason is why the target of a place is skipped.
func (s *sender) reason(place uint64) route.Reason {
	addr, _ := s.plan.At(place % s.plan.Len())
	return s.skips.Reason(addr)
}
