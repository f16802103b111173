// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
)

// ReadResult reads what --summary wrote.
func ReadResult(text []byte) (*Result, error) {
	var r Result
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("not the summary of a benchmark: %w", err)
	}
	if r.Trials == nil {
		return nil, errors.New("not the summary of a benchmark: it has no trials")
	}
	return &r, nil
}

// Comparison is one measure of two benchmarks.
type Comparison struct {
	What string `json:"what"`
	Unit string `json:"unit"` // p/s, ns, or none for a ratio
	A, B Estimate
	// Change is of B, as a share of A: above 0 is more.
	Change float64 `json:"change"`
	// Better says which way is: above 0 more, below 0 less.
	Better int `json:"better"`
	// Regression is set where B is worse by more than the tolerance, and, where
	// there are repeats, the intervals lie apart.
	Regression bool `json:"regression"`
}

// Estimate is a mean over repeats, with its confidence interval of 95 %
// (Student's t); with one repeat it is just that, and Low and High are the same.
type Estimate struct {
	Mean, Low, High float64
	N               int
}

// Compare puts two benchmarks side by side, each of one or several runs: the
// searches' results, and for each offered load that both have, loss and
// latency. Trials that are not valid are left out.
func Compare(a, b []*Result, tolerance float64) []Comparison {
	left, right := measures(a), measures(b)
	var list []Comparison
	for _, key := range left.order {
		if len(right.values[key]) == 0 {
			continue
		}
		list = append(list, compare(key, left.values[key], right.values[key], tolerance))
	}
	return list
}

// measure is what is compared: its name, which tells load and size too, its unit,
// and which way is better.
type measure struct {
	what, unit string
	better     int
}

type measured struct {
	order  []measure
	values map[measure][]float64
}

func (m *measured) add(key measure, value float64) {
	if m.values[key] == nil {
		m.order = append(m.order, key)
	}
	m.values[key] = append(m.values[key], value)
}

func measures(results []*Result) *measured {
	m := &measured{values: map[measure][]float64{}}
	for _, r := range results {
		for _, t := range slices.Concat(r.NDR, r.PDR) {
			name := "NDR"
			if t.Goal > 0 {
				name = fmt.Sprintf("PDR %g%%", 100*t.Goal)
			}
			m.add(measure{fmt.Sprintf("%s, %d bytes", name, t.Size), "p/s", 1}, float64(t.Lower))
		}
		for _, t := range r.Trials {
			// What a search tried is another load each time.
			if !t.Valid || t.Purpose == "search" || t.Purpose == "limiter" {
				continue
			}
			at := fmt.Sprintf("at %.0f p/s, %d bytes", t.RateOffered, t.Size)
			if t.Purpose != "" {
				at = fmt.Sprintf("%s, %d bytes", t.Purpose, t.Size)
			}
			m.add(measure{"loss " + at, "", -1}, t.LossRatio())
			if t.RTT.Count > 0 {
				m.add(measure{"p50 " + at, "ns", -1}, float64(t.RTT.P50))
				m.add(measure{"p99 " + at, "ns", -1}, float64(t.RTT.P99))
			}
		}
	}
	return m
}

func compare(key measure, a, b []float64, tolerance float64) Comparison {
	c := Comparison{What: key.what, Unit: key.unit, Better: key.better, A: estimate(a), B: estimate(b)}
	switch {
	case key.unit == "": // a ratio: points, since there may be none at all
		c.Change = c.B.Mean - c.A.Mean
	case c.A.Mean != 0:
		c.Change = c.B.Mean/c.A.Mean - 1
	}
	worse := -c.Change * float64(key.better)
	apart := c.A.High < c.B.Low || c.B.High < c.A.Low
	c.Regression = worse > tolerance && (apart || c.A.N < 2 || c.B.N < 2)
	return c
}

// t95 are the two-sided 95 % quantiles of Student's t, by degrees of freedom from
// 1 on; beyond the table the normal distribution's serves.
var t95 = []float64{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086}

func estimate(values []float64) Estimate {
	n := float64(len(values))
	var sum, squares float64
	for _, v := range values {
		sum += v
	}
	mean := sum / n
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	e := Estimate{Mean: mean, Low: mean, High: mean, N: len(values)}
	if n < 2 {
		return e
	}
	t := 1.96
	if free := len(values) - 1; free <= len(t95) {
		t = t95[free-1]
	}
	half := t * math.Sqrt(squares/(n-1)/n)
	e.Low, e.High = mean-half, mean+half
	return e
}
