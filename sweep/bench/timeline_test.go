// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"testing"
	"time"

	"xsweep/internal/lab"
	"xsweep/loader"
)

// Seconds add up to the trial, and each has the loss of the probes that were sent in
// it: an outage of the network falls into those that it was in, whoever sends.
func TestSeconds(t *testing.T) {
	for _, c := range []Config{{Tx: TxPacket, Threads: 2}, {Tx: TxXDP}} {
		t.Run(string(c.Tx), func(t *testing.T) {
			startLab(t, lab.Config{Live: 1, Outage: lab.Outage{Every: 1300 * time.Millisecond, For: 200 * time.Millisecond}})
			var told []Second
			s := open(t, c)
			s.config.Second = func(second Second) { told = append(told, second) }
			trial := try(t, s, Load{Rate: 5000, Duration: 2400 * time.Millisecond})
			if len(trial.Seconds) < 2 || len(trial.Seconds) != len(told) || trial.Lost == 0 {
				t.Fatalf("%d seconds, %d told, %d lost", len(trial.Seconds), len(told), trial.Lost)
			}
			var sum Second
			var lost uint64
			for i, second := range trial.Seconds {
				if second.Lost == nil || *second.Lost != *told[i].Lost {
					t.Fatalf("second %d: %+v, told %+v", i, second, told[i])
				}
				sum.Sent += second.Sent
				sum.Answered += second.Answered
				lost += *second.Lost
				if second.P50 == 0 || second.P50 > second.P99 || second.P99 > second.Max || second.Max > 2*trial.RTT.Max {
					t.Errorf("second %d: %+v, the trial's most is %d ns", i, second, trial.RTT.Max)
				}
			}
			if sum.Sent != trial.Sent || sum.Answered != trial.Answered || lost != trial.Lost {
				t.Errorf("%d sent, %d answered, %d lost in seconds; %d, %d and %d in the trial", sum.Sent, sum.Answered, lost, trial.Sent, trial.Answered, trial.Lost)
			}
		})
	}
}

// What the window has moved past is not made up.
func TestSecondsUnknown(t *testing.T) {
	startLab(t, lab.Config{Live: 1})
	// The window is for a hundredth of what is sent.
	s := open(t, Config{Tx: TxPacket, MaxRate: 100, Drain: 200 * time.Millisecond})
	trial := try(t, s, Load{Rate: 20_000, Duration: 1200 * time.Millisecond})
	if len(trial.Seconds) < 1 || trial.Seconds[0].Lost != nil {
		t.Errorf("window of %d probes: %+v", s.judge.Window(), trial.Seconds)
	}
}

// A second's latencies are those of its own answers.
func TestSecondsLatencies(t *testing.T) {
	r := &running{s: &Session{config: Config{Threads: 1}}, first: mark{at: 5e9}}
	l := newTimeline(r)
	var stats loader.BenchStats
	answer := func(bin int, n uint64) {
		low, _ := loader.BenchBin(bin)
		stats.Sent.Bins[bin] += n
		stats.Sent.Count += n
		stats.Sent.Min, stats.Sent.Max = 64, max(stats.Sent.Max, uint64(low)+1)
	}
	answer(2000, 100)
	first := l.second(6e9, 100, stats)
	r.trial.Seconds = append(r.trial.Seconds, first)
	answer(500, 98)
	answer(600, 2)
	second := l.second(7e9, 300, stats)
	low, high := loader.BenchBin(500)
	if second.Sent != 200 || second.Answered != 100 || float64(second.P50) < low || float64(second.P50) > high || second.P99 >= first.P50 || second.Max < second.P99 {
		t.Errorf("%+v after %+v", second, first)
	}
}
