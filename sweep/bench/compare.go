// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
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

// Compared is two benchmarks side by side, each of one or several runs.
type Compared struct {
	// Tolerance is how much worse B may be, as a share.
	Tolerance float64      `json:"tolerance"`
	Measures  []Comparison `json:"measures"`
	// Problems say of whole runs of B that they were broken off or failed, so that
	// it cannot be said to be as good. Notes say the same of A, where it only means
	// that there is less to compare with.
	Problems []string `json:"problems"`
	Notes    []string `json:"notes"`
	// Regressions is how many measures are worse or missing in B.
	Regressions int `json:"regressions"`
}

// Passed says whether nothing in B speaks against it.
func (c *Compared) Passed() bool { return c.Regressions == 0 && len(c.Problems) == 0 }

// Comparison is one measure of two benchmarks.
type Comparison struct {
	What string   `json:"what"`
	Unit string   `json:"unit"` // p/s, ns, or none for a ratio
	A    Estimate `json:"a"`    // with N 0 where it has no such measure
	B    Estimate `json:"b"`
	// Change is of B, as a share of A, or the difference of ratios: above 0 is more.
	// From 0 it is 1.
	Change float64 `json:"change"`
	// Better says which way is: above 0 more, below 0 less.
	Better int `json:"better"`
	// Outcome is what came out, in words, and Remark what is to be known with it.
	Outcome Outcome `json:"outcome"`
	Remark  string  `json:"remark,omitempty"`
}

// Outcome is what a comparison came to.
type Outcome string

// The outcomes. Worse, Missing and Invalid are regressions. Scatter is worse by
// more than the tolerance, but the intervals of the repeats overlap.
const (
	Same    Outcome = "same"
	Better  Outcome = "better"
	Worse   Outcome = "worse"
	Scatter Outcome = "within the scatter"
	Missing Outcome = "missing in B"   // a search of A found it, none of B did
	Invalid Outcome = "not valid in B" // it was tried, and no trial was valid
	OnlyA   Outcome = "only in A"
	OnlyB   Outcome = "only in B"
)

// Regression says whether the outcome speaks against B.
func (o Outcome) Regression() bool { return o == Worse || o == Missing || o == Invalid }

// Estimate is a mean over repeats, with its confidence interval of 95 %
// (Student's t); with one repeat it is just that, and Low and High are the same.
type Estimate struct {
	Mean float64 `json:"mean"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	N    int     `json:"n"`
}

// Compare puts two benchmarks side by side: the searches' results, and for each
// offered load loss and latency. Trials that are not valid are not compared; that
// B has no other is a regression. So is a search of B that found nothing where A's
// did.
func Compare(a, b []*Result, tolerance float64) Compared {
	left, right := measures(a), measures(b)
	c := Compared{Tolerance: tolerance, Measures: []Comparison{}, Problems: broken("B", b), Notes: broken("A", a)}
	for _, key := range left.order {
		m := compare(key, left, right, tolerance)
		if m.Outcome.Regression() {
			c.Regressions++
		}
		c.Measures = append(c.Measures, m)
	}
	for _, key := range right.order {
		if len(left.values[key]) == 0 {
			c.Measures = append(c.Measures, Comparison{
				What: key.what, Unit: key.unit, Better: key.better, B: estimate(right.values[key]), Outcome: OnlyB, Remark: right.remark("B", key),
			})
		}
	}
	return c
}

// broken says which of the runs of a side did not come to their end.
func broken(side string, results []*Result) []string {
	list := []string{}
	for i, r := range results {
		name := side
		if len(results) > 1 {
			name = fmt.Sprintf("%s, run %d of %d", side, i+1, len(results))
		}
		switch {
		case r.Error != "":
			list = append(list, fmt.Sprintf("%s ended with an error: %s", name, r.Error))
		case r.Interrupted:
			list = append(list, name+" was interrupted: it is incomplete")
		case len(r.Trials) > 0 && !slices.ContainsFunc(r.Trials, func(t Trial) bool { return t.Valid }):
			list = append(list, name+" has no valid trial")
		}
	}
	return list
}

// measure is what is compared: its name, which tells load and size too, its unit,
// and which way is better.
type measure struct {
	what, unit string
	better     int
}

// measured is what the runs of one side have.
type measured struct {
	runs   int
	order  []measure
	values map[measure][]float64
	// found are the measures that a search is asked for, invalid those that only
	// trials have that are not valid, limits what ended a search before a load was
	// too high.
	found   map[measure]bool
	invalid map[measure]bool
	limits  map[measure]string
}

func (m *measured) add(key measure, value float64) {
	if m.values[key] == nil {
		m.order = append(m.order, key)
	}
	m.values[key] = append(m.values[key], value)
}

// remark says what is to be known with a side's value.
func (m *measured) remark(side string, key measure) string {
	var words []string
	if n := len(m.values[key]); n > 0 && n < m.runs && m.found[key] {
		words = append(words, fmt.Sprintf("%s: in %d of %d runs", side, n, m.runs))
	}
	if limit := m.limits[key]; limit != "" {
		words = append(words, fmt.Sprintf("%s: limited by %s", side, limit))
	}
	return strings.Join(words, "; ")
}

func measures(results []*Result) *measured {
	m := &measured{runs: len(results), values: map[measure][]float64{}, found: map[measure]bool{}, invalid: map[measure]bool{}, limits: map[measure]string{}}
	for _, r := range results {
		for _, t := range slices.Concat(r.NDR, r.PDR) {
			name := "NDR"
			if t.Goal > 0 {
				name = fmt.Sprintf("PDR %g%%", 100*t.Goal)
			}
			key := measure{fmt.Sprintf("%s, %d bytes", name, t.Size), "p/s", 1}
			if t.Limit == "not found" {
				continue
			}
			m.found[key] = true
			m.add(key, float64(t.Lower))
			if t.Limit != "" {
				m.limits[key] = t.Limit
			}
		}
		if r.Limiter != nil {
			m.add(measure{"limiter", "p/s", 1}, r.Limiter.Rate)
		}
		for _, t := range r.Trials {
			// What a search tried is another load each time.
			if t.Exploring() {
				continue
			}
			at := t.place()
			loss, p50, p99 := measure{"loss " + at, "", -1}, measure{"p50 " + at, "ns", -1}, measure{"p99 " + at, "ns", -1}
			recovery := measure{"recovery " + at, "ns", -1}
			if !t.Valid {
				for _, key := range []measure{loss, p50, p99, recovery} {
					m.invalid[key] = true
				}
				continue
			}
			m.add(loss, t.LossRatio())
			if t.RTT.Count > 0 {
				m.add(p50, float64(t.RTT.P50))
				m.add(p99, float64(t.RTT.P99))
			}
			if t.Recovery != nil {
				m.add(recovery, float64(*t.Recovery))
			}
		}
	}
	return m
}

// place is the load of a trial in words, the same in each run.
func (t *Trial) place() string {
	share, ok := strings.CutPrefix(t.Purpose, "latency at ")
	switch {
	case ok:
		return fmt.Sprintf("at %s of NDR, %d bytes", share, t.Size)
	case t.Purpose != "":
		return fmt.Sprintf("%s, %d bytes", t.Purpose, t.Size)
	}
	return fmt.Sprintf("at %.0f p/s, %d bytes", t.RateOffered, t.Size)
}

// compare is the comparison of a measure that A has.
func compare(key measure, left, right *measured, tolerance float64) Comparison {
	c := Comparison{What: key.what, Unit: key.unit, Better: key.better, A: estimate(left.values[key])}
	c.Remark = strings.Trim(left.remark("A", key)+"; "+right.remark("B", key), "; ")
	if b := right.values[key]; len(b) == 0 {
		switch {
		case left.found[key]:
			c.Outcome = Missing
		case right.invalid[key]:
			c.Outcome = Invalid
		default:
			c.Outcome = OnlyA
		}
		return c
	}
	c.B = estimate(right.values[key])
	switch {
	case key.unit == "": // a ratio: points, since there may be none at all
		c.Change = c.B.Mean - c.A.Mean
	case c.A.Mean != 0:
		c.Change = c.B.Mean/c.A.Mean - 1
	case c.B.Mean != 0:
		c.Change = 1 // no share of nothing can be told
	}
	worse := -c.Change * float64(key.better)
	apart := c.A.High < c.B.Low || c.B.High < c.A.Low || c.A.N < 2 || c.B.N < 2
	switch {
	case left.found[key] && c.A.N == left.runs && c.B.N < right.runs:
		c.Outcome = Missing
	case worse > tolerance && apart:
		c.Outcome = Worse
	case worse > tolerance:
		c.Outcome = Scatter
	case worse < -tolerance && apart:
		c.Outcome = Better
	default:
		c.Outcome = Same
	}
	return c
}

// t95 are the two-sided 95 % quantiles of Student's t, by degrees of freedom from
// 1 on; beyond the table the normal distribution's serves.
var t95 = []float64{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086}

func estimate(values []float64) Estimate {
	if len(values) == 0 {
		return Estimate{}
	}
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
