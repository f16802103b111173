// SPDX-License-Identifier: Apache-2.0

package reply

import (
	"math"

	"xsweep/loader"
)

// RTT sums up round-trip times, in nanoseconds. Count, Min, Max and Mean are
// exact; the quantiles come from a histogram and are at most 1.6 % off.
type RTT struct {
	Count uint64 `json:"count"`
	Min   uint64 `json:"min"`
	P50   uint64 `json:"p50"`
	P90   uint64 `json:"p90"`
	P99   uint64 `json:"p99"`
	P999  uint64 `json:"p999"`
	Max   uint64 `json:"max"`
	Mean  uint64 `json:"mean"`
}

// SummariseRTT reads the filter's histogram. Without replies all is zero.
func SummariseRTT(s *loader.ReplyStats) RTT {
	if s.RTTCount == 0 {
		return RTT{}
	}
	return RTT{
		Count: s.RTTCount, Min: s.RTTMin, Max: s.RTTMax, Mean: s.RTTSum / s.RTTCount,
		P50: quantile(s, 0.5), P90: quantile(s, 0.9), P99: quantile(s, 0.99), P999: quantile(s, 0.999),
	}
}

// quantile is the least time that the share q of all does not exceed (nearest
// rank): the middle of its bin, kept between the exact extremes.
func quantile(s *loader.ReplyStats, q float64) uint64 {
	rank := uint64(math.Ceil(q * float64(s.RTTCount)))
	var seen uint64
	for bin, n := range s.RTT {
		seen += n
		if n > 0 && seen >= rank {
			low, high := loader.RTTBin(bin)
			return min(max(low+(high-low)/2, s.RTTMin), s.RTTMax)
		}
	}
	return s.RTTMax
}
