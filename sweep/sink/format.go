// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"xsweep/sweep/reply"
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
	// Parquet is Apache Parquet, which cannot be written to a stream.
	Parquet
)

var formatNames = [...]string{Text: "text", CSV: "csv", JSONLines: "jsonl", Parquet: "parquet"}

func (f Format) String() string { return formatNames[f] }

// ParseFormat reads text, csv or jsonl.
func ParseFormat(text string) (Format, error) {
	for f, name := range formatNames[:Parquet] {
		if text == name {
			return Format(f), nil
		}
	}
	return 0, fmt.Errorf("format %q: must be text, csv or jsonl", text)
}

// FormatOf guesses a format from the name of a file.
func FormatOf(path string) Format {
	switch {
	case strings.HasSuffix(path, ".csv"):
		return CSV
	case strings.HasSuffix(path, ".jsonl"):
		return JSONLines
	}
	return Text
}

func (f Format) defaultFields() []Field {
	if f == Text {
		return []Field{Addr}
	}
	return AllFields()
}

func (f Format) appendHeader(b []byte, fields []Field) []byte {
	if f != CSV {
		return b
	}
	for i, field := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, field.String()...)
	}
	return append(b, '\n')
}

func (f Format) appendRecord(b []byte, r *reply.Record, fields []Field) []byte {
	if f == JSONLines {
		return appendJSON(b, r, fields)
	}
	separator := byte('\t')
	if f == CSV {
		separator = ','
	}
	for i, field := range fields {
		if i > 0 {
			b = append(b, separator)
		}
		start := len(b)
		b, _ = field.append(b, r)
		if f == CSV && field.free() {
			b = quoteCSV(b, start)
		}
	}
	return append(b, '\n')
}

func appendJSON(b []byte, r *reply.Record, fields []Field) []byte {
	b = append(b, '{')
	for i, field := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, field.String()...)
		b = append(b, '"', ':')
		start := len(b)
		quoted := fieldTable[field].quoted
		if quoted {
			b = append(b, '"')
		}
		var known bool
		b, known = field.append(b, r)
		switch {
		case !known:
			b = append(b[:start], "null"...)
		case field.free():
			b = append(escapeJSON(b, start+1), '"')
		case quoted:
			b = append(b, '"')
		}
	}
	return append(b, '}', '\n')
}

// quoteCSV quotes the value that begins at start if it needs it (RFC 4180,
// section 2).
func quoteCSV(b []byte, start int) []byte {
	if !bytes.ContainsAny(b[start:], "\",\r\n") {
		return b
	}
	value := string(b[start:])
	b = append(b[:start], '"')
	for i := range len(value) {
		if value[i] == '"' {
			b = append(b, '"')
		}
		b = append(b, value[i])
	}
	return append(b, '"')
}

// escapeJSON escapes the text that begins at start, inside its quotes, if it
// needs it (RFC 8259, section 7). What is no UTF-8 is replaced.
func escapeJSON(b []byte, start int) []byte {
	if !needsEscape(b[start:]) {
		return b
	}
	value := string(b[start:])
	b = b[:start]
	for _, c := range value {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = utf8.AppendRune(b, c)
		}
	}
	return b
}

const hex = "0123456789abcdef"

func needsEscape(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return true
		}
	}
	return false
}
