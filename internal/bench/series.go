// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
)

// series is one figure measured in several rounds, in their order.
type series []float64

// quantile is the value that the share q, 0 to 1, of the rounds does not
// exceed, interpolated between the two nearest. Of no rounds it is NaN.
func (s series) quantile(q float64) float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	place := q * float64(len(sorted)-1)
	below := int(place)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (place-float64(below))*(sorted[above]-sorted[below])
}

func (s series) median() float64 { return s.quantile(0.5) }

// pairwise applies f to the values of the same round in s and o. Rounds that
// only one of them has are left out.
func (s series) pairwise(o series, f func(a, b float64) float64) series {
	n := min(len(s), len(o))
	result := make(series, n)
	for k := range n {
		result[k] = f(s[k], o[k])
	}
	return result
}

func (s series) minus(o series) series {
	return s.pairwise(o, func(a, b float64) float64 { return a - b })
}

func (s series) over(o series) series {
	return s.pairwise(o, func(a, b float64) float64 { return a / b })
}
