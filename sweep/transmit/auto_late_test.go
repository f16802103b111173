// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
)

// refusedLast is a transmitter with two frames under way at any time, which its
// device refuses just when the trial ends.
type refusedLast struct {
	scripted
	refuses bool
}

func (r *refusedLast) try(on bool) {
	r.refuses = !on
	r.scripted.try(on)
}

func (r *refusedLast) Send(probes []probe.Probe) (int, error) {
	r.held = append(r.held, probes...)
	if r.refuses {
		return len(probes), ErrRefused
	}
	left := len(r.held) - 2
	_, err := r.scripted.Send(r.held[:left])
	r.held = slices.Clone(r.held[left:])
	return len(probes), err
}

func (r *refusedLast) Drain() (int, error) {
	r.drained = true
	return len(r.held), ErrRefused
}

// A refusal in the last moment of the trial that xdp wins is no loss either:
// packet goes on, whether more probes come or the end.
func TestAutoRefusedAtTheEndOfTheTrial(t *testing.T) {
	for _, more := range []int{0, 1000} {
		th := newThread(t)
		var sent []uint64
		packet := scripted{waiter: th.waiter, each: 10_000, refuseAt: -1, sent: &sent}
		xdp := &refusedLast{scripted: scripted{waiter: th.waiter, each: 4000, refuseAt: -1, sent: &sent}}
		var told []Choice
		a := newAuto(&packet, th.waiter, NewContest(1, pace.Max, func(c Choice) { told = append(told, c) }), func() (trialled, error) { return xdp, nil })
		n := 0
		for ; !xdp.refuses; n += 16 {
			if taken, err := a.Send(numbered(n, 16)); taken != 16 || err != nil {
				t.Fatalf("%d taken, %v", taken, err)
			}
		}
		if handed, err := send(a, numbered(n, more)); handed != more || err != nil {
			t.Errorf("of %d more %d handed, %v", more, handed, err)
		}
		n += more
		slices.Sort(sent)
		if diff := cmp.Diff(sequence(0, uint64(n)), sent); diff != "" || a.Handed() != uint64(n) {
			t.Errorf("%d handed; sent (-want +got):\n%s", a.Handed(), diff)
		}
		if len(told) != 1 || told[0].Way != "xdp" {
			t.Errorf("chosen %+v", told)
		}
	}
}
