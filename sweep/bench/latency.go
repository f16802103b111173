// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"math"

	"xsweep/loader"
)

// Latency is a distribution of latencies, in ns. Count, Min, Max and Mean are
// exact, quantiles good to 0.4 %.
type Latency struct {
	Count uint64  `json:"count"`
	Min   uint64  `json:"min"`
	P50   uint64  `json:"p50"`
	P90   uint64  `json:"p90"`
	P99   uint64  `json:"p99"`
	P999  uint64  `json:"p999"`
	P9999 uint64  `json:"p9999"`
	Max   uint64  `json:"max"`
	Mean  float64 `json:"mean"`
	// Bins are the counts of the bins that have any: the middle of each, in ns,
	// and how many.
	Bins []Bin `json:"bins,omitempty"`
}

// Bin is a bin of a distribution with a count.
type Bin struct {
	NS    uint64 `json:"ns"` // its middle
	Count uint64 `json:"count"`
}

func newLatency(l *loader.BenchLatency) Latency {
	r := Latency{Count: l.Count, Min: l.Min, Max: l.Max}
	if l.Count == 0 {
		return r
	}
	r.Mean = float64(l.Sum) / float64(l.Count)
	for i, n := range l.Bins {
		if n > 0 {
			low, high := loader.BenchBin(i)
			middle := uint64(math.Round((low + high) / 2))
			r.Bins = append(r.Bins, Bin{min(max(middle, l.Min), l.Max), n})
		}
	}
	r.P50, r.P90, r.P99 = r.Quantile(0.5), r.Quantile(0.9), r.Quantile(0.99)
	r.P999, r.P9999 = r.Quantile(0.999), r.Quantile(0.9999)
	return r
}

// Quantile is the latency that a share q of all do not exceed; 0 if there are
// none.
func (l *Latency) Quantile(q float64) uint64 {
	var total uint64
	for _, b := range l.Bins {
		total += b.Count
	}
	rank := max(uint64(math.Ceil(q*float64(total))), 1)
	var seen uint64
	for _, b := range l.Bins {
		if seen += b.Count; seen >= rank {
			return b.NS
		}
	}
	return 0
}
