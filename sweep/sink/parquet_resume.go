// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/parquet-go/parquet-go"

	"xsweep/internal/durable"
)

// openParquetParts begins an output with checkpoints, or goes on with it where a
// mark says: what came behind is removed. Nothing is changed before all that the
// mark counts on was found.
func openParquetParts(c Config, shape *parquetShape, from *Mark) (*parquetParts, error) {
	p := &parquetParts{config: c, shape: shape, number: 1}
	files, err := findParts(c.Path)
	if err != nil {
		return nil, err
	}
	switch {
	case from != nil && from.Closed:
		// Only publishing is left, which looks at the parts itself.
		p.number, p.before, p.closed = from.Parts+1, from.LastRows, true
		p.whole = int64(from.Counts.Written)
		return p, nil
	case from != nil:
		if err := p.resume(files, from); err != nil {
			return nil, err
		}
	default:
		if err := checkFree(c); err != nil {
			return nil, err
		}
		if err := notInUse(files.names(c.Path)); err != nil {
			return nil, err
		}
		if len(files.numbers)+len(files.partial) > 0 && !c.Force && !files.unused() {
			return nil, fmt.Errorf("parts of %s are left from a sweep that did not end (%s): resume it from its checkpoint, move them away, or replace them with --force",
				c.Path, files.example(c.Path))
		}
		if err := removeParts(c.Path, files, 0); err != nil {
			return nil, err
		}
	}
	// What keeps a file from being made is told before anything is sent.
	if _, err := p.file(); err != nil {
		return nil, err
	}
	if err := p.hold(); err != nil {
		p.discard()
		return nil, err
	}
	return p, nil
}

// example names one of the files.
func (f *partFiles) example(path string) string {
	if len(f.numbers) > 0 {
		return partPath(path, f.numbers[0])
	}
	return f.partial[0]
}

// removeParts removes the parts behind a number and all that is not whole.
func removeParts(path string, files *partFiles, behind int) error {
	names := files.partial
	for _, number := range files.numbers {
		if number > behind {
			names = append(names, partPath(path, number))
		}
	}
	if len(names) == 0 {
		return nil
	}
	if err := removeAll(names); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

// resume goes on behind the mark.
func (p *parquetParts) resume(files *partFiles, from *Mark) error {
	if err := checkFree(p.config); err != nil {
		return err
	}
	var total, last int64
	for number := 1; number <= from.Parts; number++ {
		rows, err := p.partRows(number)
		if err != nil {
			return err
		}
		if number == from.Parts {
			last, rows = rows, from.LastRows
		}
		total += rows
		p.setRows(number, rows)
	}
	switch {
	case from.Parts > 0 && last < from.LastRows:
		return fmt.Errorf("%s has %d records and its checkpoint speaks of %d: the file does not belong to the checkpoint",
			p.path(from.Parts), last, from.LastRows)
	case total != int64(from.Counts.Written):
		return fmt.Errorf("the parts of %s have %d records and their checkpoint speaks of %d: the files do not belong to the checkpoint",
			p.config.Path, total, from.Counts.Written)
	}
	if err := removeParts(p.config.Path, files, from.Parts); err != nil {
		return err
	}
	if last > from.LastRows {
		if err := p.cut(from.Parts, from.LastRows); err != nil {
			return fmt.Errorf("cut %s back to the checkpoint: %w", p.path(from.Parts), err)
		}
	}
	p.number, p.before = from.Parts+1, from.LastRows
	return nil
}

// partRows is how many rows a part has.
func (p *parquetParts) partRows(number int) (int64, error) {
	f, part, err := openPart(p.path(number))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%s is missing, which the checkpoint counts on: put it back, or begin anew without the checkpoint", p.path(number))
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := p.shape.sameColumns(part); err != nil {
		return 0, fmt.Errorf("%s %w", p.path(number), err)
	}
	return part.NumRows(), nil
}

// openPart opens a Parquet file. The caller closes f.
func openPart(path string) (f *os.File, part *parquet.File, err error) {
	f, err = os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil {
		part, err = parquet.OpenFile(f, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("%s is damaged: %w", path, err)
	}
	return f, part, nil
}

// cut writes a part anew with its first rows, which may end inside a row group.
func (p *parquetParts) cut(number int, rows int64) error {
	f, part, err := openPart(p.path(number))
	if err != nil {
		return err
	}
	defer f.Close()
	temp, err := os.Create(p.path(number) + partialSuffix)
	if err != nil {
		return err
	}
	err = copyRows(temp, part, rows, p.shape)
	if err == nil {
		err = durable.Sync(temp)
	}
	if err := errors.Join(err, temp.Close()); err != nil {
		os.Remove(temp.Name())
		return err
	}
	return durable.Rename(temp.Name(), p.path(number))
}

// copyRows writes the first rows of a file as another.
func copyRows(w io.Writer, from *parquet.File, rows int64, shape *parquetShape) error {
	options := []parquet.WriterOption{
		from.Schema(), parquet.Compression(parquetCodec), parquet.DataPageVersion(1), parquet.MaxRowsPerRowGroup(int64(shape.groupRows)),
	}
	for _, kv := range shape.metadata {
		options = append(options, parquet.KeyValueMetadata(kv.Key, kv.Value))
	}
	to := parquet.NewGenericWriter[any](w, options...)
	buffer := make([]parquet.Row, 512)
	for _, group := range from.RowGroups() {
		if err := copyGroup(to, group, &rows, buffer); err != nil {
			return err
		}
	}
	if rows > 0 {
		return io.ErrUnexpectedEOF
	}
	return to.Close()
}

// copyGroup copies at most so many rows, and takes them off.
func copyGroup(to parquet.RowWriter, group parquet.RowGroup, rows *int64, buffer []parquet.Row) error {
	reader := group.Rows()
	defer reader.Close()
	for *rows > 0 {
		n, err := reader.ReadRows(buffer[:min(int64(len(buffer)), *rows)])
		if _, err := to.WriteRows(buffer[:n]); err != nil {
			return err
		}
		*rows -= int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	return nil
}
