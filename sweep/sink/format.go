// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"xsweep/internal/suggest"
)

// Format is how records are written.
type Format uint8

// The formats.
const (
	// Text is one line a record: the address, or the chosen fields separated
	// by tabs.
	Text Format = iota
	// CSV is comma-separated values with a header line (RFC 4180, with line
	// feeds alone). What is unknown is empty.
	CSV
	// JSONLines is one JSON object a line. What is unknown is null.
	JSONLines
	// Parquet is Apache Parquet: typed columns.
	Parquet
)

// formatTable says how formats are named, and how files that hold them end.
var formatTable = [...]struct{ name, ending string }{
	Text:      {"text", ".txt"},
	CSV:       {"csv", ".csv"},
	JSONLines: {"jsonl", ".jsonl"},
	Parquet:   {"parquet", ".parquet"},
}

func (f Format) String() string { return formatTable[f].name }

// Compression is how the bytes of an output are packed.
type Compression uint8

// The ways to pack an output. Parquet packs its columns by itself.
const (
	None Compression = iota
	// Gzip is RFC 1952, in as many members as the output is marked and cut into.
	Gzip
	// Zstd is RFC 8878, in frames alike.
	Zstd
)

var compressionEndings = [...]string{None: "", Gzip: ".gz", Zstd: ".zst"}

// String is the ending of a file's name: nothing, .gz or .zst.
func (c Compression) String() string { return compressionEndings[c] }

// known is one format as it may be compressed, and how it is called.
type known struct {
	format       Format
	compression  Compression
	name, ending string
}

// allKnown are all that there are. A format comes before its compressed forms.
var allKnown = func() (all []known) {
	for f := range formatTable {
		for c := range compressionEndings {
			if Format(f) == Parquet && Compression(c) != None {
				continue
			}
			k := known{Format(f), Compression(c), formatTable[f].name + compressionEndings[c], formatTable[f].ending + compressionEndings[c]}
			all = append(all, k)
			if k.format == Text {
				k.name = "txt" + compressionEndings[c]
				all = append(all, k)
			}
		}
	}
	return all
}()

// ParseFormat reads text, csv or jsonl: what any stream takes.
func ParseFormat(text string) (Format, error) {
	for f := range Parquet {
		if text == f.String() {
			return f, nil
		}
	}
	return 0, fmt.Errorf("format %q: must be text, csv or jsonl", text)
}

// EncodingNames are the names that ParseEncoding takes.
func EncodingNames() []string {
	var names []string
	for _, k := range allKnown {
		names = append(names, k.name)
	}
	return names
}

// ParseEncoding reads a format and how it is compressed: text (or txt), csv or
// jsonl, with .gz or .zst behind or nothing; or parquet.
func ParseEncoding(text string) (Format, Compression, error) {
	names := make([]string, len(allKnown))
	for i, k := range allKnown {
		if text == k.name {
			return k.format, k.compression, nil
		}
		names[i] = k.name
	}
	return 0, 0, fmt.Errorf("format %q: %smust be text, csv or jsonl, which can have .gz or .zst behind, or parquet", text, didYouMean(text, names))
}

// FormatOfPath reads from the name of an output what is to be in it. told is
// false where the name does not tell: for "-", without an ending, and for what
// is there and no regular file, if its name does not end in one of those that
// are known. That is text then. Any other ending is an error.
func FormatOfPath(path string) (format Format, compression Compression, told bool, err error) {
	ending := endingOf(path)
	if path == "-" || ending == "" {
		return Text, None, false, nil
	}
	endings := make([]string, len(allKnown))
	for i, k := range allKnown {
		if ending == k.ending {
			return k.format, k.compression, true, nil
		}
		endings[i] = k.ending
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return Text, None, false, nil
	}
	return 0, 0, false, fmt.Errorf("output %s: ending %q does not tell a format: %smust be .txt, .csv or .jsonl, which can have .gz or .zst behind, or .parquet; or name one with --format",
		path, ending, didYouMean(ending, endings))
}

// endingOf is how a name ends, in small letters: with what says how it is
// compressed, if it is, also with what stands before that.
func endingOf(path string) string {
	name := strings.TrimLeft(strings.ToLower(filepath.Base(path)), ".")
	last := filepath.Ext(name)
	before := filepath.Ext(strings.TrimSuffix(name, last))
	compressed := last != "" && (last == Gzip.String() || last == Zstd.String())
	for _, f := range formatTable {
		compressed = compressed || before == f.ending
	}
	if compressed {
		return before + last
	}
	return last
}

func didYouMean(word string, from []string) string {
	if meant, ok := suggest.Nearest(word, from); ok {
		return "did you mean " + meant + "? "
	}
	return ""
}

func (f Format) defaultFields() []Field {
	if f == Text {
		return []Field{Addr}
	}
	return AllFields()
}
