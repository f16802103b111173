// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"bytes"
	stdgzip "compress/gzip"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"xsweep/sweep/reply"
)

var update = flag.Bool("update", false, "write the golden files anew")

// encodings are all that go through File and Stream.
func encodings(t *testing.T, test func(t *testing.T, c Config)) {
	for _, k := range allKnown {
		if k.format != Parquet && !strings.HasPrefix(k.name, "txt") {
			t.Run(k.name, func(t *testing.T) { test(t, Config{Format: k.format, Compression: k.compression}) })
		}
	}
}

// plain is what other tools make of an output.
func plain(t *testing.T, c Compression, b []byte) string {
	t.Helper()
	text, err := unpack(c, b)
	if err != nil {
		t.Fatalf("%d bytes of %q cannot be unpacked: %v", len(b), c.String(), err)
	}
	return string(text)
}

func unpack(c Compression, b []byte) ([]byte, error) {
	switch {
	case c == None || len(b) == 0:
		return b, nil
	case c == Gzip:
		r, err := stdgzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	}
	r, err := zstd.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// allRecords are of all kinds, whole and bare.
func allRecords() []reply.Record {
	return append([]reply.Record{full, bare, extended, bareExtended}, others...)
}

// Each format as it stands in a file, with all fields.
func TestGolden(t *testing.T) {
	encodings(t, func(t *testing.T, c Config) {
		c.Path = filepath.Join(t.TempDir(), "records")
		c.Fields = AllFields()
		d := open(t, c, nil)
		must(t, d.Write(allRecords()), d.Close(), d.Publish())
		got := plain(t, c.Compression, read(t, c.Path))
		golden := filepath.Join("testdata", "records"+formatTable[c.Format].ending)
		if *update {
			must(t, os.MkdirAll("testdata", 0o777), os.WriteFile(golden, []byte(got), 0o666))
		}
		if diff := cmp.Diff(string(read(t, golden)), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", golden, diff)
		}
	})
}

// Outputs without a record can be read too.
func TestNothingWritten(t *testing.T) {
	encodings(t, func(t *testing.T, c Config) {
		c.Path, c.Fields = filepath.Join(t.TempDir(), "none"), []Field{Addr, RTT}
		d := open(t, c, nil)
		must(t, d.Close(), d.Publish())
		raw := read(t, c.Path)
		if c.Compression != None && len(raw) == 0 {
			t.Error("not even an empty frame")
		}
		want := ""
		if c.Format == CSV {
			want = "addr,rtt\n"
		}
		if got := plain(t, c.Compression, raw); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestParseEncoding(t *testing.T) {
	for text, want := range map[string]known{
		"text": {format: Text}, "txt": {format: Text}, "csv": {format: CSV}, "jsonl": {format: JSONLines}, "parquet": {format: Parquet},
		"txt.gz": {format: Text, compression: Gzip}, "text.zst": {format: Text, compression: Zstd},
		"csv.gz": {format: CSV, compression: Gzip}, "csv.zst": {format: CSV, compression: Zstd}, "jsonl.zst": {format: JSONLines, compression: Zstd},
	} {
		if f, c, err := ParseEncoding(text); f != want.format || c != want.compression || err != nil {
			t.Errorf("ParseEncoding(%q) = %v, %q, %v", text, f, c, err)
		}
	}
	for text, meant := range map[string]string{
		"": "", "json": "jsonl", "CSV": "csv", "csv.gzip": "csv.gz", "parquet.gz": "parquet", ".csv": "csv", "xml": "",
	} {
		_, _, err := ParseEncoding(text)
		checkSuggestion(t, text, err, meant)
	}
}

func checkSuggestion(t *testing.T, text string, err error, meant string) {
	t.Helper()
	if err == nil {
		t.Errorf("%q is no error", text)
		return
	}
	hint := strings.Contains(err.Error(), "did you mean")
	if hint != (meant != "") || !strings.Contains(err.Error(), "did you mean "+meant+"? ") && meant != "" {
		t.Errorf("%q: error %q, should suggest %q", text, err, meant)
	}
	for _, want := range []string{text, "csv", "jsonl", ".gz", ".zst", "parquet"} {
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %q: should say %q, on one line", text, err, want)
		}
	}
}

func TestFormatOfPath(t *testing.T) {
	dir := t.TempDir()
	odd := filepath.Join(dir, "pipe.odd")
	fifo(t, odd)
	for path, want := range map[string]struct {
		known
		told bool
	}{
		"a.txt": {known{format: Text}, true}, "a.csv": {known{format: CSV}, true}, "a.jsonl": {known{format: JSONLines}, true},
		"/x.y/a.b.csv.gz": {known{format: CSV, compression: Gzip}, true}, "a.jsonl.zst": {known{format: JSONLines, compression: Zstd}, true},
		"a.txt.gz": {known{format: Text, compression: Gzip}, true}, "A.Parquet": {known{format: Parquet}, true},
		"a": {}, "-": {}, "": {}, "csv": {}, "x.csv/a": {}, ".hidden": {}, ".hidden.csv": {known{format: CSV}, true},
		"/dev/null": {}, "/dev/stdout": {}, odd: {},
	} {
		f, c, told, err := FormatOfPath(path)
		if f != want.format || c != want.compression || told != want.told || err != nil {
			t.Errorf("FormatOfPath(%q) = %v, %q, %v, %v", path, f, c, told, err)
		}
	}
	for path, meant := range map[string]string{
		"x.xlsx": "", "x.jsn": ".jsonl", "x.json": ".jsonl", "x.jsn.gz": ".jsonl.gz", "x.parquet.gz": ".parquet", "x.gz": "",
		"x.csv.zstd": ".csv.zst", "a.csv.bak": ".csv",
	} {
		_, _, _, err := FormatOfPath(path)
		checkSuggestion(t, path, err, meant)
	}
}
