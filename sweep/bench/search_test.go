// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"xsweep/internal/testrand"
)

// goals are those of most tests: two seconds a trial, three of them decide.
func goals(losses ...float64) (list []Goal) {
	for _, loss := range losses {
		list = append(list, Goal{Loss: loss, Exceed: 0.5, Trial: 2 * time.Second, Sum: 6 * time.Second, Width: 0.005})
	}
	return list
}

func find(t *testing.T, s *simulated, c SearchConfig) []Throughput {
	t.Helper()
	found, trials, err := Search(context.Background(), s, c)
	if err != nil {
		t.Fatal(err)
	}
	if len(trials) != s.trials {
		t.Errorf("%d trials of %d", len(trials), s.trials)
	}
	return found
}

// near says whether a load is within a share of another.
func near(load uint64, want, share float64) bool { return math.Abs(float64(load)-want) <= share*want }

// Every capacity is found within half a percent, and the ratios in order. With
// PDR of ratio r the load is capacity / (1 - r).
func TestSearchFindsCapacity(t *testing.T) {
	random := testrand.New(t)
	most := 0
	defer func() { t.Logf("%d trials at most", most) }()
	for range 200 {
		capacity := math.Exp(random.Float64()*11 + 6) // 400 to 24 million
		s := &simulated{capacity: capacity, bucket: capacity / 1000 * random.Float64()}
		found := find(t, s, SearchConfig{Goals: goals(0.005, 0, 0.001), Min: 10, Max: 50_000_000, Warmup: time.Second})
		for i, ratio := range []float64{0, 0.001, 0.005} {
			f := found[i]
			want := capacity / (1 - ratio)
			if f.Goal != ratio || !near(f.Lower, want, 0.007) || !near(f.Upper, want, 0.007) || f.Lower >= f.Upper {
				t.Errorf("capacity %.0f, ratio %v: %+v", capacity, ratio, f)
			}
		}
		if !(found[0].Lower <= found[1].Lower && found[1].Lower <= found[2].Lower) {
			t.Errorf("capacity %.0f: not in order: %+v", capacity, found)
		}
		most = max(most, s.trials)
		if s.trials > 120 {
			t.Errorf("capacity %.0f: %d trials, %v of sending", capacity, s.trials, s.sending)
		}
	}
}

// One bad trial in ten does not decide: five repeats lie within two percent.
func TestSearchSpread(t *testing.T) {
	random := testrand.New(t)
	wide := 0
	for range 20 {
		var lowers []float64
		for range 5 {
			s := &simulated{capacity: 100_000, bucket: 50, noise: 0.05, random: random}
			found := find(t, s, SearchConfig{Goals: goals(0), Min: 10, Max: 2_000_000, Warmup: time.Second})
			lowers = append(lowers, float64(found[0].Lower))
		}
		if spread := slices.Max(lowers)/slices.Min(lowers) - 1; spread > 0.02 {
			t.Logf("spread %.2f %%: %v", 100*spread, lowers)
			wide++
		}
		slices.Sort(lowers)
		if !near(uint64(lowers[2]), 100_000, 0.02) {
			t.Errorf("median of %v", lowers)
		}
	}
	if wide > 2 { // by chance that happens
		t.Errorf("%d of 20 spreads are over 2 %%", wide)
	}
}

// A target that loses some at any load has no NDR, but a PDR.
func TestSearchLossAtAnyLoad(t *testing.T) {
	s := &simulated{capacity: 200_000, loss: 0.0005}
	found := find(t, s, SearchConfig{Goals: goals(0, 0.001), Min: 2_000, Max: 1_000_000})
	if s.trials > 60 {
		t.Errorf("%d trials", s.trials)
	}
	if found[0].Lower != 0 || found[0].Upper != 2_000 || found[0].Limit != "min-rate" {
		t.Errorf("NDR %+v", found[0])
	}
	if !near(found[1].Lower, 200_000, 0.01) {
		t.Errorf("PDR %+v", found[1])
	}
}

// Where nothing is lost the search says what it was limited by.
func TestSearchLimits(t *testing.T) {
	s := &simulated{capacity: 1e9}
	found := find(t, s, SearchConfig{Goals: goals(0, 0.005), Min: 10, Max: 70_000})
	for _, f := range found {
		if f.Lower != 70_000 || f.Upper != 0 || f.Limit != "max-rate" {
			t.Errorf("%+v", f)
		}
	}
	if s.trials > 10 {
		t.Errorf("%d trials", s.trials)
	}
	s = &simulated{capacity: 1e9, most: 50_000}
	found = find(t, s, SearchConfig{Goals: goals(0, 0.005), Min: 10, Max: 1_000_000})
	for _, f := range found {
		if !near(f.Lower, 50_000, 0.05) || f.Upper != 0 || f.Limit != "generator" {
			t.Errorf("%+v", f)
		}
	}
	if _, _, err := Search(context.Background(), &simulated{most: 500}, SearchConfig{Goals: goals(0), Min: 1000, Max: 10_000}); err == nil {
		t.Error("a generator that can send nothing is no error")
	}
	// A capacity below what the generator can is found although Max is above.
	s = &simulated{capacity: 30_000, most: 50_000}
	found = find(t, s, SearchConfig{Goals: goals(0), Min: 10, Max: 1_000_000})
	if !near(found[0].Lower, 30_000, 0.007) || found[0].Limit != "" {
		t.Errorf("%+v", found[0])
	}
}

// A higher load that reaches the goal behind one that does not counts for nothing.
func TestSearchRelevantBounds(t *testing.T) {
	s := &search{results: map[uint64][]outcome{
		100: {{time.Second, 0, 100}}, 200: {{time.Second, 0.1, 180}}, 300: {{time.Second, 0, 300}},
	}}
	g := Goal{Trial: time.Second, Sum: time.Second, Exceed: 0.5}
	if lower, upper := s.bounds(g, time.Second); lower != 100 || upper != 200 {
		t.Errorf("%d to %d", lower, upper)
	}
}

// A load is decided once the rest of the duration sum cannot change it.
func TestSearchClassify(t *testing.T) {
	g := goals(0.001)[0]
	good, bad, short := outcome{2 * time.Second, 0.001, 1}, outcome{2 * time.Second, 0.0011, 1}, outcome{time.Second / 2, 0.5, 1}
	shortGood := outcome{time.Second / 2, 0, 1}
	for _, c := range []struct {
		results []outcome
		want    class
	}{
		{nil, unknown},
		{[]outcome{good}, unknown},
		{[]outcome{bad}, unknown},
		{[]outcome{good, bad}, unknown},
		{[]outcome{good, good}, isLower},
		{[]outcome{bad, bad}, isUpper},
		{[]outcome{bad, good, good}, isLower},
		{[]outcome{good, bad, bad}, isUpper},
		{[]outcome{short, short, short}, unknown},
		{[]outcome{short, short, good, good}, isLower},
		// Seven short ones are 3.5 s of the 6 that may have 3, unless as many went well.
		{[]outcome{short, short, short, short, short, short, short}, isUpper},
		{[]outcome{short, short, short, short, short, short, short, shortGood}, unknown},
		{[]outcome{short, short, short, short, short, short, good, good}, isLower},
		{[]outcome{short, short, short, short, short, short, short, good, good}, isLower}, // 3.5 of 7.5 s
	} {
		s := &search{results: map[uint64][]outcome{7: c.results}}
		if got := s.classify(g, g.Trial, 7); got != c.want {
			t.Errorf("%v: %d, want %d", c.results, got, c.want)
		}
	}
}

// The conditional throughput is that of the worst trial that counts: by hand, as
// appendix B of RFC 9971 has it.
func TestSearchConditional(t *testing.T) {
	g := goals(0.001)[0] // 2 s a trial, 6 s in all, half of which may go badly
	at := func(losses ...float64) (list []outcome) {
		for _, loss := range losses {
			list = append(list, outcome{2 * time.Second, loss, 0})
		}
		return list
	}
	for _, c := range []struct {
		results []outcome
		want    float64
	}{
		{nil, 0},
		{at(0), 0}, // the other two may be worse
		{at(0, 0.001), 999},
		{at(0.5, 0.001, 0), 999},
		{at(0.5, 0.5, 0), 500},
		{at(0, 0, 0, 0.002, 0.002), 1000},
		{append(at(0, 0), outcome{time.Second, 0.9, 0}), 1000}, // short ones do not count
	} {
		s := &search{results: map[uint64][]outcome{1000: c.results}}
		if got := s.conditional(g, 1000); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%v: %v, want %v", c.results, got, c.want)
		}
	}
}

// Ctrl-C ends a search with what is known.
func TestSearchInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &simulated{capacity: 10_000}
	n := 0
	c := SearchConfig{Goals: goals(0), Min: 10, Max: 1_000_000, Tell: func(Trial, []Throughput) {
		if n++; n == 5 {
			cancel()
		}
	}}
	_, trials, err := Search(ctx, s, c)
	if !errors.Is(err, context.Canceled) || len(trials) != 5 {
		t.Errorf("%v after %d trials", err, len(trials))
	}
}

// A policer's rate and bucket are found; neither a queue nor plain loss is one.
func TestFindLimiter(t *testing.T) {
	rest := func(context.Context, time.Duration) error { return nil }
	at := Latency{Count: 100, P50: 20_000}
	random := testrand.New(t)
	for range 100 {
		rate := 500 + 50_000*random.Float64()
		bucket := rate * random.Float64() / 5
		s := &simulated{capacity: rate, bucket: bucket}
		l, trials, err := FindLimiter(context.Background(), s, uint64(rate), time.Second, at, rest)
		if err != nil || l == nil || len(trials) != 3 {
			t.Fatalf("rate %.0f, bucket %.0f: %v, %v", rate, bucket, l, err)
		}
		if !near(uint64(l.Rate), rate, 0.02) || math.Abs(l.Burst-bucket) > max(0.1*bucket, 5) {
			t.Errorf("rate %.0f, bucket %.0f: %+v", rate, bucket, l)
		}
	}
	for name, s := range map[string]*simulated{
		"a queue":        {capacity: 1000, queue: true},
		"loss":           {capacity: 1e6, loss: 0.3},
		"nothing":        {capacity: 1e6},
		"weak generator": {capacity: 1000, most: 1500},
	} {
		if l, _, err := FindLimiter(context.Background(), s, 1000, time.Second, at, rest); l != nil || err != nil {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
}
