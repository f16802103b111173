// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/durable"
	"xsweep/sweep/reply"
)

// smallGroups is how many rows a row group has in these tests.
const smallGroups = 10

func withSmallGroups(s *parquetShape) { s.groupRows = smallGroups }

// checkpointed opens an output of small row groups.
func checkpointed(t testing.TB, path string, from *Mark) *parquetSink {
	t.Helper()
	p, err := newParquetSinkAt(Config{Path: path, Format: Parquet, Checkpointed: true, Metadata: map[string]string{"seed": "7"}}, from, withSmallGroups)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustWrite(t testing.TB, p *parquetSink, records []reply.Record) {
	t.Helper()
	if err := p.Write(records); err != nil {
		t.Fatal(err)
	}
}

// mustMark makes a checkpoint of an output.
func mustMark(t testing.TB, p *parquetSink) Mark {
	t.Helper()
	m, err := p.Mark()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Sync(); err != nil {
		t.Fatal(err)
	}
	return m
}

func mustFinish(t testing.TB, p *parquetSink) {
	t.Helper()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(); err != nil {
		t.Fatal(err)
	}
}

// partsAddrs are the addresses in the first parts of an output.
func partsAddrs(t testing.TB, path string, parts int) []string {
	t.Helper()
	all := []string{}
	for number := 1; number <= parts; number++ {
		all = append(all, addrsOf(t, partPath(path, number))...)
	}
	return all
}

// After each mark and sync all records so far are in parts that are whole, the
// mark says how many, and a slow sweep has few parts.
func TestParquetPartsAreWholeAtEachMark(t *testing.T) {
	records := numbered(100)
	for _, tc := range []struct {
		name    string
		between []int // records between the marks
		marks   []Mark
	}{
		{"none", []int{0, 0}, []Mark{{}, {}}},
		{"a part that grows", []int{1, 2, 0, 6}, []Mark{
			{Parts: 1, LastRows: 1}, {Parts: 1, LastRows: 3}, {Parts: 1, LastRows: 3}, {Parts: 1, LastRows: 9}}},
		{"a part that has outgrown memory", []int{9, 3, 0, 1, 9, 20}, []Mark{
			{Parts: 1, LastRows: 9}, {Parts: 1, LastRows: 12}, {Parts: 1, LastRows: 12},
			{Parts: 2, LastRows: 1}, {Parts: 2, LastRows: 10}, {Parts: 3, LastRows: 20}}},
		{"several row groups", []int{35, 5}, []Mark{{Parts: 1, LastRows: 35}, {Parts: 2, LastRows: 5}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "live.parquet")
			p := checkpointed(t, path, nil)
			written := 0
			for i, n := range tc.between {
				mustWrite(t, p, records[written:][:n])
				written += n
				want := tc.marks[i]
				want.Counts = Counts{Path: path, Format: "parquet", Written: uint64(written)}
				got := mustMark(t, p)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("mark %d (-want +got):\n%s", i, diff)
				}
				if err := p.Committed(); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(addrs(records[:written]), partsAddrs(t, path, got.Parts)); written > 0 && diff != "" {
					t.Errorf("records in parts at mark %d (-want +got):\n%s", i, diff)
				}
			}
			mustFinish(t, p)
			if err := p.Publish(); err != nil {
				t.Errorf("published again: %v", err)
			}
			if got := namesOf(t, filepath.Dir(path)); got != "live.parquet" {
				t.Errorf("files at the end: %s", got)
			}
			got := addrsOf(t, path)
			if !slices.Equal(got, addrs(records[:written])) {
				t.Errorf("records at the end: %v", got)
			}
			if seed := readTable(t, readFile(t, path)).metadata["seed"]; seed != "7" {
				t.Errorf("seed %q in the metadata", seed)
			}
		})
	}
}

// All columns survive that their row groups are copied into the one file.
func TestParquetSplice(t *testing.T) {
	records := shuffled(t, varied(), 95)
	path := filepath.Join(t.TempDir(), "live")
	p := checkpointed(t, path, nil)
	for i := 0; i < len(records); i += 7 {
		mustWrite(t, p, records[i:min(i+7, len(records))])
		mustMark(t, p)
	}
	mustFinish(t, p)
	content := readFile(t, path)
	compareColumns(t, wantTable(t, records), readTable(t, content).columns)
	if n := readOwn(t, content); n != len(records) {
		t.Errorf("%d rows, want %d", n, len(records))
	}
}

// Records that come while a sync runs are in none of its parts, and none is lost.
func TestParquetWritesBesideSync(t *testing.T) {
	records := numbered(2000)
	path := filepath.Join(t.TempDir(), "live.parquet")
	p := checkpointed(t, path, nil)
	for written := 0; written < len(records); {
		n := min(1+written%37, len(records)-written)
		mustWrite(t, p, records[written:][:n])
		written += n
		m, err := p.Mark()
		if err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		wait.Go(func() {
			if err := p.Sync(); err != nil {
				t.Error(err)
			}
		})
		n = min(written%29, len(records)-written)
		mustWrite(t, p, records[written:][:n])
		wait.Wait()
		var rows int64
		for number := 1; number <= m.Parts; number++ {
			f, part, err := openPart(partPath(path, number))
			if err != nil {
				t.Fatal(err)
			}
			rows += part.NumRows()
			f.Close()
		}
		if rows != int64(written) {
			t.Fatalf("%d records in parts, want %d", rows, written)
		}
		written += n
	}
	mustFinish(t, p)
	if !slices.Equal(addrsOf(t, path), addrs(records)) {
		t.Error("the records are not those that were written")
	}
}

// Rows that fill their row group between a mark and its sync do not change what
// the sync writes.
func TestParquetSyncAfterMore(t *testing.T) {
	records := numbered(60)
	path := filepath.Join(t.TempDir(), "live.parquet")
	p := checkpointed(t, path, nil)
	mustWrite(t, p, records[:7])
	if _, err := p.Mark(); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, p, records[7:35])
	if err := p.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := partsAddrs(t, path, 1); !slices.Equal(got, addrs(records[:7])) {
		t.Errorf("the part that was marked has %v", got)
	}
	// Nor do those of the next part.
	if _, err := p.Mark(); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, p, records[35:])
	if err := p.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := partsAddrs(t, path, 1); !slices.Equal(got, addrs(records[:35])) {
		t.Errorf("the part that was ended has %v", got)
	}
	mustFinish(t, p)
	if !slices.Equal(addrsOf(t, path), addrs(records)) {
		t.Error("the records are not those that were written")
	}
}

// A mark behind which nothing was written costs nothing.
func TestParquetMarkWithoutRecords(t *testing.T) {
	p := checkpointed(t, filepath.Join(t.TempDir(), "live.parquet"), nil)
	for _, n := range []int{0, 3, 12} {
		mustWrite(t, p, numbered(n))
		first := mustMark(t, p)
		stop := durable.Observe(func(path string) { t.Errorf("%s was written", path) })
		if again := mustMark(t, p); again != first {
			t.Errorf("marked %+v, then %+v", first, again)
		}
		stop()
	}
}
