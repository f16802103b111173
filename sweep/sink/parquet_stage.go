// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"bytes"
	"slices"

	"xsweep/sweep/reply"
)

// parquetGroupRows is how many rows a row group has at most: the unit in which
// records are held in memory, about 120 bytes each, and in which readers share
// out their work. With fewer the description of the row groups, some 1.3 KB each,
// begins to show; with more the memory does.
const parquetGroupRows = 128 << 10

// parquetStage holds the rows of a row group, column by column. It only grows
// until it is reset, so that what a snapshot has of it does not change.
type parquetStage struct {
	readers int // syncs that read it; guarded by the output
	rows    int
	columns []stagedColumn
}

// stagedColumn holds the values of a column.
type stagedColumn struct {
	*parquetColumn
	// known says of each row of an optional column whether it has a value: 1, or
	// 0. It ends with the last one that has, so that unknowns cost nothing.
	known []byte

	int32s []int32
	int64s []int64
	flags  []byte // 0 or 1
	fixed  []byte // addrLen each
	chars  []byte
	ends   []uint32 // where each text ends; begins with 0
	words  []int32  // numbers in names
	names  []string
	number map[string]int32
}

func newParquetStage(columns []*parquetColumn) *parquetStage {
	s := &parquetStage{columns: make([]stagedColumn, len(columns))}
	for i, c := range columns {
		s.columns[i].parquetColumn = c
		if c.text != nil {
			s.columns[i].ends = []uint32{0}
		}
		if c.word != nil {
			s.columns[i].number = make(map[string]int32)
		}
	}
	return s
}

// reset forgets all rows and keeps the memory.
func (s *parquetStage) reset() {
	s.rows = 0
	for i := range s.columns {
		c := &s.columns[i]
		c.known, c.int32s, c.int64s, c.flags, c.fixed = c.known[:0], c.int32s[:0], c.int64s[:0], c.flags[:0], c.fixed[:0]
		c.chars, c.words, c.names = c.chars[:0], c.words[:0], c.names[:0]
		if c.text != nil {
			c.ends = c.ends[:1]
		}
		clear(c.number)
	}
}

// snapshot is what the stage has now. It may be read while s grows.
func (s *parquetStage) snapshot() *parquetStage {
	return &parquetStage{rows: s.rows, columns: slices.Clone(s.columns)}
}

// add appends rows. There must be room for them.
func (s *parquetStage) add(records []reply.Record) {
	for i := range s.columns {
		s.columns[i].add(records, s.rows)
	}
	s.rows += len(records)
}

// add appends the values of records, of which the first is that of the row.
func (c *stagedColumn) add(records []reply.Record, row int) {
	switch {
	case c.int32 != nil:
		for i := range records {
			if v, ok := c.int32(&records[i]); ok {
				c.know(row + i)
				c.int32s = append(c.int32s, v)
			}
		}
	case c.int64 != nil:
		for i := range records {
			if v, ok := c.int64(&records[i]); ok {
				c.know(row + i)
				c.int64s = append(c.int64s, v)
			}
		}
	case c.word != nil:
		for i := range records {
			if w := c.word(&records[i]); w != "" || !c.optional {
				c.know(row + i)
				c.addWord(w)
			}
		}
	case c.text != nil:
		for i := range records {
			var ok bool
			if c.chars, ok = c.text(c.chars, &records[i]); ok {
				c.know(row + i)
				c.ends = append(c.ends, uint32(len(c.chars)))
			}
		}
	case c.addr != nil:
		for i := range records {
			c.fixed = appendAddrBytes(c.fixed, c.addr(&records[i]))
		}
	case c.flag != nil:
		for i := range records {
			var flag byte
			if c.flag(&records[i]) {
				flag = 1
			}
			c.flags = append(c.flags, flag)
		}
	}
}

// equal says whether two columns are alike in kind and in all their values, for
// those that are worth a look.
func (c *stagedColumn) equal(o stagedColumn) bool {
	switch {
	case c.optional || o.optional:
		return false
	case c.addr != nil:
		return o.addr != nil && bytes.Equal(c.fixed, o.fixed)
	case c.text != nil:
		return o.text != nil && bytes.Equal(c.chars, o.chars) && slices.Equal(c.ends, o.ends)
	}
	return false
}

// know notes that the row has a value.
func (c *stagedColumn) know(row int) {
	if !c.optional {
		return
	}
	if n := len(c.known); n < row {
		c.known = slices.Grow(c.known, row-n)[:row]
		clear(c.known[n:])
	}
	c.known = append(c.known, 1)
}

// addWord appends a word. Most are the same as the one before.
func (c *stagedColumn) addWord(w string) {
	if n := len(c.words); n > 0 && c.names[c.words[n-1]] == w {
		c.words = append(c.words, c.words[n-1])
		return
	}
	number, ok := c.number[w]
	if !ok {
		number = int32(len(c.names))
		c.names = append(c.names, w)
		c.number[w] = number
	}
	c.words = append(c.words, number)
}
