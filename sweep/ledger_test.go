// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"slices"
	"testing"

	"xsweep/internal/route"
)

// twoSenders is a ledger of two threads, and what they have handed over.
func twoSenders(cooldown int64) (l *ledger, handed []uint64) {
	return &ledger{senders: []*sender{{}, {}}, cooldown: cooldown}, make([]uint64, 2)
}

func (l *ledger) at(now int64, handed []uint64) uint64 {
	l.sample(now, func(i int) uint64 { return handed[i] })
	return l.lowWater(now)
}

// A place is behind the low-water place when all before it were handed over for
// the cooldown: not when they were only taken, and not while another thread is
// behind.
func TestLowWater(t *testing.T) {
	l, handed := twoSenders(100)
	a, b := &l.senders[0].progress, &l.senders[1].progress
	a.under, a.taken = span{0, 40}, 40
	b.under, b.taken = span{50, 60}, 10
	if got := l.at(1000, handed); got != 0 {
		t.Errorf("taken, not handed: %d", got)
	}
	handed[0], handed[1] = 40, 9
	if got := l.at(2000, handed); got != 0 {
		t.Errorf("one of another thread is not handed: %d", got)
	}
	handed[1] = 10
	for _, step := range []struct {
		now  int64
		want uint64
	}{{2100, 0}, {2199, 0}, {2200, 40}} {
		if got := l.at(step.now, handed); got != step.want {
			t.Errorf("at %d: %d, not %d", step.now, got, step.want)
		}
	}
	// The first thread ends its part: what the second has done of the next one
	// counts at once, and the rest when it is done.
	a.under, a.taken = span{0, 50}, 50
	l.finished(a)
	handed[0] = 50
	l.at(3000, handed)
	if got := l.at(3100, handed); got != 60 {
		t.Errorf("with a whole part: %d, not 60", got)
	}
	if len(l.samples) > 2 {
		t.Errorf("%d samples are kept", len(l.samples))
	}
}

// What is counted belongs to what is done: a snapshot has both of one moment.
func TestStanding(t *testing.T) {
	l, _ := twoSenders(0)
	a, b := &l.senders[0].progress, &l.senders[1].progress
	a.under, a.taken, a.swept, a.skipped = span{0, 5}, 4, 4, 1
	a.reasons[2] = 1
	b.under, b.taken, b.swept = span{8, 10}, 2, 2
	l.finished(b)
	b.under = span{20, 21}
	s := l.standing()
	if !slices.Equal(s.done, spans{{0, 5}, {8, 10}, {20, 21}}) || s.swept != 6 || s.skipped != 1 || s.reasons[2] != 1 || !slices.Equal(s.taken, []uint64{4, 2}) {
		t.Errorf("got %+v", s)
	}
}

// What a transmitter took and did not hand over is not done, also of parts before
// the last one, and counts as if it had never been given: probes, targets, and
// those that were skipped on the way.
func TestUntaken(t *testing.T) {
	const targets = 100
	isSkipped := func(place uint64) route.Reason {
		if place%10 == 9 {
			return route.Own
		}
		return route.Send
	}
	for _, tc := range []struct {
		left    uint64
		done    spans
		swept   uint64
		skipped uint64
	}{
		{0, spans{{0, 20}, {50, 60}, {80, 85}}, 18 + 9 + 5, 3},
		{3, spans{{0, 20}, {50, 60}, {80, 82}}, 18 + 9 + 2, 3},
		{5, spans{{0, 20}, {50, 60}}, 18 + 9, 3},
		{6, spans{{0, 20}, {50, 58}}, 18 + 8, 2}, // with 59, which was skipped behind it
		{15, spans{{0, 18}}, 17, 1},
		{32, nil, 0, 0},
	} {
		l := &ledger{senders: []*sender{{}}}
		p := &l.senders[0].progress
		for _, part := range []span{{0, 20}, {50, 60}, {80, 85}} {
			p.under = part
			for place := part.First; place < part.Next; place++ {
				if isSkipped(place) != route.Send {
					p.skipped++
					p.reasons[route.Own]++
				} else {
					p.swept++
					p.taken++
				}
			}
			if part.First < 80 {
				l.finished(p)
			}
		}
		l.untaken(p, tc.left, targets, isSkipped)
		s := l.standing()
		if !slices.Equal(s.done, tc.done) || s.swept != tc.swept || s.skipped != tc.skipped || s.reasons[route.Own] != tc.skipped || s.taken[0] != 32-tc.left {
			t.Errorf("%d left: %+v", tc.left, s)
		}
	}
}

// What was taken and never handed over does not keep what was from being old.
func TestLowWaterAfterUntaken(t *testing.T) {
	l := &ledger{senders: []*sender{{}}, cooldown: 100}
	p := &l.senders[0].progress
	handed := []uint64{0}
	p.under, p.taken, p.swept = span{0, 50}, 50, 50
	l.at(1000, handed)
	handed[0] = 30
	l.at(1010, handed)
	l.untaken(p, 20, 100, func(uint64) route.Reason { return route.Send })
	l.at(1020, handed)
	if got := l.at(1120, handed); got != 30 {
		t.Errorf("low water at %d, not 30", got)
	}
}
