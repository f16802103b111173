// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/parquet-go/parquet-go/format"

	"xsweep/internal/durable"
)

// publish makes the one file out of the parts and removes them. Parts go only
// once the file stands under its name, so that one that is missing says that it
// does.
func (p *parquetParts) publish(rows int64) error {
	files, err := findParts(p.config.Path)
	if err != nil {
		return err
	}
	last := p.number - 1
	missing := 0
	for number := 1; number <= last && missing == 0; number++ {
		if !files.has(number) {
			missing = number
		}
	}
	switch err := p.isPublished(rows); {
	case missing > 0 && err == nil:
		return removeParts(p.config.Path, files, 0)
	case missing > 0:
		return fmt.Errorf("%s is missing and %w: put it back, or begin anew without the checkpoint", p.path(missing), err)
	case err != nil:
		// Another file, then.
		if err := checkFree(p.config); err != nil {
			return err
		}
	}
	if err := p.splice(last, rows); err != nil {
		return fmt.Errorf("make %s out of its parts: %w", p.config.Path, err)
	}
	if files, err = findParts(p.config.Path); err != nil {
		return err
	}
	return removeParts(p.config.Path, files, 0)
}

// isPublished says why the file does not stand under its name with so many rows.
func (p *parquetParts) isPublished(rows int64) error {
	f, whole, err := openPart(p.config.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	if n := whole.NumRows(); n != rows {
		return fmt.Errorf("%s has %d records, not %d", p.config.Path, n, rows)
	}
	return nil
}

// splice writes the row groups of the parts into one file, as they are.
func (p *parquetParts) splice(last int, rows int64) error {
	to, err := createParquet(p.config.Path+partialSuffix, p.shape, true)
	if err != nil {
		return err
	}
	for number := 1; number <= last && err == nil; number++ {
		err = p.spliceOne(to, p.path(number))
	}
	if err == nil && to.rows != rows {
		err = fmt.Errorf("they have %d records, not %d", to.rows, rows)
	}
	if err == nil {
		err = to.finish()
	}
	if err := errors.Join(err, to.close()); err != nil {
		os.Remove(to.file.Name())
		return err
	}
	return durable.Rename(to.file.Name(), p.config.Path)
}

func (p *parquetParts) spliceOne(to *parquetFile, name string) error {
	f, part, err := openPart(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := p.shape.sameColumns(part); err != nil {
		return fmt.Errorf("%s %w", name, err)
	}
	for _, group := range part.Metadata().RowGroups {
		if err := to.copyGroup(f, group); err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
	}
	return nil
}

// copyGroup appends a row group of another file byte for byte. Page indexes and
// filters are left behind: their places are not those of the row group.
func (p *parquetContent) copyGroup(from *os.File, group format.RowGroup) error {
	if err := p.begin(); err != nil {
		return err
	}
	columns := make([]format.ColumnChunk, len(group.Columns))
	offset := p.offset
	for i := range group.Columns {
		m := group.Columns[i].MetaData
		begin := m.DataPageOffset
		if m.DictionaryPageOffset != 0 {
			begin = min(begin, m.DictionaryPageOffset)
			m.DictionaryPageOffset += offset - begin
		}
		m.DataPageOffset += offset - begin
		m.BloomFilterOffset, m.BloomFilterLength = 0, 0
		columns[i] = format.ColumnChunk{MetaData: m}
		n, err := io.Copy(p.w, io.NewSectionReader(from, begin, m.TotalCompressedSize))
		if err == nil && n < m.TotalCompressedSize {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		offset += n
	}
	group.Columns, group.FileOffset, group.SortingColumns = columns, p.offset, nil
	return p.note(group, offset-p.offset)
}
