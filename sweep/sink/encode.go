// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"bytes"
	"unicode/utf8"

	"xsweep/sweep/reply"
)

// encoder turns records into lines. All that is the same for each record is
// made beforehand.
type encoder struct {
	header  string // with its line feed; empty if there is none
	columns []column
	end     string
	clock   second
}

// column is one field of a line.
type column struct {
	field  Field
	lead   []byte // what stands before the value
	absent []byte // what stands instead of lead and value where that is unknown
	quoted bool   // in JSON
	escape func(b []byte, start int) []byte
}

func newEncoder(format Format, fields []Field) encoder {
	e := encoder{end: "\n"}
	separator := "\t"
	switch format {
	case CSV:
		separator = ","
		for i, field := range fields {
			if i > 0 {
				e.header += separator
			}
			e.header += field.String()
		}
		e.header += "\n"
	case JSONLines:
		separator, e.end = ",", "}\n"
	}
	for i, field := range fields {
		lead := separator
		if i == 0 {
			lead = ""
		}
		c := column{field: field, lead: []byte(lead), absent: []byte(lead)}
		if format == CSV && field.free() {
			c.escape = quoteCSV
		}
		if format == JSONLines {
			if i == 0 {
				lead = "{"
			}
			lead += `"` + field.String() + `":`
			c.absent, c.quoted = []byte(lead+"null"), fieldTable[field].quoted
			if c.quoted {
				lead += `"`
			}
			c.lead = []byte(lead)
			if field.free() {
				c.escape = escapeJSON
			}
		}
		e.columns = append(e.columns, c)
	}
	return e
}

func (e *encoder) append(b []byte, records []reply.Record) []byte {
	for i := range records {
		b = e.appendRecord(b, &records[i])
	}
	return b
}

func (e *encoder) appendRecord(b []byte, r *reply.Record) []byte {
	for i := range e.columns {
		c := &e.columns[i]
		before := len(b)
		b = append(b, c.lead...)
		start := len(b)
		var known bool
		if b, known = fieldTable[c.field].append(e, b, r); !known {
			b = append(b[:before], c.absent...)
			continue
		}
		if c.escape != nil {
			b = c.escape(b, start)
		}
		if c.quoted {
			b = append(b, '"')
		}
	}
	return append(b, e.end...)
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
