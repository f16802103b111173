// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// disk has room for so many bytes; what is cut off a file leaves some, as a real
// one does, if refund is set.
type disk struct {
	room   int64
	refund bool
	failed bool
}

// diskFile is a file on it.
type diskFile struct {
	*os.File
	disk *disk
}

func (d *disk) through(w io.Writer) io.Writer { return &diskFile{w.(*os.File), d} }

func (f *diskFile) Write(b []byte) (int, error) {
	room := f.disk.room
	if f.disk.failed && f.disk.refund {
		room = 1 << 20
	}
	taken := min(int64(len(b)), room)
	n, err := f.File.Write(b[:taken])
	if !f.disk.failed {
		f.disk.room -= int64(n)
	}
	if err == nil && taken < int64(len(b)) {
		f.disk.failed = true
		err = errFull
	}
	return n, err
}

// onDisk opens an output on it.
func onDisk(t *testing.T, c Config, d *disk) *parquetSink {
	t.Helper()
	c.Format = Parquet
	p, err := newParquetSinkAt(c, nil, func(s *parquetShape) { s.groupRows, s.through = smallGroups, d.through })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sizeOf is how many bytes an output takes if none is refused.
func sizeOf(t *testing.T, run func(p *parquetSink), withMarks bool) int64 {
	t.Helper()
	const plenty = 1 << 30
	d := &disk{room: plenty}
	run(onDisk(t, Config{Path: filepath.Join(t.TempDir(), "live.parquet"), Checkpointed: withMarks}, d))
	return plenty - d.room
}

// checkCounts says that all records are accounted for, and returns how many are
// written.
func checkCounts(t *testing.T, p *parquetSink, given int) int {
	t.Helper()
	c := p.Counts()
	if c.Written+c.Failed != uint64(given) || c.Filtered+c.BeyondLimit != 0 {
		t.Errorf("of %d records: %+v", given, c)
	}
	return int(c.Written)
}

// A disk that fills up at any byte: what is left can be read and holds the
// records that count as written, the others failed, and later ones fail at once.
func TestParquetFullDisk(t *testing.T) {
	records := numbered(45)
	run := func(p *parquetSink) {
		for i := 0; i < len(records); i += 5 {
			err := p.Write(records[i : i+5])
			if err != nil && !errors.Is(err, errFull) {
				t.Fatal(err)
			}
		}
		p.Close()
	}
	size := sizeOf(t, run, false)
	for _, refund := range []bool{true, false} {
		var most int
		for room := int64(0); room < size; room += 499 {
			dir := t.TempDir()
			path := filepath.Join(dir, "live.parquet")
			p := onDisk(t, Config{Path: path}, &disk{room: room, refund: refund})
			run(p)
			written := checkCounts(t, p, len(records))
			if err := p.Write(records[:1]); !errors.Is(err, errFull) {
				t.Fatalf("room for %d bytes: error %v", room, err)
			}
			if checkCounts(t, p, len(records)+1) != written {
				t.Fatalf("room for %d bytes: a later record was written", room)
			}
			err := p.Close()
			if !errors.Is(err, errFull) {
				t.Fatalf("room for %d bytes: Close says %v", room, err)
			}
			if err := p.Publish(); err != nil {
				t.Fatal(err)
			}
			if got := namesOf(t, dir); got != "live.parquet.partial" {
				t.Fatalf("room for %d bytes: files are %s", room, got)
			}
			if !refund {
				if written != 0 {
					t.Fatalf("room for %d bytes: %d written, without a footer", room, written)
				}
				continue
			}
			if got := addrsOf(t, path+partialSuffix); !slices.Equal(got, addrs(records[:written])) {
				t.Fatalf("room for %d bytes: %d records in the file, %d written", room, len(got), written)
			}
			most = max(most, written)
		}
		if refund && most < 40 {
			t.Errorf("never more than %d records were kept", most)
		}
	}
}

// What stays of a file that gets no footer is said.
func TestParquetLeftWithoutFooter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "live.parquet")
	p := onDisk(t, Config{Path: path}, &disk{room: 20_000})
	var err error
	for err == nil {
		err = p.Write(numbered(10))
	}
	err = p.Close()
	if want := path + ".partial is left without a footer"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
	if info, err := os.Stat(path + partialSuffix); err != nil || info.Size() == 0 {
		t.Errorf("what was written is gone: %v", err)
	}
}

// With checkpoints the parts that are whole stay, and each checkpoint that was
// made can be resumed from.
func TestParquetFullDiskWithParts(t *testing.T) {
	records := numbered(90)
	sizes := []int{4, 3, 9, 12, 0, 7, 20, 1, 1, 33}
	var marks []Mark
	run := func(p *parquetSink) {
		marks = nil
		given := 0
		for _, n := range sizes {
			if p.Write(records[given:][:n]) == nil {
				if m, err := p.Mark(); err == nil && p.Sync() == nil {
					marks = append(marks, m)
				}
			}
			given += n
		}
		p.Close()
	}
	size := sizeOf(t, run, true)
	if len(marks) != len(sizes) {
		t.Fatalf("%d marks", len(marks))
	}
	for _, refund := range []bool{true, false} {
		for room := int64(0); room < size; room += 3023 {
			t.Run(fmt.Sprint(refund, room), func(t *testing.T) {
				dir := t.TempDir()
				path := filepath.Join(dir, "live.parquet")
				p := onDisk(t, Config{Path: path, Checkpointed: true}, &disk{room: room, refund: refund})
				run(p)
				written := checkCounts(t, p, len(records))
				if err := p.Close(); !errors.Is(err, errFull) {
					t.Errorf("Close says %v", err)
				}
				if err := p.Publish(); err != nil {
					t.Error(err)
				}
				files, err := findParts(path)
				if err != nil {
					t.Fatal(err)
				}
				kept := partsAddrs(t, path, len(files.numbers))
				if len(kept) != written || !refund && len(files.partial) > 1 || refund && len(files.partial) > 0 {
					t.Errorf("%d records in parts, %d written; not whole are %v", len(kept), written, files.partial)
				}
				if !slices.Equal(kept, addrs(records)[:len(kept)]) {
					t.Errorf("parts hold %v", kept)
				}
				if len(marks) == 0 {
					return
				}
				m := marks[len(marks)-1]
				if uint64(written) < m.Counts.Written {
					t.Errorf("%d records in parts, though %d were marked", written, m.Counts.Written)
				}
				again := checkpointed(t, path, &m)
				mustWrite(t, again, records[m.Counts.Written:])
				mustFinish(t, again)
				if !slices.Equal(addrsOf(t, path), addrs(records)) {
					t.Error("the resumed output has not all records")
				}
			})
		}
	}
}

// Of a stream that breaks nothing can be read, so that nothing counts as written.
func TestParquetBrokenStream(t *testing.T) {
	for _, room := range []int{0, 4, 3000, 6000} {
		p := newParquetStream(&narrow{room: room}, Config{Format: Parquet}).(*parquetSink)
		p.shape.groupRows = smallGroups
		for range 5 {
			p.Write(numbered(7))
		}
		if err := p.Close(); !errors.Is(err, errFull) {
			t.Errorf("room for %d bytes: Close says %v", room, err)
		}
		if diff := cmp.Diff(Counts{Format: "parquet", Failed: 35}, p.Counts()); diff != "" {
			t.Errorf("room for %d bytes: counts (-want +got):\n%s", room, diff)
		}
	}
}
