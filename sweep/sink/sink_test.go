// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/sweep/reply"
)

var errFull = errors.New("no room left")

// narrow takes so many bytes and then fails.
type narrow struct {
	room  int
	took  bytes.Buffer
	calls int
}

func (n *narrow) Write(b []byte) (int, error) {
	n.calls++
	taken := min(len(b), n.room)
	n.room -= taken
	n.took.Write(b[:taken])
	if taken < len(b) {
		return taken, errFull
	}
	return taken, nil
}

// numbered makes records of distinct addresses.
func numbered(n int) []reply.Record {
	records := make([]reply.Record, n)
	for i := range records {
		records[i] = full
		records[i].Addr = netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
	}
	return records
}

// A writer that fails after any number of bytes: only whole lines count as
// written, everything else as failed, also all later records, which are not
// tried.
func TestFailingWriter(t *testing.T) {
	for _, format := range []Format{Text, CSV, JSONLines} {
		t.Run(format.String(), func(t *testing.T) {
			config := Config{Path: "out", Format: format, Fields: []Field{Addr, TTL}}
			batches := [][]reply.Record{numbered(3), numbered(2)}
			all := write(t, config, append(numbered(3), numbered(2)...)...)
			for room := range len(all) + 1 {
				out := narrow{room: room}
				w := NewWriter(&out, config)
				var given, later uint64
				var failed bool
				for _, batch := range batches {
					given += uint64(len(batch))
					err := w.Write(batch)
					if failed {
						later += uint64(len(batch))
					}
					failed = failed || err != nil
					if failed != errors.Is(err, errFull) {
						t.Fatalf("room for %d bytes: error %v", room, err)
					}
				}
				if err := w.Close(); errors.Is(err, errFull) != failed || failed != (room < len(all)) {
					t.Fatalf("room for %d of %d bytes: failed %v, Close says %v", room, len(all), failed, err)
				}
				lines := strings.Count(out.took.String(), "\n")
				if format == CSV {
					lines = max(lines-1, 0)
				}
				want := Counts{Path: "out", Format: format.String(), Written: uint64(lines), Failed: given - uint64(lines)}
				if diff := cmp.Diff(want, w.Counts()); diff != "" {
					t.Fatalf("room for %d bytes: counts (-want +got):\n%s", room, diff)
				}
				if !strings.HasPrefix(all, out.took.String()) || out.took.Len() != room {
					t.Fatalf("room for %d bytes: %q was written", room, out.took.String())
				}
				if later > 0 && out.calls != 1 {
					t.Fatalf("room for %d bytes: %d calls, though the first failed", room, out.calls)
				}
			}
		})
	}
}

// Of records beyond the limit none is written, and each is counted.
func TestLimit(t *testing.T) {
	for limit := range uint64(12) {
		for _, sizes := range [][]int{{10}, {1, 2, 3, 4}, {5, 0, 5}, {1}} {
			t.Run(fmt.Sprint(limit, sizes), func(t *testing.T) {
				var b bytes.Buffer
				w := NewWriter(&b, Config{Limit: limit})
				var given uint64
				for _, n := range sizes {
					given += uint64(n)
					if err := w.Write(numbered(n)); err != nil {
						t.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				written := given
				if limit > 0 {
					written = min(given, limit)
				}
				want := Counts{Format: "text", Written: written, BeyondLimit: given - written}
				if diff := cmp.Diff(want, w.Counts()); diff != "" {
					t.Errorf("counts (-want +got):\n%s", diff)
				}
				if lines := strings.Count(b.String(), "\n"); uint64(lines) != written {
					t.Errorf("%d lines, want %d", lines, written)
				}
			})
		}
	}
}

// A limit and a failing writer together still account for every record.
func TestLimitAndFailure(t *testing.T) {
	line := len(write(t, Config{}, numbered(1)...))
	w := NewWriter(&narrow{room: 2 * line}, Config{Limit: 4})
	for range 2 {
		if err := w.Write(numbered(6)); !errors.Is(err, errFull) {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(Counts{Format: "text", Written: 2, BeyondLimit: 2, Failed: 8}, w.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

// Each batch is one write of whole lines.
func TestOneWriteABatch(t *testing.T) {
	out := narrow{room: 1 << 20}
	w := NewWriter(&out, Config{Format: CSV})
	for batch := range 5 {
		if err := w.Write(numbered(100)); err != nil {
			t.Fatal(err)
		}
		if out.calls != batch+1 || !strings.HasSuffix(out.took.String(), "\n") {
			t.Fatalf("%d writes after %d batches", out.calls, batch+1)
		}
	}
}

// Once the buffer has its size, writing a record allocates nothing.
func TestWriteAllocatesNothing(t *testing.T) {
	records := append(append(numbered(64), bare, bareExtended), others...)
	encodings(t, func(t *testing.T, c Config) {
		c.Fields = AllFields()
		w := NewWriter(io.Discard, c)
		if n := testing.AllocsPerRun(100, func() {
			if err := w.Write(records); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v allocations for %d records", n, len(records))
		}
	})
}
