// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
	"xsweep/sweep"
	"xsweep/sweep/sink"
)

const ms = time.Millisecond

// The start of a sweep is no window, and rates are those of the time that lay
// between two readings.
func TestWindows(t *testing.T) {
	got := windows([]reading{{0, 0}, {400 * ms, 100}, {500 * ms, 200}, {600 * ms, 300}, {600 * ms, 301}, {850 * ms, 801}})
	want := []window{{stretch{500 * ms, 600 * ms}, 1000}, {stretch{600 * ms, 850 * ms}, 2000}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(window{}, stretch{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Only windows that a checkpoint falls into can be the least one.
func TestLeastShare(t *testing.T) {
	var all []window
	for k, rate := range []float64{100, 50, 100, 80, 100, 10} {
		all = append(all, window{stretch{time.Duration(k) * 100 * ms, time.Duration(k+1) * 100 * ms}, rate})
	}
	const median = 90
	for _, tt := range []struct {
		name       string
		checkpoint []stretch
		want       float64 // 0: none
	}{
		{"inside one", []stretch{{310 * ms, 320 * ms}}, 80. / median},
		{"over two", []stretch{{290 * ms, 310 * ms}}, 80. / median},
		{"over all", []stretch{{-50 * ms, 900 * ms}}, 10. / median},
		{"two of them", []stretch{{10 * ms, 20 * ms}, {110 * ms, 120 * ms}}, 50. / median},
		{"from edge to edge", []stretch{{200 * ms, 300 * ms}}, 100. / median},
		{"before the first", []stretch{{-20 * ms, 0}}, 0},
		{"none", nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := leastShare(all, tt.checkpoint)
			if got != tt.want || (err != nil) != (tt.want == 0) {
				t.Errorf("%v, error %v; want %v", got, err, tt.want)
			}
		})
	}
}

// The ratio of the rates has a goal, and one slow checkpoint is one.
func TestDipRows(t *testing.T) {
	r := &dipRun{tx: sweep.TxXDP, threads: 2, with: series{98}, without: series{100}, least: series{0.8}, leastWithout: series{0.9}, longest: series{5, 70, 6}}
	rows := r.rows()
	if rows[0].verdict() != "ok" || rows[2].Value != 70 {
		t.Errorf("%+v", rows)
	}
	r.with[0] = 97
	if got := r.rows()[0].verdict(); got != missedGoal {
		t.Errorf("a rate of 0.97: %q", got)
	}
}

// fakeDurable is a sink whose mark fails.
type fakeDurable struct{ sink.Durable }

func (fakeDurable) Mark() (sink.Mark, error) { return sink.Mark{Size: 7}, errors.New("full") }
func (fakeDurable) Committed() error         { return nil }

// What is noted changes nothing, and a checkpoint that never ended is none.
func TestSavedSink(t *testing.T) {
	s := &savedSink{Durable: fakeDurable{}}
	begin := time.Now()
	if m, err := s.Mark(); m.Size != 7 || err == nil {
		t.Errorf("mark %+v, error %v", m, err)
	}
	if err := s.Committed(); err != nil {
		t.Error(err)
	}
	s.Mark()
	saved := s.since(begin)
	if len(saved) != 1 || saved[0].from < 0 || saved[0].to < saved[0].from {
		t.Errorf("%+v", saved)
	}
}

// A sweep that is watched shows that it sends, and when it was saved.
func TestWatchedSweep(t *testing.T) {
	labtest.Kernel(t)
	t.Setenv("TMPDIR", t.TempDir())
	err := inLab(tenthLive, func(*lab.Lab) error {
		for _, saves := range []bool{true, false} {
			w, err := testBench().watchedSweep(&dipRun{tx: sweep.TxPacket, threads: 1, lasts: time.Second}, saves)
			if err != nil {
				return err
			}
			all := windows(w.readings)
			if len(all) == 0 || w.rate <= 0 || (len(w.saved) > 0) != saves {
				t.Errorf("saves %t: rate %v, %d windows, %d checkpoints", saves, w.rate, len(all), len(w.saved))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
