// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/sweep"
	"xsweep/sweep/reply"
	"xsweep/sweep/sink"
)

// Each answer must be written or counted as lost; one more or less is one too
// many.
func TestPressureRows(t *testing.T) {
	run := func(judged, recordLost, lost, written, arrived uint64) *pressureRun {
		s := sweep.Summary{
			Probes:  sweep.ProbeCounts{Accepted: 1000},
			Packets: sweep.PacketCounts{Judged: judged, Verdicts: map[string]uint64{"record_lost": recordLost}},
			Records: sweep.RecordCounts{Lost: lost, Sinks: []sink.Counts{{Written: written}}},
			Rate:    sweep.RateCounts{Mean: 500},
		}
		r := &pressureRun{}
		r.add(s, arrived)
		return r
	}
	for _, tt := range []struct {
		name             string
		slow, free, fast *pressureRun
		want             string
	}{
		{"as promised", run(1000, 0, 0, 1000, 1000), run(990, 600, 10, 380, 990), run(1000, 0, 0, 1000, 1000), "0 ok, 500, 495 ok, 61.6, 0 ok"},
		{"lost in spite of it", run(1000, 1, 0, 999, 1000), run(900, 900, 0, 0, 900), run(1000, 0, 0, 1000, 1000), "0.1 missed, 500, 450 missed, 100, 0 ok"},
		{"one too few", run(1000, 0, 0, 999, 1000), run(1000, 0, 0, 1000, 1000), run(1000, 0, 0, 1000, 1000), "0 ok, 500, 500 ok, 0, 1 missed"},
		{"one too many", run(1000, 0, 0, 1000, 1000), run(1000, 1, 0, 1000, 1000), run(1000, 0, 0, 1000, 1000), "0 ok, 500, 500 ok, 0.1, 1 missed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, r := range pressureRows(tt.slow, tt.free, tt.fast) {
				got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s", plain(r.Value), r.verdict())))
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, ", ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The slow sink hands on what it gets, and is busy for as long as that takes it.
func TestSlowSink(t *testing.T) {
	const n, rate = 100, 10_000
	s := &slowSink{Sink: discard(), rate: rate}
	for range 3 {
		before := s.free
		if err := s.Write(make([]reply.Record, n)); err != nil {
			t.Fatal(err)
		}
		if busy := s.free.Sub(before).Seconds(); busy < float64(n)/rate {
			t.Errorf("busy for %v s with %d records at %d a second", busy, n, rate)
		}
	}
	if got := s.Counts().Written; got != 3*n {
		t.Errorf("%d records handed on, want %d", got, 3*n)
	}
}
