// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
	"xsweep/sweep"
	"xsweep/sweep/pace"
	"xsweep/sweep/reply"
	"xsweep/sweep/sink"
)

func TestAddTo(t *testing.T) {
	const text = `{"a":1,"b":{"c":[2,18446744073709551,"x"]}}`
	for _, tt := range []struct {
		name string
		path []any
		want string // empty: an error
	}{
		{"key", []any{"a"}, `{"a":6,"b":{"c":[2,18446744073709551,"x"]}}`},
		{"index", []any{"b", "c", 1}, `{"a":1,"b":{"c":[2,18446744073709556,"x"]}}`},
		{"no number", []any{"b", "c", 2}, ""},
		{"no such key", []any{"z"}, ""},
		{"no such index", []any{"b", "c", 3}, ""},
		{"no such way", []any{"a", "b"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := decodeState([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := addTo(s.fields, 5, tt.path...); (err == nil) != (tt.want != "") {
				t.Fatalf("error %v", err)
			}
			if tt.want == "" {
				return
			}
			got, err := json.Marshal(s.fields)
			if diff := cmp.Diff(tt.want, string(got)); err != nil || diff != "" {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestPlaceOfACheckpoint(t *testing.T) {
	for text, want := range map[string]uint64{
		`{"low":7,"done":[{"first":0,"next":7}]}`:                       7,
		`{"low":5,"done":[{"first":0,"next":7}]}`:                       0,
		`{"low":0,"done":[]}`:                                           0,
		`{"low":7,"done":[{"first":0,"next":7},{"first":9,"next":10}]}`: 0,
	} {
		s, err := decodeState([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.place(); got != want || (err == nil) != (want != 0) {
			t.Errorf("%s: place %d, error %v; want %d", text, got, err, want)
		}
	}
}

// stopper calls a function with each batch of records.
type stopper struct {
	sink.Durable
	stop func()
}

func (s stopper) Write(records []reply.Record) error {
	s.stop()
	return s.Durable.Write(records)
}

// A checkpoint that was made older is taken for what it seems to be: the sweep
// goes on from there, finds the rest, and its account adds up.
func TestGrownCheckpoint(t *testing.T) {
	labtest.Kernel(t)
	path := filepath.Join(t.TempDir(), "checkpoint")
	err := inLab(tenthLive, func(*lab.Lab) error {
		part := func(b *bench, c sweep.Config, stop func()) (s sweep.Summary, err error) {
			if c.Checkpoint, err = sweep.OpenCheckpoint(path); err != nil {
				return s, err
			}
			defer c.Checkpoint.Close()
			to := sink.NewStream(io.Discard, sink.Config{Path: "discard", Checkpointed: true})
			if from := c.Checkpoint.Mark("discard"); from != nil {
				to.Continue(*from)
			}
			c.Tx, c.Threads, c.Cooldown = sweep.TxPacket, 1, settle
			return b.sweepInto(range65k, c, stopper{to, stop})
		}
		ctx, stop := context.WithCancel(t.Context())
		young, err := part(&bench{ctx: ctx}, sweep.Config{Rate: 20_000}, stop)
		if err != nil {
			return err
		}
		g, err := growCheckpoint(path, range65k, tenthLive, 90)
		if err != nil {
			return err
		}
		if young.Targets.Swept >= g.place || g.place != g.of/100*90 || g.hosts >= g.live {
			t.Fatalf("of %d: %+v", young.Targets.Swept, g)
		}
		if _, err := growCheckpoint(path, range65k, tenthLive, 90); err == nil || !strings.Contains(err.Error(), "already") {
			t.Errorf("once more: error %v", err)
		}
		s, err := part(testBench(), sweep.Config{Rate: pace.Max}, func() {})
		if err != nil {
			return err
		}
		if s.Targets.Answered != g.live || s.Targets.Swept != g.of || s.Runs != 2 || s.Probes.Accepted != g.of {
			t.Errorf("%+v: %d runs, targets %+v, probes %+v", g, s.Runs, s.Targets, s.Probes)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A program that ends without a probe has no time of its first one.
func TestNoFirstProbe(t *testing.T) {
	labtest.Kernel(t)
	ended := make(chan struct{})
	close(ended)
	err := inLab(lab.Config{Responder: lab.Sink}, func(l *lab.Lab) error {
		if d, err := firstProbe(l, time.Now(), ended); err == nil {
			t.Errorf("after %v, but there was none", d)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
