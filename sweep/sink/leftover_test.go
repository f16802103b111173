// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A sweep that was killed before its first checkpoint leaves an empty file, which
// keeps nobody from the same command again. Any other does.
func TestEmptyLeftover(t *testing.T) {
	testEmptyLeftover(t, "live.csv", CSV)
	testEmptyLeftover(t, "live.parquet", Parquet)
}

func testEmptyLeftover(t *testing.T, name string, format Format) {
	t.Helper()
	left := name + partialEnding
	if format == Parquet {
		left = "live-00001.parquet" + partialSuffix
	}
	for _, tc := range []struct {
		content      string
		checkpointed bool
		published    bool
		want         string
	}{
		{"", true, false, ""},
		{"", false, false, "is left over"},
		{"x", true, false, "left"},
		{"", true, true, "exists"},
	} {
		if format == Parquet && !tc.checkpointed {
			continue // has no parts
		}
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(filepath.Join(dir, left), []byte(tc.content), 0o600))
		if tc.published {
			must(t, os.WriteFile(path, nil, 0o600))
		}
		c := Config{Path: path, Format: format, Checkpointed: tc.checkpointed}
		f, err := Open(c, nil)
		if tc.want != "" {
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%+v: error %v", tc, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", tc, err)
			continue
		}
		if _, err := Open(c, nil); err == nil || !strings.Contains(err.Error(), "sweep that did not end") && !strings.Contains(err.Error(), "another sweep") {
			t.Errorf("while it is written to: %v", err)
		}
		Discard(f)
	}
}

// What an earlier run has counted is counted on: of a sweep with --where the
// filtered records too, and what failed keeps the output from its name.
func TestCountsGoOn(t *testing.T) {
	for _, format := range []Format{Text, CSV, JSONLines, Parquet} {
		path := filepath.Join(t.TempDir(), "live")
		c := Config{Path: path, Format: format, Checkpointed: true}
		s := open(t, c, nil)
		must(t, s.Write(numbered(3)))
		m := mark(t, s)
		must(t, s.Sync(), s.Committed())
		m.Counts.Filtered, m.Counts.BeyondLimit, m.Counts.Failed = 5, 7, 2
		if f, ok := s.(*File); ok {
			must(t, f.partial.file.Close()) // killed
		}
		s = open(t, c, &m)
		must(t, s.Write(numbered(4)), s.Close(), s.Publish())
		want := Counts{Path: path, Format: format.String(), Written: 7, Filtered: 5, BeyondLimit: 7, Failed: 2}
		if got := s.Counts(); got != want {
			t.Errorf("%v: %+v, want %+v", format, got, want)
		}
		if absent(path) != nil {
			t.Errorf("%v: it has its name, and lacks records", format)
		}
	}
}

// So it is with the parts of Parquet.
func TestEmptyLeftoverParts(t *testing.T) {
	for _, tc := range []struct{ name, content, want string }{
		{"live-00001.parquet.partial", "", ""},
		{"live-00001.parquet.partial", "x", "are left from a sweep"},
		{"live-00001.parquet", "", "are left from a sweep"},
	} {
		dir := t.TempDir()
		c := Config{Path: filepath.Join(dir, "live.parquet"), Format: Parquet, Checkpointed: true}
		must(t, os.WriteFile(filepath.Join(dir, tc.name), []byte(tc.content), 0o600))
		p, err := Open(c, nil)
		if tc.want != "" {
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%+v: error %v", tc, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", tc, err)
			continue
		}
		Discard(p)
		if got := namesOf(t, dir); got != "" {
			t.Errorf("%+v: files %s", tc, got)
		}
	}
}

// What another sweep is writing is not taken from it, not even by force.
func TestParquetLocked(t *testing.T) {
	for _, checkpointed := range []bool{false, true} {
		for _, n := range []int{0, 5, 25} {
			dir := t.TempDir()
			c := Config{Path: filepath.Join(dir, "live.parquet"), Format: Parquet, Checkpointed: checkpointed, Force: true}
			p, err := newParquetSinkAt(c, nil, withSmallGroups)
			must(t, err)
			mustWrite(t, p, numbered(n))
			if checkpointed {
				_, err := p.Mark()
				must(t, err, p.Sync())
			}
			before := namesOf(t, dir)
			if _, err := Open(c, nil); err == nil || !strings.Contains(err.Error(), "is being written by another sweep") {
				t.Errorf("%d records: %v", n, err)
			}
			if got := namesOf(t, dir); got != before {
				t.Errorf("%d records: files %s, had %s", n, got, before)
			}
			mustFinish(t, p)
			if got := namesOf(t, dir); got != "live.parquet" {
				t.Errorf("%d records: files %s", n, got)
			}
		}
	}
}

// A resumed output knows what earlier runs left out, and is not complete if they
// could not write something.
func TestParquetGoesOnWithCounts(t *testing.T) {
	for _, failed := range []uint64{0, 3} {
		dir := t.TempDir()
		path := filepath.Join(dir, "live.parquet")
		p, err := newParquetSinkAt(Config{Path: path, Format: Parquet, Checkpointed: true}, nil, withSmallGroups)
		must(t, err)
		mustWrite(t, p, numbered(5))
		m, err := p.Mark()
		must(t, err, p.Sync(), p.Close())
		m.Counts.Filtered, m.Counts.Failed = 7, failed
		p, err = newParquetSinkAt(Config{Path: path, Format: Parquet, Checkpointed: true}, &m, withSmallGroups)
		must(t, err)
		if got := p.Counts(); got.Written != 5 || got.Filtered != 7 || got.Failed != failed {
			t.Errorf("counts %+v", got)
		}
		must(t, p.Close(), p.Publish())
		if _, err := os.Stat(path); (err == nil) != (failed == 0) {
			t.Errorf("%d failed: files %s", failed, namesOf(t, dir))
		}
	}
}
