// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
	hostbench "xsweep/sweep/bench"
)

// figures shows rows as a test compares them.
func figures(rows []row) string {
	var text strings.Builder
	for _, r := range rows {
		fmt.Fprintln(&text, strings.TrimSpace(fmt.Sprintf("%s / %s: %s %s %s", r.What, r.Limit, withUnit(r.Value, r.Unit), plain(r.Ratio), r.verdict())))
	}
	return text.String()
}

// The limit bounds the same number of threads and size, the sweep stands beside
// them, and one trial with a probe too few is enough.
func TestHostSpeedRows(t *testing.T) {
	runs := []*hostRun{
		{threads: 1, size: hostbench.MinSize, rates: series{80}, limits: series{100}, judged: series{90}, sweeps: series{160}, kept: series{60}, missing: series{0}},
		{threads: 2, size: hostbench.MinSize, rates: series{150}, limits: series{200}, sweeps: series{150}, missing: series{1, 0}},
		{threads: 1, size: hostbench.DefaultSize, rates: series{45}, limits: series{90}, missing: series{0}},
	}
	const want = `xdp, 1 thread: sent and judged, all answered / fixed live frames, answered: 80/s 0.8 ok
xdp, 1 thread: sent and judged, all answered / sweep, 100 % live: 80/s 0.5
xdp, 1 thread: sent and judged, all answered / fixed live frames, answered and judged: 80/s 0.889 ok
xdp, 1 thread: highest valid trial / as above: 60/s 0.75
xdp, 2 threads: sent and judged, all answered / fixed live frames, answered: 150/s 0.75 missed
xdp, 2 threads: sent and judged, all answered / sweep, 100 % live: 150/s 1
xdp, 1 thread, 56 bytes: sent and judged, all answered / fixed live frames, answered, 56 bytes: 45/s 0.5
every trial: probes not accounted for / : 1 - missed
`
	if diff := cmp.Diff(want, figures(hostSpeedRows(runs))); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// Each probe is to be with the responder, and each answer with the judge.
func TestUnaccounted(t *testing.T) {
	before := lab.Stats{EchoRequests: 10, Answered: 10, RepliesRefused: 1}
	after := lab.Stats{EchoRequests: 110, Answered: 108, RepliesRefused: 4} // 100 probes, 2 of them lost, 3 answers refused
	for _, tt := range []struct {
		name           string
		sent, answered uint64
		want           float64
	}{
		{"all", 100, 95, 0},
		{"sent, but not there", 101, 95, 1},
		{"there, but not sent", 98, 95, 2},
		{"answered, but not judged so", 100, 91, 4},
		{"judged, but not answered", 100, 97, 2},
		{"both", 99, 94, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := unaccounted(hostbench.Trial{Sent: tt.sent, Answered: tt.answered}, before, after); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// What the network loses or doubles is accounted for, or is not.
func TestAccounted(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config lab.Config
		lost   bool
	}{
		{"all answered", lab.Config{Live: 1}, false},
		{"some lost", lab.Config{Live: 1, Loss: 0.2, PerProbe: true}, true},
		{"some doubled", lab.Config{Live: 1, Duplicate: 0.2, PerProbe: true}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			labtest.Kernel(t)
			err := inLab(tt.config, func(l *lab.Lab) error {
				b := testBench()
				s, err := b.openHost(hostbench.Config{Tx: hostbench.TxPacket, MaxRate: 20_000, PacingError: 1})
				if err != nil {
					return err
				}
				defer s.Close()
				trial, missing, err := b.accounted(l, s, hostbench.Load{Rate: 20_000, Duration: 100 * time.Millisecond})
				if err != nil {
					return err
				}
				// A second answer came to the device, and is none of the probe's.
				if trial.Sent == 0 || missing != float64(trial.Duplicate) || (trial.Lost > 0) != tt.lost || (trial.Duplicate > 0) != (tt.config.Duplicate > 0) {
					t.Errorf("%d sent, %d lost, %d duplicates, %v missing", trial.Sent, trial.Lost, trial.Duplicate, missing)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// One probe is one too many.
func TestHostAccountRows(t *testing.T) {
	trial := hostbench.Trial{RateSent: 1000, Sent: 60_000, Lost: 3, Verdicts: map[string]uint64{"overtaken": 1}}
	trial.Generator.PacingError = -0.001
	const name = "60 s at half of the rate of 1 thread: "
	const want = name + `sent / : 1000/s -
` + name + `sent, in all / : 60000 -
` + name + `probes not accounted for / : 2 - missed
` + name + `answers that the window had passed / : 1 - missed
` + name + `probes lost / : 3 -
` + name + `rate off by / : -0.1% -
`
	if diff := cmp.Diff(want, figures(hostAccountRows(trial, 2))); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// Only where the stamp of a frame is its own there is a goal.
func TestStampRows(t *testing.T) {
	r := stampRun{name: "x", p50: series{1, 2, 9}, p99: series{5.5}, beyond50: series{1, 1, 1}, beyond99: series{1}, toHop50: series{3}, toHop99: series{4}}
	const want = `x: RTT p50 beyond the hop's / hop p50: 2 us 2%s
x: RTT p99 beyond the hop's / hop p99: 5.5 us 5.5%s
x: from stamp to hop p50 / : 3 us -
x: from stamp to hop p99 / : 4 us -
`
	if diff := cmp.Diff(fmt.Sprintf(want, "", ""), figures(r.rows())); diff != "" {
		t.Errorf("rows without goals (-want +got):\n%s", diff)
	}
	r.goal = true
	if diff := cmp.Diff(fmt.Sprintf(want, " ok", " missed"), figures(r.rows())); diff != "" {
		t.Errorf("rows with goals (-want +got):\n%s", diff)
	}
}

// A search off by more than 2 % is too far off, also if it is the only one, and
// also if all are off alike.
func TestHostSearchRows(t *testing.T) {
	for _, tt := range []struct {
		found       series
		off, spread string
	}{
		{series{990, 1000, 1000, 1000, 1005}, "1% - ok", "1.5% - ok"},
		{series{975, 1000, 1000, 1000, 1000}, "2.5% - missed", "2.5% - missed"},
		{series{1030, 1030, 1030}, "3% - missed", "0% - ok"},
		{series{985, 1000, 1010}, "1.5% - ok", "2.5% - missed"},
	} {
		rows := hostSearchRows("s", tt.found, 1000)
		want := fmt.Sprintf("s: NDR off by / : %s\ns: spread of the repeats / : %s\n", tt.off, tt.spread)
		if diff := cmp.Diff(want, figures(rows[1:])); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.found, diff)
		}
	}
}

// A bucket of 100 that is full is worth 200 probes a second for half a second.
func TestLossless(t *testing.T) {
	if got := lossless(lab.Bucket{Rate: 1000, Burst: 100}, 500*time.Millisecond); got != 1200 {
		t.Errorf("%v, want 1200", got)
	}
}

// Searches that the generator limited do not count, and too many of them are an
// error, as is any error.
func TestSearchRepeats(t *testing.T) {
	repeat := func(limits ...string) (found series, calls int, notes int, err error) {
		b := testBench()
		found, err = b.searchRepeats("x", func() (hostbench.Throughput, error) {
			calls++
			t := hostbench.Throughput{Lower: uint64(calls)}
			if calls <= len(limits) {
				t.Limit = limits[calls-1]
			}
			if t.Limit == "error" {
				return t, errors.New("broken")
			}
			return t, nil
		})
		return found, calls, len(b.notes), err
	}
	for _, tt := range []struct {
		name   string
		limits []string
		found  series
		calls  int
		notes  int
	}{
		{"all well", nil, series{1, 2, 3, 4, 5}, 5, 0},
		{"some limited", []string{"", "generator", "", "generator"}, series{1, 3, 5, 6, 7}, 7, 1},
		{"as many limited as may be", []string{"generator", "generator", "", "generator", "generator"}, series{3, 6, 7}, 7, 1},
	} {
		found, calls, notes, err := repeat(tt.limits...)
		if diff := cmp.Diff(tt.found, found); diff != "" || calls != tt.calls || notes != tt.notes || err != nil {
			t.Errorf("%s: %d searches, %d notes, error %v; found (-want +got):\n%s", tt.name, calls, notes, err, diff)
		}
	}
	if _, calls, _, err := repeat("generator", "generator", "generator", "generator", "generator"); calls != 7 || err == nil {
		t.Errorf("too many limited: %d searches, error %v", calls, err)
	}
	if _, calls, _, err := repeat("", "error"); calls != 2 || err == nil {
		t.Errorf("a search that fails: %d searches, error %v", calls, err)
	}
}

// Each frame of the limit is answered, and each time anew; and the device is left
// as it was.
func TestAnsweredFramesAreAnswered(t *testing.T) {
	labtest.Kernel(t)
	const n = 1_000_000
	err := inLab(allLive, func(l *lab.Lab) error {
		f, err := newAnsweredFrames(hostAddr, hostbench.DefaultSize)
		if err != nil {
			return err
		}
		defer f.close()
		rate, err := f.send(l, 1, n)
		if err != nil {
			return err
		}
		stats, err := l.Stats()
		if err != nil {
			return err
		}
		// Rounds that a signal cut short are repeated.
		if rate <= 0 || stats.EchoRequests+stats.RequestsRefused < n+liveSetUp || stats.Answered != stats.EchoRequests || stats.Answered < n/2 ||
			stats.Passed+stats.Malformed > 0 {
			t.Errorf("rate %v; of %d frames and more %+v", rate, n+liveSetUp, stats)
		}
		if rate, err := f.sendJudged(l, n); err != nil || rate <= 0 {
			t.Errorf("judged: rate %v, error %v", rate, err)
		}
		s, err := testBench().openHost(hostbench.Config{Tx: hostbench.TxPacket, MaxRate: 1000})
		if err != nil {
			return fmt.Errorf("afterwards: %w", err)
		}
		return s.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
}
