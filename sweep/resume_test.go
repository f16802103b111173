// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"

	"xsweep/internal/durable"
	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
	"xsweep/sweep/checkpoint"
	"xsweep/sweep/sink"
	"xsweep/sweep/target"
)

// lasting is a sweep over several runs, whose files are in one directory.
type lasting struct {
	dir    string
	config Config
}

// lastingSinks are its outputs, but for the live set.
var lastingSinks = []sink.Config{
	{Path: "live.txt", Format: sink.Text},
	{Path: "live.jsonl", Format: sink.JSONLines},
	{Path: "packed.txt.zst", Format: sink.Text, Compression: sink.Zstd},
	{Path: "live.parquet", Format: sink.Parquet},
}

func (l *lasting) path(name string) string { return filepath.Join(l.dir, name) }

// open opens the checkpoint and all outputs, as it says.
func (l *lasting) open(t *testing.T, ck string) (*Checkpoint, []sink.Sink) {
	t.Helper()
	c, err := OpenCheckpoint(ck)
	if err != nil {
		t.Fatal(err)
	}
	var sinks []sink.Sink
	for _, o := range lastingSinks {
		o.Path, o.Checkpointed = l.path(o.Path), true
		s, err := sink.Open(o, c.Mark(o.Path))
		if err != nil {
			t.Fatal(err)
		}
		sinks = append(sinks, s)
	}
	from := c.Mark(l.path("live.roaring"))
	if _, complete := c.Complete(); complete {
		return c, append(sinks, sink.OpenClosed(l.path("live.roaring"), false, *from))
	}
	live, err := sink.NewLiveSet(l.path("live.roaring"), false, true)
	if err != nil {
		t.Fatal(err)
	}
	if from != nil {
		var failed error
		live.Continue(*from)
		live.Seed(c.Live(&failed))
		if failed != nil {
			t.Fatal(failed)
		}
	}
	return c, append(sinks, live)
}

// run makes a run of the sweep, with the checkpoint of that name.
func (l *lasting) run(ctx context.Context, t *testing.T, c *Checkpoint, sinks []sink.Sink) (Summary, error) {
	t.Helper()
	defer c.Close()
	config := l.config
	config.Checkpoint = c
	return Run(ctx, config, sinks...)
}

// check holds the outputs and the account of a complete sweep against the truth.
func (l *lasting) check(t *testing.T, s *Summary, world lab.Config) {
	t.Helper()
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	var want []string
	set := target.SetOf(l.config.Targets)
	for a := range world.Answering(set, labSweep(t, l.config)) {
		want = append(want, a.String())
	}
	slices.Sort(want)
	for _, o := range lastingSinks {
		if got := slices.Sorted(slices.Values(l.addresses(t, o))); !slices.Equal(got, want) {
			t.Errorf("%s has %d addresses, %d different ones, want %d", o.Path, len(got), len(slices.Compact(got)), len(want))
		}
	}
	content, err := os.ReadFile(l.path("live.roaring"))
	if err != nil {
		t.Fatal(err)
	}
	live := roaring.New()
	if _, err := live.ReadFrom(bytes.NewReader(content)); err != nil || live.GetCardinality() != uint64(len(want)) {
		t.Errorf("live set of %d, want %d (%v)", live.GetCardinality(), len(want), err)
	}
	if s.Targets.Swept != set.Len() || s.Targets.Answered != uint64(len(want)) || total(s.Probes.Unsent) != 0 {
		t.Errorf("targets %+v, unsent %v; want %d and %d", s.Targets, s.Probes.Unsent, set.Len(), len(want))
	}
}

// addresses are those in an output.
func (l *lasting) addresses(t *testing.T, o sink.Config) []string {
	t.Helper()
	if o.Format == sink.Parquet {
		rows, err := parquet.ReadFile[struct {
			Addr string `parquet:"addr"`
		}](l.path(o.Path))
		if err != nil {
			t.Fatalf("%s: %v", o.Path, err)
		}
		var found []string
		for _, r := range rows {
			found = append(found, r.Addr)
		}
		return found
	}
	content, err := os.ReadFile(l.path(o.Path))
	if err == nil && o.Compression == sink.Zstd {
		var r *zstd.Decoder
		if r, err = zstd.NewReader(bytes.NewReader(content)); err == nil {
			content, err = io.ReadAll(r)
			r.Close()
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", o.Path, err)
	}
	found := strings.Fields(string(content))
	if o.Format != sink.JSONLines {
		return found
	}
	found = nil
	for line := range bytes.Lines(content) {
		var record struct{ Addr string }
		if err := json.Unmarshal(line, &record); err != nil {
			t.Fatalf("%s: %q: %v", o.Path, line, err)
		}
		found = append(found, record.Addr)
	}
	return found
}

// Of what has no account no more can have been sent than was allowed, nor more
// than there was time for.
func TestUnaccounted(t *testing.T) {
	for _, tc := range []struct {
		was  savedState
		boot string
		now  int64
		want uint64
	}{
		{savedState{Allowed: 5000, Boot: "a", At: 1e9, Rate: 1000}, "a", 2e9, 1064},
		{savedState{Allowed: 500, Boot: "a", At: 1e9, Rate: 1000}, "a", 2e9, 500},
		{savedState{Allowed: 5000, Boot: "a", At: 1e9, Rate: 1000}, "b", 2e9, 5000}, // another uptime
		{savedState{Allowed: 5000, Boot: "a", At: 1e9}, "a", 2e9, 5000},             // no rate
		{savedState{Boot: "a", At: 1e9, Rate: 1000}, "a", 2e9, 0},                   // it had ended
	} {
		if got := unaccounted(&tc.was, tc.boot, tc.now); got != tc.want {
			t.Errorf("%+v: %d, want %d", tc, got, tc.want)
		}
	}
}

// The clock of round trips begins anew with the machine: what was sent before tells
// none.
func TestNextRun(t *testing.T) {
	boot, _ := bootTime()
	if boot == "" {
		t.Fatal("the kernel does not name its uptime")
	}
	file := begunFile(t)
	for _, tc := range []struct {
		boot      string
		run       uint16
		want      uint16 // first run of this uptime
		wantError string
	}{
		{boot, 7, 3, ""},
		{"another", 7, 8, ""},
		{"", 7, 8, ""},
		{boot, maxRun, 0, "was resumed 65535 times"},
	} {
		c := &Checkpoint{file: file, state: savedState{Key: "00", Boot: tc.boot, Run: tc.run, FirstRun: 3, Low: 5}}
		s, err := c.next([16]byte{1}, 10)
		if tc.wantError != "" {
			if !containsText(err, tc.wantError) {
				t.Errorf("%+v: error %v", tc, err)
			}
			continue
		}
		if err != nil || s.Run != tc.run+1 || s.FirstRun != tc.want || s.Boot != boot || s.Low != 5 || s.Key != "00" {
			t.Errorf("%+v: %+v, %v", tc, s, err)
		}
	}
	fresh, err := OpenCheckpoint(filepath.Join(t.TempDir(), "ck"))
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if s, err := fresh.next([16]byte{1}, 10); err != nil || s.Key != hex.EncodeToString(append([]byte{1}, make([]byte, 15)...)) || s.Run != 0 || s.FirstRun != 0 {
		t.Errorf("the first run: %+v, %v", s, err)
	}
}

// What was found and could not be saved is in the next checkpoint.
func TestFoundIsPutBack(t *testing.T) {
	world := lab.Config{Live: 0.5, Seed: 31}
	startLab(t, world)
	disk := labtest.Disk(t, 1<<20)
	l := &lasting{dir: t.TempDir(), config: Config{
		Targets: named(t, "240.9.0.0/17"), Rate: 40_000, Cooldown: 100 * time.Millisecond, CheckpointEvery: 100 * time.Millisecond, Seed: 5,
	}}
	ck := filepath.Join(disk, "ck")
	c, sinks := l.open(t, ck)
	// From the third save on there is no room, until one has failed.
	saves, saved, filler := 0, false, ""
	stop := durable.Observe(func(path string) {
		switch path {
		case disk:
			saved = true
		case l.path("live.txt.partial"): // a save begins
			if saves++; saves == 3 {
				filler = labtest.Fill(t, disk, 0)
			} else if filler != "" && !saved {
				os.Remove(filler)
				filler = ""
			}
			saved = false
		}
	})
	_, err := l.run(t.Context(), t, c, sinks)
	stop()
	if !containsText(err, "no space left on device") || saves < 4 {
		t.Fatalf("error %v, after %d saves", err, saves)
	}
	c, sinks = l.open(t, ck)
	s, err := l.run(t.Context(), t, c, sinks)
	if err != nil {
		t.Fatal(err)
	}
	l.check(t, &s, world)
	if s.Runs != 2 {
		t.Errorf("%d runs", s.Runs)
	}
}

// begunFile is a checkpoint that has a state.
func begunFile(t *testing.T) *checkpoint.File {
	t.Helper()
	f, err := checkpoint.Open(filepath.Join(t.TempDir(), "ck"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Begin(nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Save(new(checkpoint.Found), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	return f
}
