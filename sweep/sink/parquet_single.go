// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"xsweep/internal/durable"
)

// partialSuffix marks files that are not whole yet.
const partialSuffix = ".partial"

// errNoCheckpoint is for outputs that were opened without checkpoints.
var errNoCheckpoint = errors.New("parquet: opened without checkpoints, cannot be resumed")

// parquetFile is a Parquet file on disk, under the name that it has until it is
// whole.
type parquetFile struct {
	parquetContent
	file   *os.File
	closed bool
}

// createParquet makes a file. Unless force is set there must be none.
func createParquet(name string, shape *parquetShape, force bool) (*parquetFile, error) {
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if !force {
		flags |= os.O_EXCL
	}
	file, err := os.OpenFile(name, flags, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s is left from a sweep that did not end: move it away, or replace it with --force", name)
	}
	if err != nil {
		return nil, err
	}
	if err := claim(file); err != nil {
		file.Close()
		return nil, err
	}
	var w io.Writer = file
	if shape.through != nil {
		w = shape.through(file)
	}
	return &parquetFile{parquetContent: parquetContent{shape: shape, w: w}, file: file}, nil
}

// finish writes the footer and makes the file durable.
func (f *parquetFile) finish() error {
	if err := f.end(); err != nil {
		return err
	}
	return durable.Sync(f.file)
}

// salvage cuts the file back to its last whole row group and finishes it there.
func (f *parquetFile) salvage() error {
	err := f.file.Truncate(f.offset)
	if err == nil {
		_, err = f.file.Seek(f.offset, io.SeekStart)
	}
	if err == nil {
		err = f.finish()
	}
	if err != nil {
		return fmt.Errorf("%s is left without a footer, its %d whole records cannot be read: %w", f.file.Name(), f.rows, err)
	}
	return nil
}

func (f *parquetFile) close() error {
	if f.closed {
		return nil
	}
	f.closed = true
	return f.file.Close()
}

// remove closes the file and removes it.
func (f *parquetFile) remove() {
	f.close()
	os.Remove(f.file.Name())
}

// parquetSingle is an output in one file, without checkpoints.
type parquetSingle struct {
	*parquetFile
	config  Config
	encoder groupEncoder
	lost    bool // what was written cannot be read
	done    bool
}

func openParquetSingle(c Config, shape *parquetShape) (*parquetSingle, error) {
	if err := checkFree(c); err != nil {
		return nil, err
	}
	name := c.Path + partialSuffix
	if err := notInUse([]string{name}); err != nil {
		return nil, err
	}
	f, err := createParquet(name, shape, c.Force)
	if err != nil {
		return nil, err
	}
	return &parquetSingle{parquetFile: f, config: c}, nil
}

// checkFree says whether there is already what would have to be replaced.
func checkFree(c Config) error {
	if _, err := os.Lstat(c.Path); err == nil && !c.Force {
		return fmt.Errorf("%s exists: write to another file, or replace it with --force", c.Path)
	}
	return nil
}

func (p *parquetSingle) group(s *parquetStage) (*parquetStage, error) {
	err := p.add(&p.encoder, s)
	s.reset()
	return s, err
}

func (p *parquetSingle) mark(s *parquetStage) (*parquetStage, Mark, error) {
	return s, Mark{}, errNoCheckpoint
}

func (p *parquetSingle) sync() error { return nil }

func (p *parquetSingle) close(s *parquetStage, failed bool) error {
	if failed {
		err := p.salvage()
		p.lost = err != nil
		return errors.Join(err, p.parquetFile.close())
	}
	if err := p.add(&p.encoder, s); err != nil {
		return err
	}
	if err := p.finish(); err != nil {
		return err
	}
	return p.parquetFile.close()
}

func (p *parquetSingle) wholeRows() int64 {
	if p.lost {
		return 0
	}
	return p.rows
}

func (p *parquetSingle) publish(int64) error {
	if p.done {
		return nil
	}
	if err := checkFree(p.config); err != nil {
		return err
	}
	err := durable.Rename(p.config.Path+partialSuffix, p.config.Path)
	p.done = err == nil
	return err
}

func (p *parquetSingle) discard() { p.remove() }

// parquetStream is an output that cannot be renamed or cut.
type parquetStream struct {
	parquetContent
	closer  io.Closer
	encoder groupEncoder
	ended   bool
}

func (p *parquetStream) group(s *parquetStage) (*parquetStage, error) {
	err := p.add(&p.encoder, s)
	s.reset()
	return s, err
}

func (p *parquetStream) mark(s *parquetStage) (*parquetStage, Mark, error) {
	return s, Mark{}, errNoCheckpoint
}

func (p *parquetStream) sync() error { return nil }

func (p *parquetStream) close(s *parquetStage, failed bool) error {
	var err error
	if !failed {
		err = p.add(&p.encoder, s)
		if err == nil {
			err = p.end()
		}
		p.ended = err == nil
		if err != nil {
			return err
		}
	}
	if p.closer != nil {
		err = p.closer.Close()
		p.closer = nil
	}
	return err
}

// wholeRows is 0 after a failure, since nothing can be read without a footer.
func (p *parquetStream) wholeRows() int64 {
	if !p.ended {
		return 0
	}
	return p.rows
}

func (p *parquetStream) publish(int64) error { return nil }

func (p *parquetStream) discard() {
	if p.closer != nil {
		p.closer.Close()
	}
}
