// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"maps"
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
		compared := Compare([]*Result{base}, []*Result{c.b}, 0.05)
		got := regressions(compared)
		if len(compared.Measures) != 4 || strings.Join(got, ";") != strings.Join(c.want, ";") || compared.Passed() != (len(got) == 0) {
			t.Errorf("%s: %d measures, regressions %q, want %q", name, len(compared.Measures), got, c.want)
		}
	}
}

// regressions are the measures that speak against B.
func regressions(c Compared) (list []string) {
	for _, m := range c.Measures {
		if m.Outcome.Regression() {
			list = append(list, m.What)
		}
	}
	if len(list) != c.Regressions {
		list = append(list, fmt.Sprintf("%d are counted", c.Regressions))
	}
	return list
}

// outcomes are what came out of each measure.
func outcomes(c Compared) map[string]Outcome {
	got := map[string]Outcome{}
	for _, m := range c.Measures {
		got[m.What] = m.Outcome
	}
	return got
}

// What is missing in B is told, and counts where a search of B found nothing, or
// no trial of B at a load was valid; loads that only one side has do not count.
func TestCompareMissing(t *testing.T) {
	base := measuredResult(100_000, 0, 20_000)
	change := func(f func(*Result)) *Result {
		r := measuredResult(100_000, 0, 20_000)
		f(r)
		return r
	}
	allInvalid := func(r *Result) {
		for i := range r.Trials {
			r.Trials[i].Valid = false
		}
	}
	for name, c := range map[string]struct {
		a, b   []*Result
		want   map[string]Outcome // what is not the same
		passed bool
	}{
		"no NDR": {[]*Result{base}, []*Result{change(func(r *Result) { r.NDR = nil })}, map[string]Outcome{"NDR, 56 bytes": Missing}, false},
		"NDR not found": {[]*Result{base}, []*Result{change(func(r *Result) { r.NDR[0] = Throughput{Size: 56, Limit: "not found"} })},
			map[string]Outcome{"NDR, 56 bytes": Missing}, false},
		"NDR in one run of two": {[]*Result{base, base}, []*Result{base, change(func(r *Result) { r.NDR = nil })}, map[string]Outcome{"NDR, 56 bytes": Missing}, false},
		"loss at every load": {[]*Result{base}, []*Result{change(func(r *Result) { r.NDR[0] = Throughput{Size: 56, Upper: 100, Limit: "min-rate"} })},
			map[string]Outcome{"NDR, 56 bytes": Worse}, false},
		"NDR in B alone": {[]*Result{change(func(r *Result) { r.NDR = nil })}, []*Result{base}, map[string]Outcome{"NDR, 56 bytes": OnlyB}, true},
		"not valid": {[]*Result{base}, []*Result{change(allInvalid)},
			map[string]Outcome{"loss at 1000 p/s, 56 bytes": Invalid, "p50 at 1000 p/s, 56 bytes": Invalid, "p99 at 1000 p/s, 56 bytes": Invalid}, false},
		"another load": {[]*Result{base}, []*Result{change(func(r *Result) { r.Trials[0].RateOffered = 1500; r.Trials[0].RTT.Count = 0 })},
			map[string]Outcome{"loss at 1000 p/s, 56 bytes": OnlyA, "p50 at 1000 p/s, 56 bytes": OnlyA, "p99 at 1000 p/s, 56 bytes": OnlyA, "loss at 1500 p/s, 56 bytes": OnlyB}, true},
		"interrupted":   {[]*Result{base}, []*Result{change(func(r *Result) { r.Interrupted = true })}, nil, false},
		"failed":        {[]*Result{base}, []*Result{change(func(r *Result) { r.Error = "the judge was taken off" })}, nil, false},
		"A interrupted": {[]*Result{change(func(r *Result) { r.Interrupted = true })}, []*Result{base}, nil, true},
		"from nothing":  {[]*Result{measuredResult(0, 0, 20_000)}, []*Result{base}, map[string]Outcome{"NDR, 56 bytes": Better}, true},
	} {
		compared := Compare(c.a, c.b, 0.05)
		got := outcomes(compared)
		maps.DeleteFunc(got, func(_ string, o Outcome) bool { return o == Same })
		if !maps.Equal(got, c.want) || compared.Passed() != c.passed {
			t.Errorf("%s: %q, passed %t; want %q, %t", name, got, compared.Passed(), c.want, c.passed)
		}
		if name == "A interrupted" && len(compared.Notes) != 1 {
			t.Errorf("%s: notes %q", name, compared.Notes)
		}
	}
}

// What limited a search is told with its result, and shares of NDR, limiters and
// recoveries are compared as well.
func TestCompareRemarks(t *testing.T) {
	recovery := uint64(5e6)
	a := &Result{
		NDR: []Throughput{{Lower: 1000, Upper: 1001, Size: 20}}, Limiter: &Limiter{Rate: 1000, Burst: 50},
		Trials: []Trial{{Valid: true, Purpose: "latency at 50 %", Size: 20, Sent: 10}, {Valid: true, RateOffered: 10, Size: 20, Sent: 1, Recovery: &recovery}},
	}
	b := *a
	b.NDR = []Throughput{{Lower: 900, Limit: "generator", Size: 20}}
	c := Compare([]*Result{a}, []*Result{&b}, 0.05)
	got := outcomes(c)
	want := map[string]Outcome{"NDR, 20 bytes": Worse, "limiter": Same, "loss at 50 % of NDR, 20 bytes": Same, "loss at 10 p/s, 20 bytes": Same, "recovery at 10 p/s, 20 bytes": Same}
	if !maps.Equal(got, want) || c.Measures[0].Remark != "B: limited by generator" {
		t.Errorf("%q, remark %q", got, c.Measures[0].Remark)
	}
}

// Where repeats scatter as much as they differ nothing has got worse.
func TestCompareRepeats(t *testing.T) {
	a := []*Result{measuredResult(100_000, 0, 1), measuredResult(80_000, 0, 1), measuredResult(120_000, 0, 1)}
	b := []*Result{measuredResult(90_000, 0, 1), measuredResult(70_000, 0, 1), measuredResult(110_000, 0, 1)}
	c := Compare(a, b, 0.05).Measures[0]
	if c.Outcome != Scatter || math.Abs(c.Change+0.1) > 1e-9 || c.A.N != 3 {
		t.Errorf("%+v", c)
	}
	// 20,000 / sqrt(3) times t of two degrees of freedom.
	if want := 4.303 * 20_000 / math.Sqrt(3); math.Abs(c.A.High-100_000-want) > 1 {
		t.Errorf("interval %+v, want %.0f to either side", c.A, want)
	}
	b = []*Result{measuredResult(50_000, 0, 1), measuredResult(50_100, 0, 1), measuredResult(49_900, 0, 1)}
	a = []*Result{measuredResult(100_000, 0, 1), measuredResult(100_100, 0, 1), measuredResult(99_900, 0, 1)}
	if Compare(a, b, 0.05).Measures[0].Outcome != Worse {
		t.Error("half is not worse")
	}
}
