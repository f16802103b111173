// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"fmt"
	"strings"

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
)

var formatNames = [...]string{Text: "text", CSV: "csv", JSONLines: "jsonl"}

func (f Format) String() string { return formatNames[f] }

// ParseFormat reads text, csv or jsonl.
func ParseFormat(text string) (Format, error) {
	for f, name := range formatNames {
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
		// No field's value holds a separator, a quote or a line break.
		b, _ = field.append(b, r)
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
		case quoted:
			b = append(b, '"')
		}
	}
	return append(b, '}', '\n')
}
