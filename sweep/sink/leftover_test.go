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
