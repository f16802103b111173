// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"sync"
	"time"
)

// ledger knows which places of the sequence of probes are done with, and since
// when: from which on a sweep must go on so that no reply which may still come is
// missed.
//
// A place is done when its probe was taken by a transmitter, or its target
// skipped. The low-water place is the first one whose cooldown had not passed: all
// before it were handed to the device for so long.
type ledger struct {
	senders  []*sender
	cooldown int64 // ns

	mu   sync.Mutex // locked behind those of the senders' progress
	done spans      // whole parts, and what was done before this run

	// Of the one goroutine that samples.
	samples []sample // not confirmed or not old enough, oldest first
	low     uint64
}

// sample is how far the sweep had come at a time.
type sample struct {
	upTo      uint64   // all places before it were done
	taken     []uint64 // probes by then, by sender
	confirmed int64    // when all of these were handed over; 0: not yet
}

// sampleEvery is how fine the low-water place is known.
const sampleEvery = 50 * time.Millisecond

// progress is where in a part a sender stands.
type progress struct {
	mu       sync.Mutex
	under    span   // done of the part under way
	taken    uint64 // probes that the transmitter took
	swept    uint64 // targets that got their first probe in this run
	reasons  skipCounts
	skipped  uint64 // probes
	previous spans  // what earlier runs did
}

// finished notes that a sender is through with a part.
func (l *ledger) finished(p *progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = l.done.add(p.under)
	p.under = span{}
}

// standing is the ledger at one moment: what is done, and what the senders have
// counted of it.
type standing struct {
	done    spans
	taken   []uint64
	swept   uint64
	skipped uint64 // probes
	reasons skipCounts
}

func (l *ledger) standing() standing {
	for _, s := range l.senders {
		s.progress.mu.Lock()
		defer s.progress.mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := standing{done: append(spans(nil), l.done...)}
	for _, s := range l.senders {
		p := &s.progress
		now.done = now.done.add(p.under)
		now.taken = append(now.taken, p.taken)
		now.swept += p.swept
		now.skipped += p.skipped
		for reason, n := range p.reasons {
			now.reasons[reason] += n
		}
	}
	return now
}

// sample takes note of where the sweep stands. handed is what each sender has
// handed over.
func (l *ledger) sample(now int64, handed func(sender int) uint64) {
	s := l.standing()
	l.samples = append(l.samples, sample{upTo: s.done.upTo(), taken: s.taken})
	for i := range l.samples {
		if l.samples[i].confirmed == 0 && confirmed(l.samples[i].taken, handed) {
			l.samples[i].confirmed = now
		}
	}
}

func confirmed(taken []uint64, handed func(int) uint64) bool {
	for i, n := range taken {
		if handed(i) < n {
			return false
		}
	}
	return true
}

// lowWater is the low-water place at a time that is not before the last one
// asked for.
func (l *ledger) lowWater(now int64) uint64 {
	old := 0
	for i, s := range l.samples {
		if s.confirmed != 0 && s.confirmed <= now-l.cooldown {
			l.low = max(l.low, s.upTo)
			old = i + 1 // those before it are never confirmed, if what they count was taken back
		}
	}
	l.samples = append(l.samples[:0], l.samples[old:]...)
	return l.low
}
