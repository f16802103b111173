// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/durable"
	"xsweep/internal/testrand"
	"xsweep/sweep/reply"
)

// begun is an output with three parts, and what a checkpoint holds of it.
func begun(t *testing.T, path string) Mark {
	t.Helper()
	p := checkpointed(t, path, nil)
	mustWrite(t, p, numbered(32)[:12])
	mustMark(t, p)
	mustWrite(t, p, numbered(32)[12:27])
	mustMark(t, p)
	mustWrite(t, p, numbered(32)[27:32])
	return mustMark(t, p)
}

// A resumed output ends with the records up to the mark and those that came
// after it, whatever the process that died had written behind the mark.
func TestParquetResume(t *testing.T) {
	for _, tc := range []struct {
		name string
		then func(t *testing.T, path string, m *Mark) // between the mark and the resume
	}{
		{"at the mark", func(*testing.T, string, *Mark) {}},
		{"the last part grew", func(t *testing.T, path string, m *Mark) { m.LastRows, m.Counts.Written = 2, 29 }},
		{"further parts", func(t *testing.T, path string, m *Mark) { m.Parts, m.LastRows, m.Counts.Written = 1, 12, 12 }},
		{"further parts, and the last is too long by some row groups", func(t *testing.T, path string, m *Mark) {
			m.Parts, m.LastRows, m.Counts.Written = 2, 3, 15
		}},
		{"nothing yet", func(t *testing.T, path string, m *Mark) { m.Parts, m.LastRows, m.Counts.Written = 0, 0, 0 }},
		{"files that are not whole", func(t *testing.T, path string, m *Mark) {
			for _, suffix := range []string{partialSuffix, snapshotSuffix} {
				for number := 3; number < 6; number++ {
					if err := os.WriteFile(partPath(path, number)+suffix, []byte("PAR1 and some"), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := os.WriteFile(path+partialSuffix, []byte("PAR1"), 0o644); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "live.parquet")
			m := begun(t, path)
			tc.then(t, path, &m)
			p := checkpointed(t, path, &m)
			if diff := cmp.Diff(m.Counts, p.Counts()); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
			if again := mustMark(t, p); again != m {
				t.Errorf("marked %+v, though nothing was written behind %+v", again, m)
			}
			want := numbered(32)[:m.Counts.Written]
			if m.Parts > 0 && !slices.Equal(partsAddrs(t, path, m.Parts), addrs(want)) {
				t.Errorf("parts after the resume: %v", partsAddrs(t, path, m.Parts))
			}
			more := numbered(100)[50:88]
			mustWrite(t, p, more)
			mustMark(t, p)
			mustFinish(t, p)
			want = append(slices.Clone(want), more...)
			content := readFile(t, path)
			compareColumns(t, wantTable(t, want), readTable(t, content).columns)
			if n := readOwn(t, content); n != len(want) {
				t.Errorf("%d rows, want %d", n, len(want))
			}
			if got := p.Counts().Written; got != uint64(len(want)) {
				t.Errorf("%d written, want %d", got, len(want))
			}
			if got := namesOf(t, filepath.Dir(path)); got != "live.parquet" {
				t.Errorf("files: %s", got)
			}
		})
	}
}

// A part that is cut keeps all its columns.
func TestParquetCut(t *testing.T) {
	records := shuffled(t, varied(), 47)
	for _, rows := range []int{1, 9, 10, 11, 30, 46} {
		path := filepath.Join(t.TempDir(), "live.parquet")
		p := checkpointed(t, path, nil)
		mustWrite(t, p, records)
		m := mustMark(t, p)
		m.LastRows, m.Counts.Written = int64(rows), uint64(rows)
		mustFinish(t, checkpointed(t, path, &m))
		tab := readTable(t, readFile(t, path))
		compareColumns(t, wantTable(t, records[:rows]), tab.columns)
		if diff := cmp.Diff([]string{"time", "addr", "addr_bytes"}, tab.names[:3]); diff != "" {
			t.Errorf("order of columns (-want +got):\n%s", diff)
		}
	}
}

// Files that are not those of the checkpoint are an error that says so, and
// nothing is changed.
func TestParquetResumeRefused(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, path string, m *Mark)
		fields []Field
		want   string
	}{
		{"fewer records", func(t *testing.T, path string, m *Mark) { m.LastRows++; m.Counts.Written++ }, nil,
			"live-00003.parquet has 5 records and its checkpoint speaks of 6: the file does not belong to the checkpoint"},
		{"another total", func(t *testing.T, path string, m *Mark) { m.Counts.Written++ }, nil,
			"have 32 records and their checkpoint speaks of 33: the files do not belong to the checkpoint"},
		{"a part is missing", func(t *testing.T, path string, m *Mark) { os.Remove(partPath(path, 2)) }, nil,
			"live-00002.parquet is missing"},
		{"the last part is missing", func(t *testing.T, path string, m *Mark) { os.Remove(partPath(path, 3)) }, nil,
			"live-00003.parquet is missing"},
		{"a part is empty", func(t *testing.T, path string, m *Mark) { os.Truncate(partPath(path, 1), 0) }, nil,
			"live-00001.parquet is damaged"},
		{"a part is cut short", func(t *testing.T, path string, m *Mark) { os.Truncate(partPath(path, 1), 500) }, nil,
			"live-00001.parquet is damaged"},
		{"a footer is damaged", func(t *testing.T, path string, m *Mark) {
			content := readFile(t, partPath(path, 3))
			copy(content[len(content)-40:], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
			os.WriteFile(partPath(path, 3), content, 0o644)
		}, nil, "live-00003.parquet is damaged"},
		{"other columns", func(*testing.T, string, *Mark) {}, []Field{Addr, Time}, "has other columns: resume with the same --fields"},
		{"the name is taken", func(t *testing.T, path string, m *Mark) { os.WriteFile(path, []byte("x"), 0o644) }, nil, "live.parquet exists"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "live.parquet")
			m := begun(t, path)
			tc.change(t, path, &m)
			os.WriteFile(partPath(path, 4), []byte("more"), 0o644)
			before := namesOf(t, filepath.Dir(path))
			_, err := openParquet(Config{Path: path, Format: Parquet, Checkpointed: true, Fields: tc.fields}, &m)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
			if after := namesOf(t, filepath.Dir(path)); after != before {
				t.Errorf("files %s, before %s", after, before)
			}
		})
	}
}

// A closed output that was resumed has only to be published, also when that had
// begun; but not over a file that is another's.
func TestParquetPublishAfterResume(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(path string)
		want   string
	}{
		{"not begun", func(string) {}, ""},
		{"half written", func(path string) { os.WriteFile(path+partialSuffix, []byte("PAR1"), 0o644) }, ""},
		{"a part is missing", func(path string) { os.Remove(partPath(path, 2)) }, "live-00002.parquet is missing"},
		{"the name is taken", func(path string) { os.WriteFile(path, []byte("x"), 0o644) }, "live.parquet exists"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "live.parquet")
			begun(t, path)
			m := Mark{Parts: 3, LastRows: 5, Closed: true, Counts: Counts{Path: path, Format: "parquet", Written: 32}}
			tc.change(path)
			p := checkpointed(t, path, &m)
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			if again := mustMark(t, p); again != m {
				t.Errorf("marked %+v, want %+v", again, m)
			}
			err := p.Publish()
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("error %v, want %s", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(addrsOf(t, path), addrs(numbered(32))) {
				t.Error("the records are not those that were written")
			}
			if got := namesOf(t, filepath.Dir(path)); got != "live.parquet" {
				t.Errorf("files: %s", got)
			}
		})
	}
}

// sweepUntil writes the records from where a mark says, with a checkpoint after
// each batch, and publishes. keep is called with each checkpoint.
func sweepUntil(t testing.TB, path string, records []reply.Record, batches []int, from *Mark, keep func(Mark)) {
	t.Helper()
	p := checkpointed(t, path, from)
	if from == nil || !from.Closed {
		rest := records[p.Counts().Written:]
		for _, n := range batches {
			n = min(n, len(rest))
			mustWrite(t, p, rest[:n])
			rest = rest[n:]
			keep(mustMark(t, p))
			if err := p.Committed(); err != nil {
				t.Fatal(err)
			}
		}
		mustWrite(t, p, rest)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		keep(mustMark(t, p))
	}
	if err := p.Publish(); err != nil {
		t.Fatal(err)
	}
}

// A process that is killed at any moment at which something became durable is
// resumed from the checkpoint that it had by then, and ends with all records, each
// once.
func TestParquetKilled(t *testing.T) {
	records := numbered(80)
	r := testrand.New(t)
	batches := make([]int, 9)
	for i := range batches {
		batches[i] = r.IntN(14)
	}
	t.Logf("batches %v", batches)
	dir, copies := t.TempDir(), t.TempDir()
	var marks [][]byte // at each copy; nil for none
	var mark []byte
	snapshot := func(string) {
		if err := os.CopyFS(filepath.Join(copies, fmt.Sprint(len(marks))), os.DirFS(dir)); err != nil {
			t.Error(err)
		}
		marks = append(marks, mark)
	}
	stop := durable.Observe(snapshot)
	sweepUntil(t, filepath.Join(dir, "live.parquet"), records, batches, nil, func(m Mark) {
		snapshot("between sync and checkpoint")
		mark, _ = json.Marshal(m)
		snapshot("checkpoint")
	})
	snapshot("at the end")
	stop()
	if len(marks) < 25 { // empty batches make none
		t.Fatalf("only %d moments", len(marks))
	}
	for i, text := range marks {
		path := filepath.Join(copies, fmt.Sprint(i), "live.parquet")
		var from *Mark
		if text != nil {
			from = new(Mark)
			if err := json.Unmarshal(text, from); err != nil {
				t.Fatal(err)
			}
		}
		if from == nil {
			// Before the first checkpoint one begins anew, by force.
			p, err := newParquetSinkAt(Config{Path: path, Format: Parquet, Checkpointed: true, Force: true}, nil, withSmallGroups)
			if err != nil {
				t.Fatalf("killed at %d: %v", i, err)
			}
			mustWrite(t, p, records)
			mustFinish(t, p)
		} else {
			sweepUntil(t, path, records, batches, from, func(Mark) {})
		}
		if got := addrsOf(t, path); !slices.Equal(got, addrs(records)) {
			t.Fatalf("killed at %d, mark %s: %d records, want %d", i, text, len(got), len(records))
		}
		if got := namesOf(t, filepath.Dir(path)); got != "live.parquet" {
			t.Fatalf("killed at %d, mark %s: files are %s", i, text, got)
		}
	}
}
