// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"strings"
	"testing"
	"time"

	"xsweep/internal/lab"
)

// What a machine cannot send is not held against the target, by any transmitter:
// a trial is not valid, and a search says that the generator was the limit.
func TestThrottled(t *testing.T) {
	const beyond = 50_000_000
	for _, tx := range []Tx{TxXDP, TxPacket} {
		t.Run(string(tx), func(t *testing.T) {
			startLab(t, lab.Config{Live: 1})
			s := open(t, Config{Tx: tx, MaxRate: beyond, Drain: 100 * time.Millisecond, PacingError: 0.05})
			trial := try(t, s, Load{Rate: beyond, Duration: 100 * time.Millisecond})
			if trial.Valid || !strings.Contains(trial.Reason, "the generator sent") {
				t.Errorf("valid %t, %q", trial.Valid, trial.Reason)
			}
			goal := Goal{Loss: 0.005, Exceed: 0.5, Trial: 100 * time.Millisecond, Sum: 100 * time.Millisecond, Width: 0.05}
			for range 3 { // what it can send depends on others
				found, trials, err := Search(context.Background(), s, SearchConfig{Goals: []Goal{goal}, Min: 1000, Max: beyond})
				if err != nil {
					t.Fatal(err)
				}
				if f := found[0]; f.Limit == "generator" && f.Upper == 0 && f.Lower > 0 {
					return
				}
				t.Logf("%+v", found)
				for _, r := range trials {
					t.Logf("%.0f: sent %.0f, lost %d, valid %t, %s", r.RateOffered, r.RateSent, r.Lost, r.Valid, r.Reason)
				}
			}
			t.Error("the generator is not the limit in three tries")
		})
	}
}

// A recovery whose overload could not be sent says nothing of the target, and rates
// of both parts are those of what was sent.
func TestThrottledOverload(t *testing.T) {
	startLab(t, lab.Config{Live: 1})
	s := open(t, Config{Tx: TxPacket, MaxRate: 20_000_000})
	trial := try(t, s, Load{Rate: 100_000, Overload: 200, Duration: 100 * time.Millisecond})
	if trial.Valid || !strings.Contains(trial.Reason, "the generator sent") {
		t.Errorf("valid %t, %q", trial.Valid, trial.Reason)
	}
	tries(t, 3, func(t *testing.T) bool {
		trial := try(t, s, Load{Rate: 5000, Overload: 3, Duration: 300 * time.Millisecond})
		if trial.RateOffered != 10_000 || trial.RateAnswered > 1.001*trial.RateSent {
			t.Errorf("%.0f a second offered, %.0f sent, %.0f answered", trial.RateOffered, trial.RateSent, trial.RateAnswered)
		}
		return trial.Valid && trial.RateOverload > 14_250 && trial.RateOverload < 15_750 && trial.RateSent > 9500 && trial.RateSent < 10_500
	})
}
