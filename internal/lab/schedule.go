// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"container/heap"
	"time"

	"xsweep/sweep/target"
)

// swapWait is how long an answer that is to be swapped with the next waits for
// that, beyond its own delay.
const swapWait = 100 * time.Millisecond

// held is an answer on its way through the delay responder. Times are since the
// lab began.
type held struct {
	number  uint64 // in the order of arrival, from 0
	order   uint64 // among those that are due at the same time
	arrived time.Duration
	due     time.Duration
	twice   bool
	frame   []byte
}

// heldHeap is a heap of answers, the next that is due first. A timing wheel would
// be quicker with millions, but has ticks; this has exact times.
type heldHeap []*held

func (h heldHeap) Len() int { return len(h) }
func (h heldHeap) Less(i, j int) bool {
	if h[i].due != h[j].due {
		return h[i].due < h[j].due
	}
	return h[i].order < h[j].order
}
func (h heldHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *heldHeap) Push(x any)   { *h = append(*h, x.(*held)) }
func (h *heldHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return x
}

// schedule says when each answer leaves. It knows no clock but the times that it
// is given.
type schedule struct {
	delay   *Distribution
	queue   Queue
	swap    uint64 // threshold
	draws   draws
	idle    uint64 // when the server has done all, in 1/1024 ns
	numbers uint64
	orders  uint64
	waiting heldHeap
	swapped *held  // the one that waits for the next
	latest  uint64 // number of the latest sent, plus one
	counts  DelayCounts
}

// DelayCounts is what has become of answers. Those taken are
//
//	Taken    = QueueFull + NoRoom + Departed + Pending
//	Departed + Twice = Sent + Refused
type DelayCounts struct {
	Taken     uint64 `json:"taken"`      // answers that came to be delayed
	NoRoom    uint64 `json:"no_room"`    // dropped for want of memory
	QueueFull uint64 `json:"queue_full"` // dropped since the queue was full
	Pending   uint64 `json:"pending"`    // not yet due
	Departed  uint64 `json:"departed"`   // answers whose time came
	Twice     uint64 `json:"twice"`      // of these, sent twice
	Sent      uint64 `json:"sent"`       // frames
	Refused   uint64 `json:"refused"`    // frames that the device did not take
	Swapped   uint64 `json:"swapped"`    // answers that left right behind the next
	Reordered uint64 `json:"reordered"`  // answers that left behind a later one (RFC 4737)
}

func newSchedule(c Config) *schedule {
	return &schedule{
		delay: c.Delay, queue: c.Queue, swap: threshold(c.Reorder), draws: newDraws(c.Seed),
	}
}

// draw is random, by the number of an answer.
func (s *schedule) draw(n drawNumber, number uint64) uint64 {
	return mix(s.draws.draw(target.Addr(0), n) ^ number)
}

// accept takes an answer that arrived, and says when it is due, or that there is
// no place for it in the queue. Its number must be the next.
func (s *schedule) accept(a *held) bool {
	s.counts.Taken++
	a.number = s.numbers
	s.numbers++
	served, ok := s.serve(a.arrived)
	if !ok {
		s.counts.QueueFull++
		return false
	}
	a.due = served + s.delay.Quantile(unit(s.draw(drawDelay, a.number)))
	s.orders += 2
	a.order = s.orders
	if s.swapped == nil && s.draw(drawSwap, a.number)>>32 < s.swap {
		s.swapped = a
		return true
	}
	s.put(a)
	if first := s.swapped; first != nil {
		s.swapped = nil
		s.counts.Swapped++
		first.due, first.order = max(first.due, a.due), a.order+1
		s.put(first)
	}
	return true
}

// serve says when the server has done an answer that arrives now.
func (s *schedule) serve(arrived time.Duration) (time.Duration, bool) {
	interval := Bucket{Rate: s.queue.Rate}.interval()
	if interval == 0 {
		return arrived, true
	}
	now := uint64(arrived) << limitShift
	if s.idle > now && (s.idle-now+interval-1)/interval >= s.queue.Length {
		return 0, false
	}
	s.idle = max(s.idle, now) + interval
	return time.Duration(s.idle >> limitShift), true
}

func (s *schedule) put(a *held) { heap.Push(&s.waiting, a) }

// next is when something is due; false if there is nothing.
func (s *schedule) next() (time.Duration, bool) {
	var at time.Duration
	if s.swapped != nil {
		at = s.swapped.due + swapWait
	}
	if len(s.waiting) > 0 && (s.swapped == nil || s.waiting[0].due < at) {
		at = s.waiting[0].due
	}
	return at, s.swapped != nil || len(s.waiting) > 0
}

// release returns the next answer that is due by now, or nil.
func (s *schedule) release(now time.Duration) *held {
	if s.swapped != nil && s.swapped.due+swapWait <= now { // no other came
		s.put(s.swapped)
		s.swapped = nil
	}
	if len(s.waiting) == 0 || s.waiting[0].due > now {
		return nil
	}
	a := heap.Pop(&s.waiting).(*held)
	s.counts.Departed++
	if a.twice {
		s.counts.Twice++
	}
	if a.number < s.latest {
		s.counts.Reordered++
	}
	s.latest = max(s.latest, a.number+1)
	return a
}

// pending is the number of answers that are not due yet.
func (s *schedule) pending() uint64 {
	n := uint64(len(s.waiting))
	if s.swapped != nil {
		n++
	}
	return n
}
