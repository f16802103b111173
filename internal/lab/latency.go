// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"math/bits"
	"time"
)

// histogramBits is how exact a histogram is: within 2^-10 of a value.
const histogramBits = 10

// histogram counts durations in buckets whose width grows with them, as
// HdrHistogram does: those below 2^11 ns are each their own.
type histogram struct {
	buckets  []uint64
	count    uint64
	sum      float64
	min, max time.Duration
}

func newHistogram() *histogram {
	return &histogram{buckets: make([]uint64, (65-histogramBits)<<histogramBits)}
}

// bucket is the number of the one that holds v.
func bucket(v uint64) int {
	shift := max(bits.Len64(v)-histogramBits-1, 0)
	return shift<<histogramBits + int(v>>shift)
}

// bucketTop is the largest value in a bucket.
func bucketTop(k int) uint64 {
	shift := max(k>>histogramBits-1, 0)
	return (uint64(k-shift<<histogramBits)+1)<<shift - 1
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucket(uint64(d))]++
	if h.count == 0 {
		h.min = d
	}
	h.min, h.max = min(h.min, d), max(h.max, d)
	h.count++
	h.sum += float64(d)
}

// Latency tells of durations what a benchmark does. Quantiles are at most 0.1 %
// too long.
type Latency struct {
	Count uint64        `json:"count"`
	Min   time.Duration `json:"min_ns"`
	Mean  time.Duration `json:"mean_ns"`
	P50   time.Duration `json:"p50_ns"`
	P90   time.Duration `json:"p90_ns"`
	P99   time.Duration `json:"p99_ns"`
	P999  time.Duration `json:"p999_ns"`
	P9999 time.Duration `json:"p9999_ns"`
	Max   time.Duration `json:"max_ns"`
}

func (h *histogram) latency() Latency {
	if h.count == 0 {
		return Latency{}
	}
	l := Latency{Count: h.count, Min: h.min, Max: h.max, Mean: time.Duration(h.sum / float64(h.count))}
	wanted := []struct {
		q  float64
		to *time.Duration
	}{{0.5, &l.P50}, {0.9, &l.P90}, {0.99, &l.P99}, {0.999, &l.P999}, {0.9999, &l.P9999}}
	below := uint64(0)
	for k, n := range h.buckets {
		below += n
		for len(wanted) > 0 && float64(below) >= wanted[0].q*float64(h.count) {
			*wanted[0].to = min(time.Duration(bucketTop(k)), h.max)
			wanted = wanted[1:]
		}
		if len(wanted) == 0 {
			break
		}
	}
	return l
}
