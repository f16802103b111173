// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// row is one figure of the report.
type row struct {
	// Group is the name of the group that it belongs to.
	Group string
	// What is measured, and the unit of it.
	What, Unit string
	// Rounds are the figures of all rounds.
	Rounds series
	// Value is what the goal is held against: the median of the rounds unless
	// docs/measuring.md says otherwise.
	Value float64
	// Limit names what was measured beside it in the same rounds, and its
	// figures in the same unit. Empty if there is nothing to compare with.
	Limit       string
	LimitRounds series
	// Ratio is the median of the rounds' ratios to the limit; NaN without one.
	Ratio float64
	// Goal is nil for what is only for information.
	Goal *goal
}

// goal is what a figure should be.
type goal struct {
	// OfRatio: it is the ratio that is bounded, not the value.
	OfRatio bool
	// Least: the bound is a lower one.
	Least bool
	// Bound is what must be reached and Aim what is wished for, or 0.
	Bound, Aim float64
}

// newRow makes a row of medians without limit and goal.
func newRow(what, unit string, rounds series) row {
	return row{What: what, Unit: unit, Rounds: rounds, Value: rounds.median(), Ratio: math.NaN()}
}

// worst makes the largest round the value: one is one too many.
func (r row) worst() row {
	r.Value = slices.Max(r.Rounds)
	return r
}

// against adds the limit.
func (r row) against(what string, rounds series) row {
	r.Limit, r.LimitRounds = what, rounds
	r.Ratio = r.Rounds.over(rounds).median()
	return r
}

// atMost, atLeast and ratioAtLeast add a goal; an aim of 0 is none.
func (r row) atMost(bound, aim float64) row {
	r.Goal = &goal{Bound: bound, Aim: aim}
	return r
}

func (r row) atLeast(bound, aim float64) row {
	r.Goal = &goal{Least: true, Bound: bound, Aim: aim}
	return r
}

func (r row) ratioAtLeast(bound, aim float64) row {
	r.Goal = &goal{OfRatio: true, Least: true, Bound: bound, Aim: aim}
	return r
}

// missedGoal is the verdict that nobody wants.
const missedGoal = "missed"

// verdict says whether the goal was reached; it is empty without one.
func (r row) verdict() string {
	if r.Goal == nil {
		return ""
	}
	v := r.Value
	if r.Goal.OfRatio {
		v = r.Ratio
	}
	reached := func(bound float64) bool { return v <= bound }
	if r.Goal.Least {
		reached = func(bound float64) bool { return v >= bound }
	}
	switch {
	case !reached(r.Goal.Bound):
		return missedGoal
	case r.Goal.Aim != 0 && reached(r.Goal.Aim):
		return "ok, aim met"
	default:
		return "ok"
	}
}

// text is the goal as the table shows it.
func (g *goal) text(unit string) string {
	if g == nil {
		return ""
	}
	sign := "<="
	if g.Least {
		sign = ">="
	}
	if g.OfRatio {
		sign, unit = "ratio "+sign, ""
	}
	text := sign + " " + withUnit(g.Bound, unit)
	if g.Aim != 0 {
		text += ", aim " + plain(g.Aim)
	}
	return text
}

// perSecond is the unit of rates, which are shown with k and M.
const perSecond = "/s"

// withUnit shows a figure with its unit.
func withUnit(v float64, unit string) string {
	switch unit {
	case "":
		return plain(v)
	case perSecond:
		return short(v) + unit
	case "%":
		return plain(v) + unit
	}
	return plain(v) + " " + unit
}

// plain shows a figure with three significant digits, or all whole ones; below
// a thousandth with two, as a power of ten.
func plain(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	if v != 0 && math.Abs(v) < 0.001 {
		return strconv.FormatFloat(v, 'e', 1, 64)
	}
	digits := 0
	for limit := 100.0; digits < 5 && math.Abs(v) < limit && v != 0; limit /= 10 {
		digits++
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		text = strconv.FormatFloat(f, 'f', -1, 64) // without zeros at the end
	}
	return text
}

// short shows a large figure with k or M behind it.
func short(v float64) string {
	switch {
	case math.Abs(v) >= 1e6:
		return fmt.Sprintf("%.3fM", v/1e6)
	case math.Abs(v) >= 1e4:
		return fmt.Sprintf("%.1fk", v/1e3)
	}
	return plain(v)
}
