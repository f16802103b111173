// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func open(t *testing.T, c Config, from *Mark) Durable {
	t.Helper()
	d, err := Open(c, from)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func mark(t *testing.T, d Durable) Mark {
	t.Helper()
	m, err := d.Mark()
	must(t, err)
	return m
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

func fifo(t *testing.T, path string) {
	t.Helper()
	must(t, unix.Mkfifo(path, 0o600))
}

// names are what stands in a directory.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	found := []string{}
	for _, e := range entries {
		found = append(found, e.Name())
	}
	return found
}

func checkNames(t *testing.T, when, dir string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), names(t, dir)); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", when, diff)
	}
}

func checkFile(t *testing.T, when, path, want string) {
	t.Helper()
	if got := string(read(t, path)); got != want {
		t.Fatalf("%s: %q, want %q", when, got, want)
	}
}

// A file has its name only when it is complete.
func TestFileGetsItsName(t *testing.T) {
	dir := t.TempDir()
	c := Config{Path: filepath.Join(dir, "a.txt")}
	d := open(t, c, nil)
	checkNames(t, "opened", dir, "a.txt.partial")
	if err := d.Publish(); err == nil {
		t.Fatal("published before it was closed")
	}
	must(t, d.Write(numbered(2)))
	checkFile(t, "written", c.Path+".partial", "198.18.0.0\n198.18.0.1\n")
	must(t, d.Close(), d.Close())
	checkNames(t, "closed", dir, "a.txt.partial")
	for range 2 {
		must(t, d.Publish(), d.Sync(), d.Committed())
		checkNames(t, "published", dir, "a.txt")
	}
	checkFile(t, "published", c.Path, "198.18.0.0\n198.18.0.1\n")
	if diff := cmp.Diff(Mark{Size: 22, Closed: true, Counts: Counts{Path: c.Path, Format: "text", Written: 2}}, mark(t, d)); diff != "" {
		t.Errorf("mark (-want +got):\n%s", diff)
	}
}

// What keeps a file from being written is told at once, and nothing is left.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(in("there"), []byte("old"), 0o666), os.WriteFile(in("left.partial"), []byte("old"), 0o666),
		os.Symlink("nowhere", in("link")), os.Mkdir(in("folder.partial"), 0o777))
	before := names(t, dir)
	for _, tc := range []struct {
		path  string
		force bool
		want  []string
	}{
		{in("there"), false, []string{in("there") + " exists", "--force"}},
		{in("link"), false, []string{in("link") + " exists", "--force"}},
		{in("left"), false, []string{in("left.partial") + " is left over", "move it away", "--force"}},
		{in("folder"), true, []string{in("folder.partial"), "is a directory"}},
		{dir, true, []string{dir + " is a directory"}},
		{in("no/such"), true, []string{in("no/such"), "no such file"}},
		{in("there/x"), true, []string{"not a directory"}},
		{"/proc/x.csv", false, []string{"/proc/x.csv"}},
	} {
		d, err := Open(Config{Path: tc.path, Force: tc.force}, nil)
		if err == nil {
			t.Errorf("%s: %T is open", tc.path, d)
			continue
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: error %q, should say %q", tc.path, err, want)
			}
		}
	}
	checkNames(t, "after all", dir, before...)
}

// With force the old content stays until the new one is complete.
func TestForce(t *testing.T) {
	dir := t.TempDir()
	c := Config{Path: filepath.Join(dir, "a"), Force: true}
	must(t, os.WriteFile(c.Path, []byte("old\n"), 0o666), os.WriteFile(c.Path+".partial", []byte("left over, and longer than what comes\n"), 0o666))
	d := open(t, c, nil)
	checkFile(t, "opened", c.Path+".partial", "left over, and longer than what comes\n")
	must(t, d.Write(numbered(1)), d.Close())
	checkFile(t, "closed", c.Path, "old\n")
	must(t, d.Publish())
	checkFile(t, "published", c.Path, "198.18.0.0\n")
	checkNames(t, "published", dir, "a")
}

// What was left over goes also where no record comes.
func TestForceNothing(t *testing.T) {
	c := Config{Path: filepath.Join(t.TempDir(), "a"), Force: true}
	must(t, os.WriteFile(c.Path+".partial", []byte("left over"), 0o666))
	d := open(t, c, nil)
	m := mark(t, d)
	checkFile(t, "marked", c.Path+".partial", "")
	must(t, d.Close(), d.Publish())
	checkFile(t, "published", c.Path, "")
	if m.Size != 0 {
		t.Errorf("mark at %d", m.Size)
	}
}

// A name that somebody took meanwhile is left alone.
func TestNameTakenMeanwhile(t *testing.T) {
	dir := t.TempDir()
	c := Config{Path: filepath.Join(dir, "a")}
	d := open(t, c, nil)
	must(t, d.Write(numbered(1)), d.Close(), os.WriteFile(c.Path, []byte("other"), 0o666))
	if err := d.Publish(); err == nil || !strings.Contains(err.Error(), c.Path+".partial") {
		t.Errorf("error %v, should say where the results are", err)
	}
	checkFile(t, "refused", c.Path, "other")
	must(t, os.Remove(c.Path), d.Publish())
	checkFile(t, "published", c.Path, "198.18.0.0\n")
}

// If the sweep never starts all is as before.
func TestDiscard(t *testing.T) {
	dir := t.TempDir()
	c := Config{Path: filepath.Join(dir, "a")}
	Discard(open(t, c, nil))
	checkNames(t, "a new file", dir)

	d := open(t, c, nil)
	must(t, d.Write(numbered(1)))
	Discard(d)
	checkNames(t, "one that was written to", dir, "a.partial")

	c.Force = true
	Discard(open(t, c, nil))
	checkFile(t, "what was left over", c.Path+".partial", "198.18.0.0\n")

	d = open(t, Config{Path: "/dev/null"}, nil)
	Discard(d)
	Discard(NewStream(nil, Config{}))
	must(t, os.Remove(c.Path+".partial"))
	d = open(t, c, nil)
	must(t, d.Close())
	Discard(d)
	checkNames(t, "a closed file", dir, "a.partial")
}

// No two sweeps write to one file.
func TestLock(t *testing.T) {
	c := Config{Path: filepath.Join(t.TempDir(), "a"), Force: true}
	d := open(t, c, nil)
	must(t, d.Write(numbered(1)))
	m := mark(t, d)
	for _, from := range []*Mark{nil, &m} {
		if _, err := Open(c, from); err == nil || !strings.Contains(err.Error(), "another sweep") {
			t.Errorf("opened twice: %v", err)
		}
	}
	must(t, d.Write(numbered(1)), d.Close())
	checkFile(t, "closed", c.Path+".partial", "198.18.0.0\n198.18.0.0\n")
}

// Devices and pipes are written directly.
func TestDirect(t *testing.T) {
	d := open(t, Config{Path: "/dev/null", Format: CSV, Fields: []Field{Addr}}, nil)
	must(t, d.Write(numbered(1)))
	if m := mark(t, d); m.Size != 16 || m.Counts.Written != 1 {
		t.Errorf("mark %+v", m)
	}
	must(t, d.Sync(), d.Committed(), d.Close(), d.Close(), d.Publish())
	if info, err := os.Stat("/dev/null"); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		t.Fatalf("/dev/null is %v (%v)", info.Mode(), err)
	}

	dir := t.TempDir()
	path := filepath.Join(dir, "pipe.csv")
	fifo(t, path)
	reader, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer reader.Close()
	d = open(t, Config{Path: path}, nil)
	must(t, d.Write(numbered(1)), d.Close(), d.Publish())
	b := make([]byte, 100)
	n, err := reader.Read(b)
	if string(b[:n]) != "198.18.0.0\n" || err != nil {
		t.Errorf("%q came through the pipe (%v)", b[:n], err)
	}
	checkNames(t, "a pipe", dir, "pipe.csv")
	if _, err := Open(Config{Path: path, Format: Parquet}, nil); err == nil {
		t.Error("Parquet into a pipe")
	}
}

// A full device is told, and counted.
func TestFullDevice(t *testing.T) {
	d := open(t, Config{Path: "/dev/full"}, nil)
	if err := d.Write(numbered(3)); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("error %v", err)
	}
	if err := d.Close(); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("Close: %v", err)
	}
	must(t, d.Publish())
	if diff := cmp.Diff(Counts{Path: "/dev/full", Format: "text", Failed: 3}, d.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}
