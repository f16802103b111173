// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/durable"
	"xsweep/internal/testrand"
	"xsweep/sweep/reply"
)

// batches cuts records at random places; some are empty.
func batches(r *rand.Rand, records []reply.Record) (all [][]reply.Record) {
	for len(records) > 0 {
		n := r.IntN(min(len(records), 40) + 1)
		all, records = append(all, records[:n]), records[n:]
	}
	return all
}

func writeAll(t *testing.T, d Durable, all [][]reply.Record) {
	t.Helper()
	for _, batch := range all {
		must(t, d.Write(batch))
	}
}

// A sweep that is killed at any batch, with a mark before it, and goes on from
// the mark gives what one gives that is not killed. What stands behind the mark
// is gone, whatever it is; what stands before it can be read by itself.
func TestResume(t *testing.T) {
	seed := testrand.Seed(t)
	records := append(numbered(300), allRecords()...)
	encodings(t, func(t *testing.T, c Config) {
		r := rand.New(rand.NewPCG(seed, 0))
		all := batches(r, records)
		want := write(t, Config{Format: c.Format}, records...)
		for at := range len(all) + 1 {
			dir := t.TempDir()
			c.Path = filepath.Join(dir, "out")
			d := open(t, c, nil)
			writeAll(t, d, all[:at])
			m := mark(t, d)
			must(t, d.Sync())
			if again := mark(t, d); again != m {
				t.Fatalf("two marks in one place: %+v and %+v", m, again)
			}
			var given int
			for _, batch := range all[:at] {
				given += len(batch)
			}
			prefix := plain(t, c.Compression, read(t, c.Path+".partial")[:m.Size])
			if !strings.HasPrefix(want, prefix) || m.Counts.Written != uint64(given) {
				t.Fatalf("mark %+v after %d records: %q", m, given, prefix)
			}
			writeAll(t, d, all[at:min(at+r.IntN(3), len(all))])
			must(t, d.Close()) // gives the lock back; what it writes is behind the mark

			f, err := os.OpenFile(c.Path+".partial", os.O_WRONLY|os.O_APPEND, 0)
			must(t, err)
			_, err = f.WriteString("garbage\n"[:r.IntN(9)])
			must(t, err, f.Close())

			d = open(t, c, &m)
			if diff := cmp.Diff(m.Counts, d.Counts()); diff != "" {
				t.Fatalf("counts gone on with (-want +got):\n%s", diff)
			}
			writeAll(t, d, all[at:])
			must(t, d.Close(), d.Publish())
			if got := plain(t, c.Compression, read(t, c.Path)); got != want {
				t.Fatalf("resumed at batch %d of %d:\n%s", at, len(all), cmp.Diff(want, got))
			}
			if got := d.Counts().Written; got != uint64(len(records)) {
				t.Fatalf("%d records written, want %d", got, len(records))
			}
			checkNames(t, "published", dir, "out")
		}
	})
}

// A limit holds over all runs.
func TestResumeLimit(t *testing.T) {
	c := Config{Path: filepath.Join(t.TempDir(), "a"), Limit: 5}
	d := open(t, c, nil)
	must(t, d.Write(numbered(4)))
	m := mark(t, d)
	must(t, d.Close())
	for limit, want := range map[uint64]Counts{5: {Written: 5, BeyondLimit: 2}, 3: {Written: 4, BeyondLimit: 3}, 0: {Written: 7}} {
		c.Limit = limit
		d = open(t, c, &m)
		must(t, d.Write(numbered(3)), d.Close())
		want.Path, want.Format = c.Path, "text"
		if diff := cmp.Diff(want, d.Counts()); diff != "" {
			t.Errorf("limit %d: counts (-want +got):\n%s", limit, diff)
		}
	}
}

// A file that is not the checkpoint's is not touched.
func TestResumeRefuses(t *testing.T) {
	dir := t.TempDir()
	c := Config{Path: filepath.Join(dir, "a")}
	if _, err := Open(c, &Mark{Size: 5}); err == nil || !strings.Contains(err.Error(), c.Path+".partial") {
		t.Errorf("no file: error %v", err)
	}
	checkNames(t, "no file", dir)
	must(t, os.WriteFile(c.Path+".partial", []byte("1234"), 0o666))
	_, err := Open(c, &Mark{Size: 5})
	for _, want := range []string{c.Path + ".partial", "4 bytes", "had 5", "does not belong"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("short file: error %v, should say %q", err, want)
		}
	}
	checkFile(t, "short file", c.Path+".partial", "1234")
}

// The name that a complete output should have, whatever of the renaming was
// done when the power went.
func TestResumeClosed(t *testing.T) {
	for _, tc := range []struct {
		name          string
		partial, path string // content; "" for none
		force, fails  bool
		want          string
	}{
		{"not renamed", "12345", "", false, false, "12345"},
		{"renamed", "", "12345", false, false, "12345"},
		{"replaces", "12345", "old", true, false, "12345"},
		{"taken by others", "12345", "old", false, true, "old"},
		{"renamed, another sweep", "12", "12345", true, false, "12345"},
		{"both of another length", "12", "123", true, true, "123"},
		{"gone", "", "", false, true, ""},
		{"short", "", "1234", false, true, "1234"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Config{Path: filepath.Join(t.TempDir(), "a"), Force: tc.force}
			for path, content := range map[string]string{c.Path: tc.path, c.Path + ".partial": tc.partial} {
				if content != "" {
					must(t, os.WriteFile(path, []byte(content), 0o666))
				}
			}
			m := Mark{Size: 5, Closed: true, Counts: Counts{Path: c.Path, Format: "text", Written: 2}}
			d := open(t, c, &m)
			must(t, d.Write(nil), d.Sync(), d.Committed(), d.Close())
			if got := mark(t, d); got != m {
				t.Errorf("mark %+v, want %+v", got, m)
			}
			for range 2 {
				if err := d.Publish(); (err != nil) != tc.fails {
					t.Fatalf("Publish: %v", err)
				}
			}
			if tc.want != "" {
				checkFile(t, "published", c.Path, tc.want)
			}
			if err := d.Write(numbered(1)); err == nil || d.Counts().Failed != 1 {
				t.Errorf("written to: %v, %+v", err, d.Counts())
			}
		})
	}
}

// The power is cut at any moment: of the file is left what was synced, and the
// checkpoint is the last one that was made. No record is lost or repeated.
func TestPowerCut(t *testing.T) {
	seed := testrand.Seed(t)
	records := numbered(500)
	encodings(t, func(t *testing.T, c Config) {
		r := rand.New(rand.NewPCG(seed, 1))
		dir, after := t.TempDir(), t.TempDir()
		c.Path = filepath.Join(dir, "out")
		var synced []byte // what is on the disk
		var named bool    // whether anybody finds it there
		defer durable.Observe(func(path string) {
			switch path {
			case c.Path + ".partial":
				synced, _ = os.ReadFile(path)
			case dir:
				named = true
			}
		})()
		want := write(t, Config{Format: c.Format}, records...)
		d := open(t, c, nil)
		all := batches(r, records)
		for at, batch := range all {
			must(t, d.Write(batch))
			if at == len(all)-1 {
				break // for Close to sync
			}
			m := mark(t, d)
			done := make(chan error)
			go func() { done <- d.Sync() }()
			extra := at+2 < len(all) && r.IntN(2) == 0
			if extra {
				must(t, d.Write(all[at+1]))
			}
			must(t, <-done)
			if !named || int64(len(synced)) < m.Size {
				t.Fatalf("synced: %d bytes, name %v; marked: %d", len(synced), named, m.Size)
			}
			next := c
			next.Path = filepath.Join(after, "out")
			must(t, os.WriteFile(next.Path+".partial", synced, 0o666))
			second := open(t, next, &m)
			writeAll(t, second, all[at+1:])
			must(t, second.Close(), second.Publish())
			if got := plain(t, c.Compression, read(t, next.Path)); got != want {
				t.Fatalf("power cut at batch %d:\n%s", at, cmp.Diff(want, got))
			}
			must(t, os.Remove(next.Path))
			if extra {
				all[at+1] = nil // is written
			}
		}
		must(t, d.Close())
		if got := plain(t, c.Compression, synced); got != want {
			t.Errorf("synced when closed:\n%s", cmp.Diff(want, got))
		}
		must(t, d.Publish())
	})
}
