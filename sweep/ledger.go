// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"slices"
	"sync"
	"time"

	"xsweep/internal/route"
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
const sampleEvery = 20 * time.Millisecond

// progress is where in a part a sender stands.
type progress struct {
	mu       sync.Mutex
	under    span   // done of the part under way
	taken    uint64 // probes that the transmitter took
	swept    uint64 // targets that got their first probe in this run
	reasons  skipCounts
	skipped  uint64 // probes
	previous spans  // what earlier runs did
	through  []span // the last parts of this sender
}

// skip counts a place without a probe.
func (p *progress) skip(reason route.Reason, pass uint32, place uint64) {
	p.skipped++
	if pass == 0 && !p.previous.contains(place) {
		p.reasons[reason]++
	}
}

// finished notes that a sender is through with a part.
func (l *ledger) finished(p *progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = l.done.add(p.under)
	if p.through = append(p.through, p.under); len(p.through) > 2*keptParts {
		p.through = slices.Delete(p.through, 0, keptParts)
	}
	p.under = span{}
}

// keptParts is how many parts a sender remembers, so that what its transmitter
// had taken of them and not handed over can be taken back: with batches of one
// frame, more than any holds.
const keptParts = 1 << 15

// untaken takes back the last probes that a sender's transmitter took, and did not
// hand over: their places are not done. skipped says of which places no probe was
// to be sent, and why.
func (l *ledger) untaken(p *progress, left, targets uint64, skipped func(place uint64) route.Reason) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	p.taken -= left
	parts := append(p.through, p.under)
	for i := len(parts) - 1; i >= 0 && left > 0; i-- {
		part := parts[i]
		for part.Next > part.First && left > 0 {
			part.Next--
			reason := skipped(part.Next)
			isFirst := part.Next < targets && !p.previous.contains(part.Next)
			switch {
			case reason != route.Send:
				p.skipped--
				if isFirst {
					p.reasons[reason]--
				}
			case isFirst:
				p.swept--
				fallthrough
			default:
				left--
			}
		}
		l.done = l.done.remove(span{part.Next, parts[i].Next})
		parts[i] = part
	}
	p.through, p.under = parts[:len(parts)-1], parts[len(parts)-1]
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
	// (Some before a confirmed one may never be: what they count was taken back.)
	old := 0
	for i, s := range l.samples {
		if s.confirmed != 0 && s.confirmed <= now-l.cooldown {
			l.low, old = max(l.low, s.upTo), i+1
		}
	}
	l.samples = slices.Delete(l.samples, 0, old)
	return l.low
}
