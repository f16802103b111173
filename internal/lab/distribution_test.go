// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"xsweep/internal/testrand"
)

func TestParseDistribution(t *testing.T) {
	const ms = time.Millisecond
	for text, want := range map[string][3]time.Duration{ // quantiles 0.1, 0.5 and 0.99
		"2ms":                                   {2 * ms, 2 * ms, 2 * ms},
		"0s":                                    {0, 0, 0},
		"1ms..3ms":                              {1200 * time.Microsecond, 2 * ms, 2980 * time.Microsecond},
		"1ms .. 1ms":                            {ms, ms, ms},
		"normal:2ms,100us":                      {1871845, 2 * ms, 2232635},
		"normal:1ms,10ms":                       {0, ms, 24263479},
		"exp:2ms":                               {210721, 1386294, 9210340},
		"quantiles:0=1ms,0.5=2ms,0.9=4ms,1=9ms": {1200 * time.Microsecond, 2 * ms, 8500 * time.Microsecond},
	} {
		d, err := ParseDistribution(text)
		if err != nil {
			t.Errorf("%s is refused: %v", text, err)
			continue
		}
		for k, q := range []float64{0.1, 0.5, 0.99} {
			if got := d.Quantile(q); (got - want[k]).Abs() > time.Nanosecond {
				t.Errorf("quantile %v of %s is %v, want %v", q, text, got, want[k])
			}
		}
		if d.String() != text {
			t.Errorf("%s reads back as %s", text, d)
		}
	}
	for _, text := range []string{
		"", "2", "-1ms", "61s", "3ms..1ms", "1ms..", "..", "1ms..2ms..3ms", "normal:", "normal:2ms", "normal:2ms,-1ms", "exp:", "exp:-1ms",
		"pareto:1ms", "quantiles:", "quantiles:0=1ms", "quantiles:0=2ms,1=1ms", "quantiles:0.1=1ms,1=2ms", "quantiles:0=1ms,0.5=2ms",
		"quantiles:0=1ms,0=2ms,1=3ms", "quantiles:0=1ms,1.1=2ms", "quantiles:0=1ms,NaN=2ms,1=2ms",
	} {
		if d, err := ParseDistribution(text); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q is read as %v, %v", text, d, err)
		}
	}
}

// No draw is 0 or 1, where some distributions have no end.
func TestUnit(t *testing.T) {
	for _, x := range []uint64{0, math.MaxUint64} {
		if u := unit(x); u <= 0 || u >= 1 {
			t.Errorf("unit(%#x) = %v", x, u)
		}
	}
	var none *Distribution
	if none.Quantile(0.5) != 0 || none.String() != "0s" {
		t.Errorf("none is %v, %v", none, none.Quantile(0.5))
	}
}

// Quantiles of a histogram are those of the values, within 0.1 %.
func TestHistogram(t *testing.T) {
	r := testrand.New(t)
	h := newHistogram()
	if h.latency() != (Latency{}) {
		t.Errorf("of nothing: %+v", h.latency())
	}
	var values []time.Duration
	for range 20_000 {
		v := time.Duration(r.Uint64() >> (1 + r.IntN(63)))
		h.add(v)
		values = append(values, v)
	}
	slices.Sort(values)
	l := h.latency()
	n := len(values)
	if l.Count != uint64(n) || l.Min != values[0] || l.Max != values[n-1] {
		t.Errorf("%+v, want %d values from %v to %v", l, n, values[0], values[n-1])
	}
	for got, q := range map[time.Duration]float64{l.P50: 0.5, l.P90: 0.9, l.P99: 0.99, l.P999: 0.999, l.P9999: 0.9999} {
		want := values[int(math.Ceil(q*float64(n)))-1]
		if got < want || float64(got-want) > float64(want)/1000 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	h = newHistogram()
	for _, v := range []time.Duration{-1, 0, math.MaxInt64} {
		h.add(v)
	}
	if l := h.latency(); l.Min != 0 || l.Max != math.MaxInt64 || l.P50 != 0 {
		t.Errorf("extremes: %+v", l)
	}
}

// Every value lies in a bucket that ends at or above it, and the one before ends
// below.
func TestBuckets(t *testing.T) {
	for shift := range 64 {
		for _, v := range []uint64{1<<shift - 1, 1 << shift, 1<<shift + 1} {
			k := bucket(v)
			if bucketTop(k) < v || k > 0 && bucketTop(k-1) >= v {
				t.Errorf("%d is in bucket %d, which ends at %d", v, k, bucketTop(k))
			}
		}
	}
}
