// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

const parquetMagic = "PAR1"

// parquetShape is what all files of an output have in common.
type parquetShape struct {
	columns  []*parquetColumn
	schema   []format.SchemaElement
	metadata []format.KeyValue
	// groupRows is how many rows a row group has at most.
	groupRows int
	// through is put before each file, if it is set: tests break writes so.
	through func(io.Writer) io.Writer
}

func newParquetShape(c *Config) *parquetShape {
	if c.Fields == nil {
		c.Fields = AllFields()
	}
	s := &parquetShape{columns: parquetColumns(c.Fields), groupRows: parquetGroupRows}
	s.schema = parquetSchema(s.columns)
	for _, key := range slices.Sorted(maps.Keys(c.Metadata)) {
		s.metadata = append(s.metadata, format.KeyValue{Key: key, Value: c.Metadata[key]})
	}
	return s
}

// parquetContent is a Parquet file that is being written: the row groups that
// are whole, and how far they reach.
type parquetContent struct {
	shape  *parquetShape
	w      io.Writer
	offset int64
	groups []format.RowGroup
	rows   int64
}

// add writes a row group. After an error nothing counts as written that was not
// before; some of it may stand behind offset.
func (p *parquetContent) add(g *groupEncoder, s *parquetStage) error {
	if s.rows == 0 {
		return nil
	}
	if err := p.begin(); err != nil {
		return err
	}
	group, err := g.encode(s, p.offset)
	if err != nil {
		return err
	}
	if err := p.write(g.buffer.Bytes()); err != nil {
		return err
	}
	return p.note(group, int64(g.buffer.Len()))
}

// note takes up a row group that was written.
func (p *parquetContent) note(group format.RowGroup, size int64) error {
	if len(p.groups) == parquet.MaxRowGroups {
		return fmt.Errorf("parquet: more than %d row groups: write shards to files of their own", parquet.MaxRowGroups)
	}
	group.Ordinal = int16(len(p.groups))
	p.groups = append(p.groups, group)
	p.rows += group.NumRows
	p.offset += size
	return nil
}

// begin writes what stands before the first row group.
func (p *parquetContent) begin() error {
	if p.offset > 0 {
		return nil
	}
	err := p.write([]byte(parquetMagic))
	if err == nil {
		p.offset = int64(len(parquetMagic))
	}
	return err
}

// end writes the footer.
func (p *parquetContent) end() error {
	if err := p.begin(); err != nil {
		return err
	}
	orders := make([]format.ColumnOrder, len(p.shape.columns))
	for i := range orders {
		orders[i].Value = new(format.TypeDefinedOrder)
	}
	footer, err := thrift.Marshal(&parquetProtocol, &format.FileMetaData{
		Version:          2,
		Schema:           p.shape.schema,
		NumRows:          p.rows,
		RowGroups:        p.groups,
		KeyValueMetadata: p.shape.metadata,
		CreatedBy:        "xsweep",
		ColumnOrders:     orders,
	})
	if err != nil {
		return err
	}
	footer = binary.LittleEndian.AppendUint32(footer, uint32(len(footer)))
	return p.write(append(footer, parquetMagic...))
}

func (p *parquetContent) write(b []byte) error {
	n, err := p.w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// sameColumns says whether a file that was read has the columns of the shape.
func (s *parquetShape) sameColumns(f *parquet.File) error {
	told := f.Metadata().Schema
	if len(told) != len(s.schema) {
		return errOtherColumns
	}
	for i := range told[1:] {
		if told[i+1].Name != s.schema[i+1].Name || told[i+1].Type != s.schema[i+1].Type {
			return errOtherColumns
		}
	}
	return nil
}

var errOtherColumns = errors.New("has other columns: resume with the same --fields")
