// SPDX-License-Identifier: Apache-2.0

package reply

import (
	"math"
	"slices"
	"sort"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/testrand"
	"xsweep/loader"
)

// histogram counts samples as the filter does.
func histogram(samples []uint64) *loader.ReplyStats {
	var s loader.ReplyStats
	for _, ns := range samples {
		// The first bin whose upper bound is beyond; the last takes the rest.
		bin := sort.Search(loader.RTTBins-1, func(b int) bool {
			_, high := loader.RTTBin(b)
			return ns < high
		})
		s.RTT[bin]++
		s.RTTCount++
		s.RTTSum += ns
		s.RTTMax = max(s.RTTMax, ns)
		if s.RTTCount == 1 {
			s.RTTMin = ns
		}
		s.RTTMin = min(s.RTTMin, ns)
	}
	return &s
}

// The summary against the exact quantiles (nearest rank) of random samples:
// from single ones to many, in narrow and wide ranges.
func TestSummariseRTT(t *testing.T) {
	r := testrand.New(t)
	for round := range 300 {
		n := 1 + r.IntN(1<<r.IntN(14))
		// Logarithmically even between two bounds of 100 ns to 60 s.
		a := 100 * math.Exp(r.Float64()*math.Log(60e9/100))
		b := a * math.Exp(r.Float64()*math.Log(60e9/a))
		samples := make([]uint64, n)
		for i := range samples {
			samples[i] = uint64(a * math.Exp(r.Float64()*math.Log(b/a)))
		}
		got := SummariseRTT(histogram(samples))
		slices.Sort(samples)
		var sum uint64
		for _, ns := range samples {
			sum += ns
		}
		exact := RTT{Count: uint64(n), Min: samples[0], Max: samples[n-1], Mean: sum / uint64(n)}
		if diff := cmp.Diff(exact, RTT{Count: got.Count, Min: got.Min, Max: got.Max, Mean: got.Mean}); diff != "" {
			t.Fatalf("round %d: exact values (-want +got):\n%s", round, diff)
		}
		for _, q := range []struct {
			name  string
			share float64
			got   uint64
		}{{"p50", 0.5, got.P50}, {"p90", 0.9, got.P90}, {"p99", 0.99, got.P99}, {"p999", 0.999, got.P999}} {
			want := samples[int(math.Ceil(q.share*float64(n)))-1]
			if off := math.Abs(float64(q.got)-float64(want)) / float64(want); off > 0.03 {
				t.Fatalf("round %d: %s of %d samples from %.0f to %.0f ns is %d, want %d: %.1f %% off", round, q.name, n, a, b, q.got, want, 100*off)
			}
			if q.got < got.Min || q.got > got.Max {
				t.Fatalf("round %d: %s %d is not between %d and %d", round, q.name, q.got, got.Min, got.Max)
			}
		}
		if got.P50 > got.P90 || got.P90 > got.P99 || got.P99 > got.P999 {
			t.Fatalf("round %d: quantiles fall: %+v", round, got)
		}
	}
}

func TestSummariseRTTEdges(t *testing.T) {
	for _, tc := range []struct {
		name    string
		samples []uint64
		want    RTT
	}{
		{"no replies", nil, RTT{}},
		{"below the first bin", []uint64{1}, RTT{Count: 1, Min: 1, P50: 1, P90: 1, P99: 1, P999: 1, Max: 1, Mean: 1}},
		{"no time at all", []uint64{0, 0}, RTT{Count: 2}},
		{"beyond the last bin", []uint64{1 << 40}, RTT{Count: 1, Min: 1 << 40, P50: 1 << 40, P90: 1 << 40, P99: 1 << 40, P999: 1 << 40, Max: 1 << 40, Mean: 1 << 40}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, SummariseRTT(histogram(tc.samples))); diff != "" {
				t.Errorf("summary (-want +got):\n%s", diff)
			}
		})
	}
}
