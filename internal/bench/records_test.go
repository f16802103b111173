// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/lab/labtest"
	"xsweep/loader"
	"xsweep/sweep/reply"
	"xsweep/sweep/sink"
)

// Goals are for files, and one allocation in a thousand batches is none.
func TestRecordRows(t *testing.T) {
	runs := []*recordRun{
		{Name: "csv", To: aFile, Goal: 100, Digits: 4, Rates: series{100}, Limit: "plain", Limits: series{200}, Allocations: series{0, 0.00001}},
		{Name: "jsonl", To: aFile, Goal: 100, Digits: 4, Rates: series{99}, Limit: "plain", Limits: series{198}, Allocations: series{0, 0.0002}},
		{Name: "csv", To: os.DevNull, Rates: series{300}, Limit: "other", Limits: series{100}, Allocations: series{9}},
	}
	const want = `csv to a file / plain: 0.5 ok
jsonl to a file / plain: 0.5 missed
csv to /dev/null / other: 3
csv: allocations a record / : - ok
jsonl: allocations a record / : - missed
`
	var got strings.Builder
	for _, r := range recordRows(runs) {
		fmt.Fprintln(&got, strings.TrimSpace(fmt.Sprintf("%s / %s: %s %s", r.What, r.Limit, plain(r.Ratio), r.verdict())))
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// The samples are what a sweep gets: distinct hosts, and an error in a hundred.
func TestSamples(t *testing.T) {
	labtest.Kernel(t)
	const n = 5000
	s, err := takeSamples(n)
	if err != nil {
		t.Fatal(err)
	}
	hosts := map[netip.Addr]bool{}
	verdicts := map[loader.Verdict]int{}
	for k := range s.count() {
		var r reply.Record
		if err := r.Decode(s.at(k), s.wallOffset); err != nil {
			t.Fatal(err)
		}
		hosts[r.Addr] = true
		verdicts[r.Verdict]++
		if r.RTT == reply.RTTUnknown || r.RTT < 0 {
			t.Fatalf("record %d: round-trip time %v", k, r.RTT)
		}
	}
	if diff := cmp.Diff(map[loader.Verdict]int{loader.First: n - n/errorEvery, loader.Error: n / errorEvery}, verdicts); diff != "" || len(hosts) != n {
		t.Errorf("%d hosts, verdicts (-want +got):\n%s", len(hosts), diff)
	}
}

// Every way is measured or says why it is not, no record is written in vain, and
// nothing is left of the files.
func TestMeasureRecords(t *testing.T) {
	labtest.Kernel(t)
	s, err := takeSamples(3*recordBatch + 1)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	runs := newRecordRuns()
	if err := measureRecords(s, runs, 2); err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		if len(r.Rates) != 2 || len(r.Limits) != 2 || r.Limit == "" || len(r.Allocations) != 2 || r.Rates[0] <= 0 || r.Limits[0] <= 0 {
			t.Errorf("%+v", r)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
	if _, err := (&samples{}).write(discard()); err == nil {
		t.Error("no records passed for a measurement")
	}
}

// What the standard library's encoders write is what ours do: else they would be
// compared with something else.
func TestPlainEncoders(t *testing.T) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 70, time.UTC)
	records := []reply.Record{
		{Time: at, Addr: netip.MustParseAddr("240.0.0.1"), From: netip.MustParseAddr("240.0.0.1"), Kind: reply.EchoReply, TTL: 57,
			Attempt: 1, Verdict: loader.First, Size: 28, RTT: 1234567, ClockOffset: reply.OffsetUnknown},
		{Time: at, Addr: netip.MustParseAddr("240.0.0.2"), From: netip.MustParseAddr("198.0.0.2"), Kind: reply.TimeExceeded, Type: 11, TTL: 250,
			Verdict: loader.Error, Size: 56, RTT: reply.RTTUnknown, QuotedTTL: 1, ClockOffset: reply.OffsetUnknown},
	}
	for _, format := range []sink.Format{sink.CSV, sink.JSONLines} {
		var ours, theirs bytes.Buffer
		w := sink.NewWriter(&ours, sink.Config{Format: format})
		if err := w.Write(records); err != nil {
			t.Fatal(err)
		}
		e, err := newPlainEncoder(format.String(), &theirs)
		if err != nil {
			t.Fatal(err)
		}
		for k := range records {
			if err := e.write(&records[k]); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.flush(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ours.String(), theirs.String()); diff != "" {
			t.Errorf("%v (-ours +the standard library's):\n%s", format, diff)
		}
	}
	if _, err := newPlainEncoder("parquet", nil); err == nil {
		t.Error("the standard library writes Parquet")
	}
}

// What a copy on one core hands over is what is made into rows.
func TestRecordRunsComeBack(t *testing.T) {
	runs := newRecordRuns()
	runs[0].Rates, runs[0].Limit = series{1, 2}, "plain"
	text, err := json.Marshal(runs)
	if err != nil {
		t.Fatal(err)
	}
	var back []*recordRun
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(runs, back); diff != "" {
		t.Errorf("(-was +came back):\n%s", diff)
	}
}
