// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"xsweep/internal/lab"
)

// saga is one sweep over several runs of the command.
type saga struct {
	world   lab.Config
	targets string
	args    []string
	dir     string

	checkpoint string

	tx      uint64 // of the device, before
	counted int    // runs that a checkpoint tells of
	kills   int
	killed  time.Time
	shown   string // on standard output by all runs

	complete bool
}

// lastingOutputs are what each saga writes.
var lastingOutputs = []struct {
	name   string
	format string
}{
	{"live.csv", "csv"},
	{"live.jsonl", "jsonl"},
	{"packed.csv.gz", "csv"},
	{"packed.jsonl.zst", "jsonl"},
	{"live.parquet", "parquet"},
}

const liveSet = "live.roaring"

// newSaga prepares a sweep; later flags are stronger than those it has.
func newSaga(t *testing.T, world lab.Config, targets string, flags ...string) *saga {
	t.Helper()
	s := &saga{world: world, targets: targets, dir: t.TempDir()}
	s.args = []string{"sweep", "--quiet", "--cooldown", "200ms", "--checkpoint", s.path("ck"), "--checkpoint-every", "50ms", "--summary", s.path("run.json")}
	for _, o := range lastingOutputs {
		s.args = append(s.args, "-o", s.path(o.name))
	}
	if !slices.Contains(flags, "errors") {
		s.args = append(s.args, "--live-set", s.path(liveSet))
	}
	s.args = append(append(s.args, flags...), targets)
	s.checkpoint = s.flag("--checkpoint", "")
	s.tx = s.counter(t)
	return s
}

func (s *saga) path(name string) string { return filepath.Join(s.dir, name) }

func (s *saga) counter(t *testing.T) uint64 {
	t.Helper()
	return device(t).Attrs().Statistics.TxPackets
}

// sent is how many frames the device has sent in all runs.
func (s *saga) sent(t *testing.T) uint64 {
	t.Helper()
	return s.counter(t) - s.tx
}

// begin starts a run: by the command that the sweep was begun with, or by
// --resume alone where there is something to go on with.
func (s *saga) begin(t *testing.T, alone bool, more ...string) *child {
	t.Helper()
	args := s.args
	if alone && isThere(s.checkpoint) {
		args = []string{"sweep", "--resume", s.checkpoint}
	}
	c := beginCommand(t, command(t, append(slices.Clone(args), more...)...))
	c.summary = s.path("run.json")
	return c
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// end waits for a run, and counts it if the checkpoint tells of it, which it must
// if it has sent anything.
func (s *saga) end(t *testing.T, c *child) result {
	t.Helper()
	before := s.sent(t)
	r := c.end(t)
	s.shown += r.stdout
	runs := s.state(t).Account.Runs
	switch {
	case runs == s.counted+1:
		s.counted++
	case runs != s.counted:
		t.Fatalf("the checkpoint tells of %d runs, and before this one of %d", runs, s.counted)
	case s.sent(t) != before:
		t.Fatalf("%d probes were sent before a checkpoint was saved", s.sent(t)-before)
	}
	return r
}

// runUntil runs the command until it is killed, and says whether it was; else it
// has come to its end before.
func (s *saga) runUntil(t *testing.T, alone bool, after time.Duration) (killed bool) {
	t.Helper()
	c := s.begin(t, alone)
	done := make(chan struct{})
	timer := time.AfterFunc(after, func() {
		s.killed = time.Now()
		_ = c.Process.Kill() // fails if it has ended
		close(done)
	})
	r := s.end(t, c)
	if !timer.Stop() {
		<-done
	}
	switch r.status {
	case 137:
		s.kills++
		return true
	case 0:
		s.complete = true
	default:
		t.Fatalf("status %d, %s", r.status, r.stderr)
	}
	return false
}

// finish lets a run come to the sweep's end.
func (s *saga) finish(t *testing.T, more ...string) {
	t.Helper()
	if s.complete {
		return
	}
	if r := s.end(t, s.begin(t, s.kills%2 == 0, more...)); r.status != 0 {
		t.Fatalf("status %d, %s", r.status, r.stderr)
	}
	s.complete = true
}

// check holds the results and the account of a sweep that is complete against
// what is true.
func (s *saga) check(t *testing.T) account {
	t.Helper()
	a := s.account(t)
	truth := s.truth(t, a)
	for _, o := range lastingOutputs {
		if problem := compareSets(resultsOf(t, s.path(o.name), o.format), truth.records); problem != "" {
			t.Errorf("%s, after %d kills: %s", o.name, s.kills, problem)
		}
	}
	if isThere(s.path(liveSet)) {
		if problem := compareSets(readLiveSet(t, s.path(liveSet)), truth.live); problem != "" {
			t.Errorf("%s, after %d kills: %s", liveSet, s.kills, problem)
		}
	}
	for _, left := range []string{".partial", ".new"} {
		if names := glob(t, s.path("*"+left)); len(names) > 0 {
			t.Errorf("left over: %v", names)
		}
	}
	n := a.count
	for _, e := range []struct {
		what      string
		got, want uint64
	}{
		{"runs", n("runs"), uint64(s.counted)},
		{"targets swept", n("targets.swept"), truth.targets},
		{"answered", n("targets.answered"), truth.Answered},
		{"errors only", n("targets.errors_only"), truth.ErrorsOnly},
		{"both", n("targets.both"), truth.Both},
		{"silent", n("targets.silent"), truth.Silent},
		{"due", n("probes.due") - n("probes.again"), truth.targets * truth.probes},
		{"unsent", a.total("probes.unsent"), 0},
		{"written", n("records.sinks.0.written"), uint64(len(truth.records))},
	} {
		if e.got != e.want {
			t.Errorf("%s: %d, want %d", e.what, e.got, e.want)
		}
	}
	if sent, least := s.sent(t), n("probes.accepted"); sent < least || sent > least+n("probes.unaccounted_at_most") {
		t.Errorf("the device has sent %d, want from %d to %d more", sent, least, n("probes.unaccounted_at_most"))
	}
	return a
}

// account reads the last summary. It must be whole and add up.
func (s *saga) account(t *testing.T) account {
	t.Helper()
	text, err := os.ReadFile(s.path("run.json"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := readAccount(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(missing(a, "", accountKeys), a.identities()); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	return a
}

// awaitSent waits until the device has sent so many more frames.
func (s *saga) awaitSent(t *testing.T, c *child, n uint64) {
	t.Helper()
	for before := s.sent(t); s.sent(t) < before+n; runtime.Gosched() {
		c.alive(t)
	}
}

// awaitSaved waits for the first checkpoint.
func (s *saga) awaitSaved(t *testing.T, c *child) {
	t.Helper()
	for !isThere(s.checkpoint) {
		c.alive(t)
		runtime.Gosched()
	}
}

// tree is the content of all files by name, but for the summary.
func (s *saga) tree(t *testing.T) map[string]string {
	t.Helper()
	tree := map[string]string{}
	for _, path := range glob(t, s.path("*")) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if name := filepath.Base(path); name != "run.json" {
			tree[name] = string(text)
		}
	}
	return tree
}
