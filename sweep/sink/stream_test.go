// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Without a checkpoint records are written at once.
func TestStreamAtOnce(t *testing.T) {
	var b bytes.Buffer
	s := NewStream(&b, Config{Path: "-"})
	must(t, s.Write(numbered(1)))
	if b.String() != "198.18.0.0\n" {
		t.Errorf("%q", b.String())
	}
	m := mark(t, s)
	must(t, s.Sync(), s.Committed(), s.Close(), s.Publish())
	if m.Size != 11 || m.Closed || !mark(t, s).Closed {
		t.Errorf("mark %+v", m)
	}
}

// With one they wait until the checkpoint that holds them is durable; those
// that came after its mark wait for the next.
func TestStreamHeld(t *testing.T) {
	records := numbered(9)
	encodings(t, func(t *testing.T, c Config) {
		c.Checkpointed, c.Fields = true, []Field{Addr}
		var b bytes.Buffer
		s := NewStream(&b, c)
		shown := func(n int, closed bool) {
			t.Helper()
			want := ""
			if n > 0 || closed {
				want = write(t, Config{Format: c.Format, Fields: c.Fields}, records[:n]...)
			}
			if got := plain(t, c.Compression, b.Bytes()); got != want {
				t.Fatalf("shown (-want +got):\n%s", cmp.Diff(want, got))
			}
		}
		must(t, s.Committed(), s.Write(records[:2]), s.Committed())
		shown(0, false)
		m := mark(t, s)
		shown(0, false)
		must(t, s.Write(records[2:5]), s.Sync(), s.Committed())
		shown(2, false)
		if m.Size != int64(b.Len()) || m.Counts.Written != 2 {
			t.Fatalf("mark %+v, %d bytes shown", m, b.Len())
		}
		must(t, s.Committed())
		shown(2, false)
		mark(t, s)
		m = mark(t, s)
		must(t, s.Committed())
		shown(5, false)
		if m.Size != int64(b.Len()) {
			t.Fatalf("mark %+v, %d bytes shown", m, b.Len())
		}

		// A resumed sweep goes on behind them.
		killed := s
		must(t, killed.Write(records[5:7]))
		s = NewStream(&b, c)
		s.Continue(m)
		must(t, s.Write(records[5:7]))
		m = mark(t, s)
		must(t, s.Committed(), s.Write(records[7:]))
		shown(7, false)
		if m.Size != int64(b.Len()) || m.Counts.Written != 7 {
			t.Fatalf("mark %+v, %d bytes shown", m, b.Len())
		}
		must(t, s.Close())
		shown(9, true)
		if got := mark(t, s); !got.Closed || got.Size != int64(b.Len()) || got.Counts.Written != 9 {
			t.Errorf("mark at the end %+v", got)
		}
	})
}

// What waited and could not be written then has failed, and nothing else.
func TestHeldFails(t *testing.T) {
	records := numbered(9)
	encodings(t, func(t *testing.T, c Config) {
		c.Checkpointed, c.Fields = true, []Field{Addr}
		whole := write(t, Config{Format: c.Format, Fields: c.Fields}, records...)
		for room := 0; ; room++ {
			out := narrow{room: room}
			s := NewStream(&out, c)
			var err error
			for _, batch := range [][2]int{{0, 4}, {4, 6}, {6, 9}} {
				err = errors.Join(err, s.Write(records[batch[0]:batch[1]]))
				if err == nil && batch[0] < 6 { // two frames, one commit
					mark(t, s)
				}
				if batch[0] == 4 {
					err = errors.Join(err, s.Committed())
				}
			}
			err = errors.Join(err, s.Close())
			counts := s.Counts()
			if counts.Written+counts.Failed != 9 || (counts.Failed > 0) != (err != nil) && c.Compression == None {
				t.Fatalf("room for %d bytes: counts %+v, error %v", room, counts, err)
			}
			if c.Compression == None {
				lines := strings.Count(out.took.String(), "\n")
				if c.Format == CSV {
					lines = max(lines-1, 0)
				}
				if counts.Written != uint64(lines) || !strings.HasPrefix(whole, out.took.String()) {
					t.Fatalf("room for %d bytes: counts %+v, written %q", room, counts, out.took.String())
				}
			} else if text := plain(t, c.Compression, out.took.Bytes()[:s.whole]); uint64(strings.Count(text, "198.")) != counts.Written {
				t.Fatalf("room for %d bytes: counts %+v, whole %q", room, counts, text)
			}
			if err == nil {
				return
			}
		}
	})
}

// A frame that ends between a mark and its commit waits for the next.
func TestHeldFrames(t *testing.T) {
	records := numbered(4096)
	for _, compression := range []Compression{Gzip, Zstd} {
		var b bytes.Buffer
		s := NewStream(&b, Config{Format: JSONLines, Compression: compression, Checkpointed: true})
		must(t, s.Write(records[:1]))
		m := mark(t, s)
		for len(s.frames) < 2 {
			must(t, s.Write(records))
		}
		must(t, s.Committed())
		if m.Size != int64(b.Len()) {
			t.Errorf("%v: mark %+v, %d bytes shown", compression, m, b.Len())
		}
		m = mark(t, s)
		must(t, s.Committed())
		if m.Size != int64(b.Len()) || s.whole != m.Size || s.loose != 0 {
			t.Errorf("%v: mark %+v, %d bytes shown, whole %d, %d records in none", compression, m, b.Len(), s.whole, s.loose)
		}
	}
}
