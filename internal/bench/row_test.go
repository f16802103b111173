// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"testing"
)

func TestVerdict(t *testing.T) {
	limit := series{100, 100, 100}
	for _, tt := range []struct {
		name string
		row  row
		want string
	}{
		{"for information", newRow("x", "ns", series{1}), ""},
		{"below", newRow("x", "ns", series{1, 130, 200}).atMost(130, 90), "ok"},
		{"above", newRow("x", "ns", series{131}).atMost(130, 90), "missed"},
		{"aim", newRow("x", "ns", series{90}).atMost(130, 90), "ok, aim met"},
		{"a rate reached", newRow("x", perSecond, series{1, 2, 3}).atLeast(2, 0), "ok"},
		{"a rate missed", newRow("x", perSecond, series{1, 1.9, 3}).atLeast(2, 0), "missed"},
		{"no aim", newRow("x", "ns", series{0}).atMost(130, 0), "ok"},
		{"ratio reached", newRow("x", perSecond, series{85, 90, 1}).against("y", limit).ratioAtLeast(0.85, 0.95), "ok"},
		{"ratio missed", newRow("x", perSecond, series{84, 84, 99}).against("y", limit).ratioAtLeast(0.85, 0.95), "missed"},
		{"ratio at its aim", newRow("x", perSecond, series{96, 95, 2}).against("y", limit).ratioAtLeast(0.85, 0.95), "ok, aim met"},
		{"ratio that is none", newRow("x", perSecond, series{1}).ratioAtLeast(0.85, 0.95), "missed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.row.verdict(); got != tt.want {
				t.Errorf("verdict is %q, want %q", got, tt.want)
			}
		})
	}
}

// The ratio is that of rounds measured side by side: a machine that slows down
// in mid-run slows both.
func TestRatioIsOfPairs(t *testing.T) {
	r := newRow("x", perSecond, series{90, 45, 9}).against("y", series{100, 50, 10})
	if math.Abs(r.Ratio-0.9) > 1e-9 {
		t.Errorf("ratio is %v, want 0.9", r.Ratio)
	}
}

func TestNumbers(t *testing.T) {
	for _, tt := range []struct {
		value float64
		unit  string
		want  string
	}{
		{0, "ns", "0 ns"},
		{6.754, "ns", "6.75 ns"},
		{18, "ns", "18 ns"},
		{186.4, "ns", "186 ns"},
		{79872, "ns", "79872 ns"},
		{-2.5, "ns", "-2.5 ns"},
		{0.5, "%", "0.5%"},
		{0.0123, "", "0.0123"},
		{0.001, "", "0.001"},
		{0.0000071, "", "7.1e-06"},
		{999.9, perSecond, "1000/s"},
		{10_000, perSecond, "10.0k/s"},
		{639_120, perSecond, "639.1k/s"},
		{4_400_000, perSecond, "4.400M/s"},
		{math.NaN(), "", "-"},
	} {
		if got := withUnit(tt.value, tt.unit); got != tt.want {
			t.Errorf("%v with unit %q is shown as %q, want %q", tt.value, tt.unit, got, tt.want)
		}
	}
}
