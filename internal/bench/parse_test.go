// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/sweep"
	"xsweep/sweep/pace"
)

func TestRSSAnon(t *testing.T) {
	const status = "Name:\txsweep\nVmHWM:\t   75372 kB\nRssAnon:\t    2520 kB\nRssFile:\t    9000 kB\n"
	if got, ok := rssAnon(status); !ok || got != 2520<<10 {
		t.Errorf("RssAnon is %d, %v; want %d", got, ok, 2520<<10)
	}
	if got, ok := rssAnon("Name:\txsweep\nState:\tZ (zombie)\n"); ok {
		t.Errorf("RssAnon of a process that has ended is %d", got)
	}
}

func TestCPUModel(t *testing.T) {
	if got := cpuModel(strings.NewReader("processor\t: 0\nmodel\t\t: 2\nmodel name\t: Some CPU: X\n\nmodel name\t: Other\n")); got != "Some CPU: X" {
		t.Errorf("CPU model is %q", got)
	}
	if got := cpuModel(strings.NewReader("processor\t: 0\nCPU part\t: 0xd0c\n")); got != "" {
		t.Errorf("CPU model is %q, want none", got)
	}
}

func TestWorstSecond(t *testing.T) {
	for _, tt := range []struct {
		name    string
		seconds []uint64
		want    float64
	}{
		{"exact", []uint64{1000, 1000, 7}, 0},
		{"too few", []uint64{1000, 990, 1000, 7}, 1},
		{"too many", []uint64{1020, 990, 7}, 2},
	} {
		got, err := worstSecond(tt.seconds, 1000)
		if err != nil || math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%s: worst second is %v %% off, error %v; want %v", tt.name, got, err, tt.want)
		}
	}
	if _, err := worstSecond([]uint64{500}, 1000); err == nil {
		t.Error("half a second was taken for a whole one")
	}
}

// All three figures of a rate come from the round that was disturbed least.
func TestPromiseRowsTakeTheBestRound(t *testing.T) {
	rows := promiseRows("rate 1k", []promiseRound{{worst: 2, excess: 10, stalls: 5}, {worst: 0.3, excess: 40, stalls: 1}, {worst: 0.3, excess: 39, stalls: 2}})
	for k, want := range []float64{0.3, 39, 2} {
		if rows[k].Value != want || len(rows[k].Rounds) != 3 {
			t.Errorf("%s: %v of rounds %v, want %v of all three", rows[k].What, rows[k].Value, rows[k].Rounds, want)
		}
	}
}

// A rate that a transmitter cannot reach at all says nothing about its promise.
func TestKeepersHaveRatesWithinReach(t *testing.T) {
	for _, tt := range []struct {
		tx   sweep.Tx
		top  float64
		want []pace.Rate
	}{
		{sweep.TxPacket, 500_000, []pace.Rate{1_000, 10_000, 100_000, 450_000}},
		{sweep.TxPacket, 1_100_000, []pace.Rate{1_000, 10_000, 100_000, 990_000}},
		{sweep.TxXDP, 3_000_000, []pace.Rate{10_000, 100_000, 1_000_000, 2_700_000}},
	} {
		var got []pace.Rate
		for _, k := range newKeepers(tt.tx, tt.top) {
			got = append(got, k.rate)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s, at most %v/s (-want +got):\n%s", tt.tx, tt.top, diff)
		}
	}
}
