// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestQuantile(t *testing.T) {
	for _, tt := range []struct {
		name   string
		series series
		q      float64
		want   float64
	}{
		{"one round", series{7}, 0.5, 7},
		{"odd", series{9, 1, 5}, 0.5, 5},
		{"even", series{4, 1, 2, 9}, 0.5, 3},
		{"least", series{3, 1, 2}, 0, 1},
		{"largest", series{3, 1, 2}, 1, 3},
		{"between two", series{0, 10, 20, 30, 40}, 0.9, 36},
		{"equal ones", series{2, 2, 2, 2}, 0.25, 2},
		{"negative", series{-1, -3}, 0.5, -2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := slices.Clone(tt.series)
			if got := tt.series.quantile(tt.q); math.Abs(got-tt.want) > 1e-9 {
				t.Errorf("quantile %v of %v is %v, want %v", tt.q, tt.series, got, tt.want)
			}
			if diff := cmp.Diff(before, tt.series); diff != "" {
				t.Errorf("the rounds changed (-before +after):\n%s", diff)
			}
		})
	}
	if got := (series{}).median(); !math.IsNaN(got) {
		t.Errorf("median of no rounds is %v, want NaN", got)
	}
}

func TestPairwise(t *testing.T) {
	a, b := series{10, 20, 30}, series{2, 5}
	if diff := cmp.Diff(series{5, 4}, a.over(b)); diff != "" {
		t.Errorf("over (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(series{8, 15}, a.minus(b)); diff != "" {
		t.Errorf("minus (-want +got):\n%s", diff)
	}
}
