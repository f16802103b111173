// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
	hostbench "xsweep/sweep/bench"
)

// Of many probes for one host the hop sees each, and its reply, between stamp and
// judge; and nothing of the trial before.
func TestHopTellsProbesApart(t *testing.T) {
	labtest.Kernel(t)
	chain, err := lab.StartChain(lab.Config{Live: 1, InPlace: true})
	if err != nil {
		t.Fatal(err)
	}
	defer chain.Close()
	h, err := newHop(chain, byIndex)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	// The later trial is the smaller one, so that what was left would show.
	for _, tt := range []struct {
		tx   hostbench.Tx
		rate uint64
	}{{hostbench.TxXDP, 10_000}, {hostbench.TxPacket, 5000}} {
		trial, passed, err := testBench().stampTrial(h, hostbench.Config{Tx: tt.tx, MaxRate: tt.rate, PacingError: 1},
			hostbench.Load{Rate: tt.rate, Duration: 100 * time.Millisecond})
		if err != nil {
			t.Fatalf("%s: %v", tt.tx, err)
		}
		all, err := h.probes()
		if err != nil {
			t.Fatal(err)
		}
		// On a busy machine fewer are sent; the warm-up is always whole.
		if trial.Sent == 0 || len(passed) != int(trial.Sent) || len(all) != len(passed)+int(tt.rate)/10 {
			t.Errorf("%s: %d probes were sent, %d of %d found, want %d more for the warm-up", tt.tx, trial.Sent, len(passed), len(all), tt.rate/10)
		}
		var back series // us from the stamp
		for i, p := range passed {
			if p.SentNs == 0 || p.OutNs <= p.SentNs || p.BackNs <= p.OutNs {
				t.Fatalf("%s: probe %d: %+v", tt.tx, i, p)
			}
			back = append(back, p.toHop()+p.beyond())
		}
		// The judge's time comes after both.
		if rtt := float64(trial.RTT.Min) / 1000; rtt <= slices.Min(back) {
			t.Errorf("%s: least RTT %v us, and %v until back at the hop", tt.tx, rtt, slices.Min(back))
		}
		if rtt := float64(trial.RTT.Max) / 1000; rtt <= slices.Max(back) {
			t.Errorf("%s: longest RTT %v us, and %v until back at the hop", tt.tx, rtt, slices.Max(back))
		}
	}
}

// Probes that count are the last ones, each of them and its reply seen.
func TestCounted(t *testing.T) {
	pass := func(indexes ...uint64) (all []probePassage) {
		for _, i := range indexes {
			all = append(all, probePassage{IndexAttempt: i<<8 | 1, SentNs: 1, OutNs: 2, BackNs: 3})
		}
		return all
	}
	unreturned := pass(5, 6, 7)
	unreturned[1].BackNs = 0
	for _, tt := range []struct {
		name       string
		all        []probePassage
		sent, lost uint64
		first      uint64
		want       string
	}{
		{"behind the warm-up", pass(5, 6, 7, 8), 3, 0, 6, ""},
		{"no warm-up", pass(5, 6, 7), 3, 0, 5, ""},
		{"too few", pass(5, 6), 3, 0, 0, "only 2 probes of 3"},
		{"one not seen", pass(4, 5, 7), 3, 0, 0, "probe 2"},
		{"no reply", unreturned, 3, 0, 0, "probe 1"},
		{"a reply of the warm-up alone is missing", unreturned, 1, 0, 7, ""},
		{"lost behind the hop", pass(5, 6, 7), 3, 1, 0, "1 of 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			passed, err := counted(tt.all, hostbench.Trial{Sent: tt.sent, Lost: tt.lost})
			switch {
			case tt.want != "":
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want one with %q", err, tt.want)
				}
			case err != nil:
				t.Error(err)
			case uint64(len(passed)) != tt.sent || passed[0].IndexAttempt>>8 != tt.first:
				t.Errorf("%+v, want %d from index %d on", passed, tt.sent, tt.first)
			}
		})
	}
}
