// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"math"
	"strings"
	"testing"
)

func measuredResult(ndr uint64, loss uint64, p50 uint64) *Result {
	return &Result{
		NDR: []Throughput{{Lower: ndr, Upper: ndr + 1, Size: 56}},
		Trials: []Trial{
			{Valid: true, RateOffered: 1000, Size: 56, Sent: 1000, Answered: 1000 - loss, Lost: loss, RTT: Latency{Count: 1, P50: p50, P99: 2 * p50}},
			{Valid: false, RateOffered: 2000, Size: 56, Sent: 1000, Lost: 1000},
			{Valid: true, RateOffered: 3000, Size: 56, Sent: 1000, Lost: 1000, Purpose: "search"},
		},
	}
}

// What got worse by more than the tolerance is a regression, and nothing else is.
func TestCompare(t *testing.T) {
	base := measuredResult(100_000, 0, 20_000)
	for name, c := range map[string]struct {
		b    *Result
		want []string
	}{
		"same":            {base, nil},
		"within":          {measuredResult(96_000, 40, 20_900), nil},
		"better":          {measuredResult(200_000, 0, 2_000), nil},
		"less throughput": {measuredResult(94_000, 0, 20_000), []string{"NDR, 56 bytes"}},
		"more loss":       {measuredResult(100_000, 60, 20_000), []string{"loss at 1000 p/s, 56 bytes"}},
		"slower":          {measuredResult(100_000, 0, 22_000), []string{"p50 at 1000 p/s, 56 bytes", "p99 at 1000 p/s, 56 bytes"}},
	} {
		var got []string
		list := Compare([]*Result{base}, []*Result{c.b}, 0.05)
		for _, m := range list {
			if m.Regression {
				got = append(got, m.What)
			}
		}
		if len(list) != 4 || strings.Join(got, ";") != strings.Join(c.want, ";") {
			t.Errorf("%s: %d measures, regressions %q, want %q", name, len(list), got, c.want)
		}
	}
}

// Where repeats scatter as much as they differ nothing has got worse.
func TestCompareRepeats(t *testing.T) {
	a := []*Result{measuredResult(100_000, 0, 1), measuredResult(80_000, 0, 1), measuredResult(120_000, 0, 1)}
	b := []*Result{measuredResult(90_000, 0, 1), measuredResult(70_000, 0, 1), measuredResult(110_000, 0, 1)}
	c := Compare(a, b, 0.05)[0]
	if c.Regression || math.Abs(c.Change+0.1) > 1e-9 || c.A.N != 3 {
		t.Errorf("%+v", c)
	}
	// 20,000 / sqrt(3) times t of two degrees of freedom.
	if want := 4.303 * 20_000 / math.Sqrt(3); math.Abs(c.A.High-100_000-want) > 1 {
		t.Errorf("interval %+v, want %.0f to either side", c.A, want)
	}
	b = []*Result{measuredResult(50_000, 0, 1), measuredResult(50_100, 0, 1), measuredResult(49_900, 0, 1)}
	a = []*Result{measuredResult(100_000, 0, 1), measuredResult(100_100, 0, 1), measuredResult(99_900, 0, 1)}
	if !Compare(a, b, 0.05)[0].Regression {
		t.Error("half is not worse")
	}
}
