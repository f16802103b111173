// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"errors"
	"strings"
	"testing"

	"xsweep/sweep/pace"
)

func TestContest(t *testing.T) {
	type report struct {
		round int
		rate  float64
		err   error
	}
	const leaves, opens = -1, -2
	broken := errors.New("it is broken")
	for _, tc := range []struct {
		name    string
		threads int
		rate    pace.Rate
		reports []report // of leaves: rate is the round; of opens: nothing more
		way     string   // empty: nothing is chosen yet
		second  bool     // xdp is to be tried
		why     string
	}{
		{"nothing yet", 1, pace.Max, nil, "", false, ""},
		{"packet reaches the rate", 1, 300_000, []report{{packetRound, 290_000, nil}}, "packet", false, "reaches"},
		{"packet does not", 1, 300_000, []report{{packetRound, 280_000, nil}}, "", true, ""},
		{"nothing reaches max", 1, pace.Max, []report{{packetRound, 9e9, nil}}, "", true, ""},
		{"two threads reach it together", 2, 300_000, []report{{packetRound, 150_000, nil}, {packetRound, 150_000, nil}}, "packet", false, "300 kp/s"},
		{"one of two is not through", 2, 300_000, []report{{packetRound, 300_000, nil}}, "", false, ""},
		{"xdp is faster", 1, pace.Max, []report{{packetRound, 5e5, nil}, {xdpRound, 3e6, nil}}, "xdp", true, "faster: xdp 3 Mp/s, packet 500 kp/s"},
		{"xdp is slower", 1, pace.Max, []report{{packetRound, 5e5, nil}, {xdpRound, 4e5, nil}}, "packet", true, "not slower"},
		{"xdp fails", 1, pace.Max, []report{{packetRound, 5e5, nil}, {xdpRound, 0, broken}}, "packet", true, "xdp failed: it is broken"},
		{"xdp fails in one of two threads", 2, pace.Max,
			[]report{{packetRound, 5e5, nil}, {packetRound, 5e5, nil}, {xdpRound, 3e6, nil}, {xdpRound, 0, broken}}, "packet", true, "broken"},
		{"one of two ends early", 2, 300_000, []report{{packetRound, 300_000, nil}, {leaves, packetRound, nil}}, "packet", false, "reaches"},
		{"one of two ends in the second round", 2, pace.Max,
			[]report{{packetRound, 5e5, nil}, {packetRound, 5e5, nil}, {leaves, xdpRound, nil}, {xdpRound, 3e6, nil}}, "xdp", true, "faster"},
		{"all end early", 2, pace.Max, []report{{leaves, packetRound, nil}, {leaves, packetRound, nil}}, "packet", false, "ended"},
		{"all end in the second round", 1, pace.Max, []report{{packetRound, 1, nil}, {opens, 0, nil}, {leaves, xdpRound, nil}}, "xdp", true, "ended"},
		{"all end before xdp is opened", 1, pace.Max, []report{{packetRound, 1, nil}, {leaves, packetRound, nil}}, "packet", true, "ended"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var told []Choice
			c := NewContest(tc.threads, tc.rate, func(c Choice) { told = append(told, c) })
			for _, r := range tc.reports {
				switch r.round {
				case leaves:
					c.leave(int(r.rate))
				case opens:
					c.opened()
				default:
					c.report(r.round, r.rate, r.err)
				}
			}
			choice, second := c.outcome()
			if second != tc.second {
				t.Errorf("xdp is to be tried: %v, want %v", second, tc.second)
			}
			switch {
			case tc.way == "" && (choice != nil || told != nil):
				t.Errorf("chosen already: %+v, told %+v", choice, told)
			case tc.way == "":
			case choice == nil || len(told) != 1 || told[0] != *choice:
				t.Fatalf("chosen %+v, told %+v", choice, told)
			case choice.Way != tc.way || !strings.Contains(choice.Why, tc.why):
				t.Errorf("chosen %+v, want %s for %q", *choice, tc.way, tc.why)
			}
		})
	}
}
