// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// parquetPageRows is how many rows a page has. Smaller pages stay nearer to the
// processor, and compress worse: with a quarter of this a record takes 10 % less
// time and 20 % more room.
const parquetPageRows = 32 << 10

// The fastest level: the next takes 45 % longer, encoding included, and saves 2 %
// of the file.
var parquetCodec = &zstd.Codec{Level: zstd.SpeedFastest, Concurrency: 1}

// levelEncoding is that of definition levels that are 0 or 1.
var levelEncoding = &rle.Encoding{BitWidth: 1}

var parquetProtocol thrift.CompactProtocol

// groupEncoder turns a stage into the bytes of a row group. The values are
// encoded and compressed by the library, straight from the stage: its writers
// take each value as a struct of 24 bytes, and that takes longer than all else.
type groupEncoder struct {
	buffer bytes.Buffer
	header format.PageHeader
	thrift *thrift.Encoder

	// Scratch, kept for the next page.
	levels, encodedLevels, values, body, compressed []byte
}

// encode returns the description of the row group and leaves its bytes in the
// buffer. It will begin at offset in the file.
func (g *groupEncoder) encode(s *parquetStage, offset int64) (format.RowGroup, error) {
	if g.thrift == nil {
		g.thrift = thrift.NewEncoder(parquetProtocol.NewWriter(&g.buffer))
	}
	g.buffer.Reset()
	group := format.RowGroup{NumRows: int64(s.rows), FileOffset: offset, Columns: make([]format.ColumnChunk, len(s.columns))}
	for i := range s.columns {
		chunk := &group.Columns[i].MetaData
		if twin := slices.IndexFunc(s.columns[:i], s.columns[i].equal); twin >= 0 {
			g.again(&s.columns[i], &group.Columns[twin].MetaData, offset, chunk)
		} else if err := g.column(&s.columns[i], s.rows, offset, chunk); err != nil {
			return group, fmt.Errorf("encode column %s: %w", s.columns[i].name, err)
		}
		group.TotalByteSize += chunk.TotalUncompressedSize
		group.TotalCompressedSize += chunk.TotalCompressedSize
	}
	return group, nil
}

// again adds a column with the values of one before it, which is as good as
// encoded: who answers an echo request is mostly its target.
func (g *groupEncoder) again(c *stagedColumn, twin *format.ColumnMetaData, offset int64, chunk *format.ColumnMetaData) {
	*chunk = *twin
	chunk.PathInSchema = []string{c.name}
	chunk.DataPageOffset = offset + int64(g.buffer.Len())
	begin := twin.DataPageOffset - offset
	g.body = append(g.body[:0], g.buffer.Bytes()[begin:begin+twin.TotalCompressedSize]...)
	g.buffer.Write(g.body)
}

func (g *groupEncoder) column(c *stagedColumn, rows int, offset int64, chunk *format.ColumnMetaData) error {
	begin := int64(g.buffer.Len())
	*chunk = format.ColumnMetaData{
		Type:         *c.typ.PhysicalType(),
		Encoding:     []format.Encoding{c.encoding.Encoding()},
		PathInSchema: []string{c.name},
		Codec:        format.Zstd,
		NumValues:    int64(rows),
	}
	if c.optional {
		chunk.Encoding = append(chunk.Encoding, format.RLE)
	}
	if c.word != nil {
		chunk.Encoding = append(chunk.Encoding, format.Plain)
		chunk.DictionaryPageOffset = offset + begin
		if err := g.dictionary(c, chunk); err != nil {
			return err
		}
	}
	chunk.DataPageOffset = offset + int64(g.buffer.Len())
	var values int // of the pages so far
	for row := 0; row < rows; row += parquetPageRows {
		n := min(parquetPageRows, rows-row)
		known := n
		g.body = g.body[:0]
		if c.optional {
			levels := g.levelsOf(c, row, n)
			known = bytes.Count(levels, oneLevel)
			var err error
			if g.encodedLevels, err = levelEncoding.EncodeLevels(g.encodedLevels[:0], levels); err != nil {
				return err
			}
			g.body = binary.LittleEndian.AppendUint32(g.body, uint32(len(g.encodedLevels)))
			g.body = append(g.body, g.encodedLevels...)
		}
		var err error
		if g.values, err = c.encode(g.values[:0], values, values+known); err != nil {
			return err
		}
		values += known
		g.body = append(g.body, g.values...)
		g.header = format.PageHeader{Type: format.DataPage, DataPageHeader: thrift.New(format.DataPageHeader{
			NumValues: int32(n), Encoding: c.encoding.Encoding(),
			DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE,
		})}
		if err := g.page(chunk); err != nil {
			return err
		}
	}
	chunk.TotalCompressedSize = int64(g.buffer.Len()) - begin
	chunk.Statistics = c.statistics()
	chunk.Statistics.NullCount = int64(rows - values)
	return nil
}

var oneLevel = []byte{1}

// levelsOf are the definition levels of n rows.
func (g *groupEncoder) levelsOf(c *stagedColumn, row, n int) []byte {
	if row+n <= len(c.known) {
		return c.known[row : row+n]
	}
	g.levels = append(g.levels[:0], c.known[min(row, len(c.known)):]...)
	told := len(g.levels)
	g.levels = slices.Grow(g.levels, n-told)[:n]
	clear(g.levels[told:])
	return g.levels
}

// dictionary adds the page of the names that a column's numbers stand for.
func (g *groupEncoder) dictionary(c *stagedColumn, chunk *format.ColumnMetaData) error {
	g.body = g.body[:0]
	for _, name := range c.names {
		g.body = binary.LittleEndian.AppendUint32(g.body, uint32(len(name)))
		g.body = append(g.body, name...)
	}
	g.header = format.PageHeader{Type: format.DictionaryPage, DictionaryPageHeader: thrift.New(format.DictionaryPageHeader{
		NumValues: int32(len(c.names)), Encoding: format.Plain,
	})}
	return g.page(chunk)
}

// page adds the page whose content is the body.
func (g *groupEncoder) page(chunk *format.ColumnMetaData) error {
	var err error
	if g.compressed, err = parquetCodec.Encode(g.compressed[:0], g.body); err != nil {
		return err
	}
	g.header.UncompressedPageSize = int32(len(g.body))
	g.header.CompressedPageSize = int32(len(g.compressed))
	g.header.CRC = int32(crc32.ChecksumIEEE(g.compressed))
	begin := g.buffer.Len()
	if err := g.thrift.Encode(&g.header); err != nil {
		return err
	}
	chunk.TotalUncompressedSize += int64(g.buffer.Len() - begin + len(g.body))
	g.buffer.Write(g.compressed)
	return nil
}

// encode appends the values from i to j, of those that are known.
func (c *stagedColumn) encode(b []byte, i, j int) ([]byte, error) {
	switch {
	case c.int32 != nil:
		return c.encoding.EncodeInt32(b, c.int32s[i:j])
	case c.int64 != nil:
		return c.encoding.EncodeInt64(b, c.int64s[i:j])
	case c.word != nil:
		return c.encoding.EncodeInt32(b, c.words[i:j])
	case c.text != nil:
		return c.encoding.EncodeByteArray(b, c.chars[c.ends[i]:c.ends[j]], c.ends[i:j+1])
	case c.addr != nil:
		return c.encoding.EncodeFixedLenByteArray(b, c.fixed[i*addrLen:j*addrLen], addrLen)
	}
	return packFlags(b, c.flags[i:j]), nil
}

// packFlags appends flags as plain encoding has them: eight to a byte, least
// significant bit first.
func packFlags(b, flags []byte) []byte {
	for chunk := range slices.Chunk(flags, 8) {
		var packed byte
		for bit, flag := range chunk {
			packed |= flag << bit
		}
		b = append(b, packed)
	}
	return b
}
