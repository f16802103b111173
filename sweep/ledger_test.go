// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"slices"
	"testing"
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

// What was taken and taken back again is never confirmed. That keeps nobody from
// going on behind what was handed over.
func TestLowWaterAfterTakenBack(t *testing.T) {
	l, handed := twoSenders(100)
	p := &l.senders[0].progress
	p.under, p.taken = span{0, 60}, 60
	l.at(0, handed)
	p.under, p.taken, handed[0] = span{0, 40}, 40, 40
	if low := l.at(50, handed); low != 0 {
		t.Errorf("before the cooldown: %d", low)
	}
	if low := l.lowWater(150); low != 40 {
		t.Errorf("after the cooldown: %d, want 40", low)
	}
}
