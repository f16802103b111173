// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Without marks between there is one file under a name that says that it is not
// whole, until it is published.
func TestParquetFileWithoutCheckpoint(t *testing.T) {
	for _, n := range []int{0, 5, 10, 25} {
		path := filepath.Join(t.TempDir(), "live.parquet")
		p, err := newParquetSinkAt(Config{Path: path, Format: Parquet}, nil, withSmallGroups)
		if err != nil {
			t.Fatal(err)
		}
		mustWrite(t, p, numbered(n))
		if _, err := p.Mark(); err == nil {
			t.Error("a mark was made")
		}
		if err := p.Publish(); err == nil {
			t.Error("published before it was closed")
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if got := namesOf(t, filepath.Dir(path)); got != "live.parquet.partial" {
			t.Errorf("files before publishing: %s", got)
		}
		for range 2 {
			if err := p.Publish(); err != nil {
				t.Fatal(err)
			}
		}
		if got := namesOf(t, filepath.Dir(path)); got != "live.parquet" {
			t.Errorf("files: %s", got)
		}
		if !slices.Equal(addrsOf(t, path), addrs(numbered(n))) {
			t.Error("the records are not those that were written")
		}
	}
}

// What stands under a name is replaced only by force, and not before the new
// file is whole.
func TestParquetWhatIsThere(t *testing.T) {
	for _, tc := range []struct {
		there        string
		checkpointed bool
		want         string
	}{
		{"live.parquet", false, "live.parquet exists: write to another file, or replace it with --force"},
		{"live.parquet", true, "live.parquet exists: write to another file, or replace it with --force"},
		{"live.parquet.partial", false, "live.parquet.partial is left from a sweep that did not end: move it away, or replace it with --force"},
		{"live.parquet.partial", true, "parts of DIR/live.parquet are left from a sweep that did not end (DIR/live.parquet.partial)"},
		{"live-00003.parquet", true, "live-00003.parquet"},
		{"live-00003.parquet.partial", true, "live-00003.parquet.partial"},
		{"live-00003.parquet.mark.partial", true, "live-00003.parquet.mark.partial"},
		{"live-3.parquet", true, ""},
		{"live-00003.csv", true, ""},
		{"other-00003.parquet", true, ""},
	} {
		dir := t.TempDir()
		there := filepath.Join(dir, tc.there)
		if err := os.WriteFile(there, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		c := Config{Path: filepath.Join(dir, "live.parquet"), Format: Parquet, Checkpointed: tc.checkpointed}
		p, err := openParquet(c, nil)
		if tc.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tc.there, err)
				continue
			}
			p.(*parquetSink).Discard()
		} else if err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(tc.want, "DIR", dir)) {
			t.Errorf("%s: error %v, want %s", tc.there, err, tc.want)
		}
		if got := namesOf(t, dir); got != tc.there {
			t.Errorf("%s: files are %s", tc.there, got)
		}
		if tc.want == "" {
			continue
		}
		c.Force = true
		if p, err = openParquet(c, nil); err != nil {
			t.Errorf("%s, by force: %v", tc.there, err)
			continue
		}
		if tc.there == "live.parquet" && string(readFile(t, there)) != "old" {
			t.Error("the old file is gone before the new one is whole")
		}
		mustFinish(t, p.(*parquetSink))
		if got := namesOf(t, dir); got != "live.parquet" {
			t.Errorf("%s, by force: files are %s", tc.there, got)
		}
	}
}

// A file that came to stand under the name while the sweep ran is not replaced.
func TestParquetNameTakenMeanwhile(t *testing.T) {
	for _, withMarks := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "live.parquet")
		p, err := openParquet(Config{Path: path, Format: Parquet, Checkpointed: withMarks}, nil)
		if err != nil {
			t.Fatal(err)
		}
		mustWrite(t, p.(*parquetSink), numbered(3))
		if err := os.WriteFile(path, []byte("other"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if err := p.Publish(); err == nil || string(readFile(t, path)) != "other" {
			t.Errorf("published over it, error %v", err)
		}
		os.Remove(path)
		mustFinish(t, p.(*parquetSink))
		if len(addrsOf(t, path)) != 3 {
			t.Error("not published after the other file was moved away")
		}
	}
}

func TestParquetDiscard(t *testing.T) {
	for _, withMarks := range []bool{false, true} {
		dir := t.TempDir()
		p, err := openParquet(Config{Path: filepath.Join(dir, "live.parquet"), Format: Parquet, Checkpointed: withMarks}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if namesOf(t, dir) == "" {
			t.Error("nothing says that the output can be written")
		}
		p.(*parquetSink).Discard()
		if got := namesOf(t, dir); got != "" {
			t.Errorf("files after it was discarded: %s", got)
		}
	}
	if _, err := openParquet(Config{Path: filepath.Join(t.TempDir(), "no", "live.parquet"), Format: Parquet, Checkpointed: true}, nil); err == nil {
		t.Error("no error for a directory that is not there")
	}
}

// A device is written directly.
func TestParquetDevice(t *testing.T) {
	p, err := openParquet(Config{Path: os.DevNull, Format: Parquet}, nil)
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, p.(*parquetSink), numbered(3))
	mustFinish(t, p.(*parquetSink))
	if got := p.Counts().Written; got != 3 {
		t.Errorf("%d written", got)
	}
	if _, err := openParquet(Config{Path: os.DevNull, Format: Parquet, Checkpointed: true}, nil); err == nil {
		t.Error("a device with checkpoints")
	}
}
