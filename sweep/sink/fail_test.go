// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab/labtest"
	"xsweep/internal/testrand"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// checkCut says whether what stands in an output that failed is valid, and as
// many records as its account says.
func checkCut(t *testing.T, c Config, content []byte, counts Counts, given int, whole string) {
	t.Helper()
	text := plain(t, c.Compression, content)
	lines := uint64(strings.Count(text, "\n"))
	if c.Format == CSV && lines > 0 {
		lines--
	}
	if !strings.HasPrefix(whole, text) || text != "" && !strings.HasSuffix(text, "\n") {
		t.Fatalf("what is left is no beginning of the whole: %q", text)
	}
	if counts.Written != lines || counts.Written+counts.Failed != uint64(given) {
		t.Fatalf("%d records are there, %d were given: counts %+v", lines, given, counts)
	}
}

// A file that fails after any number of bytes is cut back to what can be read.
func TestFailingFile(t *testing.T) {
	records := numbered(60)
	encodings(t, func(t *testing.T, c Config) {
		c.Fields = []Field{Addr, TTL}
		whole := write(t, Config{Format: c.Format, Fields: c.Fields}, records...)
		for room := 0; ; room++ {
			out := narrow{room: room}
			w := NewWriter(&out, c)
			w.cut = func(size int64) error { out.took.Truncate(int(size)); return nil }
			var given int
			for i := 0; i < len(records); i += 10 {
				given += 10
				_ = w.Write(records[i : i+10])
				if i == 20 || i == 30 {
					_, _ = w.mark()
				}
			}
			err := w.Close()
			checkCut(t, c, out.took.Bytes(), w.Counts(), given, whole)
			if w.size != int64(out.took.Len()) || w.whole != w.size {
				t.Fatalf("size %d, whole %d, there are %d bytes", w.size, w.whole, out.took.Len())
			}
			if err == nil {
				if w.Counts().Failed != 0 || plain(t, c.Compression, out.took.Bytes()) != whole {
					t.Fatalf("no error, but %+v", w.Counts())
				}
				return
			}
			if _, markErr := w.mark(); !errors.Is(err, errFull) || !errors.Is(markErr, errFull) {
				t.Fatalf("errors %v and %v", err, markErr)
			}
		}
	})
}

// What cannot be taken back is told.
func TestCutFails(t *testing.T) {
	w := NewWriter(&narrow{room: 5}, Config{})
	errCut := errors.New("not to be cut")
	w.cut = func(int64) error { return errCut }
	if err := w.Write(numbered(1)); !errors.Is(err, errCut) || !errors.Is(err, errFull) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
}

// A frame ends when it holds much, so that a broken one takes little with it.
func TestLongOutputHasFrames(t *testing.T) {
	records := numbered(4096)
	for _, compression := range []Compression{Gzip, Zstd} {
		c := Config{Format: JSONLines, Compression: compression}
		line := len(write(t, Config{Format: JSONLines}, records[0]))
		var b bytes.Buffer
		w := NewWriter(&b, c)
		for range 2*frameText/line/len(records) + 1 {
			must(t, w.Write(records))
		}
		if whole := w.whole; whole == 0 || w.counts.Written-w.loose < uint64(frameText/line) {
			t.Errorf("%v: %d bytes whole, %d of %d records in none", compression, whole, w.loose, w.counts.Written)
		} else if _, err := unpack(compression, b.Bytes()[:whole]); err != nil {
			t.Errorf("%v: %v", compression, err)
		}
	}
}

// A disk that is really full.
func TestFullDisk(t *testing.T) {
	labtest.Kernel(t)
	dir := t.TempDir()
	// The thread, and with it the mount, ends with the test.
	runtime.LockOSThread()
	must(t, unix.Unshare(unix.CLONE_FS|unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	r := testrand.New(t)
	// Not to be compressed into nothing.
	records := numbered(60_000)
	for i := range records {
		records[i].Addr = netip.AddrFrom4([4]byte{198, 18, byte(r.Uint32()), byte(r.Uint32())})
		records[i].RTT, records[i].Time = time.Duration(r.Int64N(1<<40)), records[i].Time.Add(time.Duration(r.Int64N(1<<30)))
	}
	for _, k := range allKnown {
		if k.format == Parquet {
			continue
		}
		c := Config{Path: filepath.Join(dir, "out"), Format: k.format, Compression: k.compression}
		must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"))
		defer unix.Unmount(dir, unix.MNT_DETACH)
		whole := write(t, Config{Format: c.Format}, records...)
		d := open(t, c, nil)
		must(t, d.Write(records[:100]))
		m := mark(t, d)
		var err error
		given := 100
		for given < len(records) {
			err = errors.Join(err, d.Write(records[given:given+100]))
			given += 100
		}
		if err = errors.Join(err, d.Close()); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("%s: error %v", k.name, err)
		}
		must(t, d.Publish())
		checkNames(t, k.name, dir, "out.partial")
		content := read(t, c.Path+".partial")
		checkCut(t, c, content, d.Counts(), given, whole)
		if d.Counts().Written < m.Counts.Written {
			t.Errorf("%s: %d records left, of %d that were marked", k.name, d.Counts().Written, m.Counts.Written)
		}
		// There is room again, and the sweep goes on.
		must(t, unix.Mount("", dir, "", unix.MS_REMOUNT, "size=64m"))
		d = open(t, c, &m)
		must(t, d.Write(records[100:]), d.Close(), d.Publish())
		if plain(t, c.Compression, read(t, c.Path)) != whole {
			t.Errorf("%s: resumed on a larger disk: not the same", k.name)
		}
		must(t, unix.Unmount(dir, 0))
	}
}

// A pipe that nobody reads any more.
func TestClosedPipe(t *testing.T) {
	encodings(t, func(t *testing.T, c Config) {
		reader, writer, err := os.Pipe()
		must(t, err, reader.Close())
		defer writer.Close()
		s := NewStream(writer, c)
		writeErr, closeErr := s.Write(numbered(3)), s.Close()
		if c.Compression == None && !errors.Is(writeErr, unix.EPIPE) || !errors.Is(closeErr, unix.EPIPE) {
			t.Errorf("errors %v and %v", writeErr, closeErr)
		}
		want := Counts{Format: s.counts.Format, Failed: 3}
		if diff := cmp.Diff(want, s.Counts()); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
	})
}
