// SPDX-License-Identifier: Apache-2.0

package checkpoint_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"xsweep/internal/durable"
	"xsweep/loader"
	"xsweep/sweep/checkpoint"
)

type answer struct {
	Target           uint32
	Request, Attempt uint8
}

func byText(a, b answer) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }

var (
	answers = []answer{
		{Target: 0xc6120001, Request: 8, Attempt: 1}, {Target: 0xc6120002, Request: 8, Attempt: 1},
		{Target: 0xc6120001, Request: 13}, {Target: 0xffffffff, Request: 8, Attempt: 61},
	}
	refusals = []loader.Refusal{{Target: 0xc6120003, From: 0xcb007101, Type: 3, Code: 1}, {Target: 0, From: 0xffffffff, Type: 12, Code: 255}}
)

// begin makes a checkpoint that was saved twice.
func begin(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "ck")
	f := open(t, path)
	if f.State() != nil || f.Plan() != nil {
		t.Errorf("a new checkpoint has a state %q, a plan %q", f.State(), f.Plan())
	}
	if err := f.Begin([]byte("the plan")); err != nil {
		t.Fatal(err)
	}
	save(t, f, 0, `{"n":1}`)
	save(t, f, 1, `{"n":2}`)
	closeFile(t, f)
	return path
}

func open(t *testing.T, path string) *checkpoint.File {
	t.Helper()
	f, err := checkpoint.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func closeFile(t *testing.T, f *checkpoint.File) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// save saves a state with the nth half of what there is.
func save(t *testing.T, f *checkpoint.File, half int, state string) {
	t.Helper()
	var found checkpoint.Found
	found.Answer(1, 8, 1)
	found.Refusal(refusals[0])
	found.Reset() // leaves nothing of that
	for _, a := range answers[2*half:][:2] {
		found.Answer(a.Target, a.Request, a.Attempt)
	}
	found.Refusal(refusals[half])
	if err := f.Save(&found, []byte(state)); err != nil {
		t.Fatal(err)
	}
}

// found is what a checkpoint has, in a fixed order.
func found(t *testing.T, f *checkpoint.File) ([]answer, []loader.Refusal) {
	t.Helper()
	var failed error
	var a []answer
	for block := range f.Answers(&failed) {
		for _, target := range block.Targets {
			a = append(a, answer{target, block.Request, block.Attempt})
		}
	}
	slices.SortFunc(a, byText)
	if failed != nil {
		t.Fatal(failed)
	}
	r := slices.Collect(f.Refusals(&failed))
	if failed != nil {
		t.Fatal(failed)
	}
	return a, r
}

func TestReadBack(t *testing.T) {
	path := begin(t)
	for _, tc := range []struct {
		name, state string
		answers     []answer
		refusals    []loader.Refusal
	}{
		{path, `{"n":2}`, answers, refusals},
		{path + ".prev", `{"n":1}`, answers[:2], refusals[:1]},
	} {
		f := open(t, tc.name)
		if string(f.State()) != tc.state || string(f.Plan()) != "the plan" {
			t.Errorf("%s: state %q, plan %q", tc.name, f.State(), f.Plan())
		}
		a, r := found(t, f)
		want := slices.SortedFunc(slices.Values(tc.answers), byText)
		if !slices.Equal(a, want) || !slices.Equal(r, tc.refusals) {
			t.Errorf("%s: found %v and %v", tc.name, a, r)
		}
		closeFile(t, f)
		if info, err := os.Stat(tc.name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s holds a key: %v, %v", tc.name, info.Mode(), err)
		}
	}
}

// What a killed run had appended after it saved last is not there.
func TestContinueCutsTheLog(t *testing.T) {
	path := begin(t)
	log, err := os.ReadFile(path + ".log")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".log", append(bytes.Clone(log), "half a block"...), 0o600); err != nil {
		t.Fatal(err)
	}
	f := open(t, path)
	if a, _ := found(t, f); len(a) != len(answers) {
		t.Errorf("found %v", a)
	}
	if err := f.Continue(); err != nil {
		t.Fatal(err)
	}
	if now, _ := os.ReadFile(path + ".log"); !bytes.Equal(now, log) {
		t.Error("the log has more than what was saved")
	}
	save(t, f, 0, `{"n":3}`)
	closeFile(t, f)
	if a, _ := found(t, open(t, path)); len(a) != len(answers)+2 {
		t.Errorf("found %v", a)
	}
}

// A bit that changed, or an end that is missing, is refused wherever it is, in
// words that name the file; the state before it goes on.
func TestDamaged(t *testing.T) {
	path := begin(t)
	for _, name := range []string{path, path + ".log"} {
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		check := func(what string, content []byte) {
			t.Helper()
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := checkpoint.Open(path)
			if err == nil {
				f.Close()
			}
			if !errors.Is(err, checkpoint.ErrDamaged) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%s: %s: %v", filepath.Base(name), what, err)
			}
			if strings.Contains(err.Error(), "mv ") != (name == path || strings.Contains(err.Error(), ".prev")) {
				t.Fatalf("%s: %s: %v", filepath.Base(name), what, err)
			}
		}
		for i := range whole {
			check(fmt.Sprintf("cut at %d", i), whole[:i])
			for bit := range 8 {
				changed := bytes.Clone(whole)
				changed[i] ^= 1 << bit
				check(fmt.Sprintf("bit %d of byte %d", bit, i), changed)
			}
		}
		if err := os.WriteFile(name, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(path+".prev", path); err != nil {
		t.Fatal(err)
	}
	if f := open(t, path); string(f.State()) != `{"n":1}` {
		t.Errorf("the one before it: %q", f.State())
	}
}

func TestLocked(t *testing.T) {
	path := begin(t)
	for _, name := range []string{path, filepath.Join(t.TempDir(), "new")} {
		first := open(t, name)
		if _, err := checkpoint.Open(name); !errors.Is(err, checkpoint.ErrLocked) {
			t.Errorf("a second process: %v", err)
		}
		if name == path {
			// Both names of one sweep are one checkpoint.
			if _, err := checkpoint.Open(name + ".prev"); !errors.Is(err, checkpoint.ErrLocked) {
				t.Errorf("the one before it: %v", err)
			}
		}
		closeFile(t, first)
		closeFile(t, open(t, name))
	}
}

// Whoever looks at a checkpoint and does nothing leaves nothing.
func TestNothingBegun(t *testing.T) {
	dir := t.TempDir()
	closeFile(t, open(t, filepath.Join(dir, "ck")))
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := checkpoint.Open(filepath.Join(dir, "none", "ck")); err == nil {
		t.Error("a directory that is not there: no error")
	}
	path := begin(t)
	if err := os.Remove(path + ".log"); err != nil {
		t.Fatal(err)
	}
	if _, err := checkpoint.Open(path); err == nil || !strings.Contains(err.Error(), "ck.log is gone") {
		t.Errorf("without its log: %v", err)
	}
}

// The log is durable before the state that speaks of it, and both before Save
// returns.
func TestOrder(t *testing.T) {
	path := begin(t)
	f := open(t, path)
	var synced []string
	stop := durable.Observe(func(name string) { synced = append(synced, filepath.Base(name)) })
	defer stop()
	save(t, f, 0, `{"n":3}`)
	if want := []string{"ck.log", "ck.new", filepath.Base(filepath.Dir(path))}; !slices.Equal(synced, want) {
		t.Errorf("synced %v, not %v", synced, want)
	}
}
