// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"xsweep/internal/durable"
)

// partialEnding is what an output has behind its name until it is complete.
const partialEnding = ".partial"

// partialFile is a file under the name that it has until it is complete. It is
// locked, so that no two sweeps write to it.
type partialFile struct {
	path  string // when it is complete
	force bool
	file  *os.File
	made  bool // by us: it was not there before
	stale bool // what is in it is a former sweep's, and goes with the first write

	written bool
	loose   int         // bytes that the disk was not told of
	named   atomic.Bool // its name is durable
	closed  bool
	size    int64 // when it was closed
}

// openPartial makes the file, or opens it at a mark.
func openPartial(path string, force bool, from *Mark) (*partialFile, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, fmt.Errorf("write results: %s is a directory: name a file in it", path)
	}
	if from == nil && !force {
		if err := absent(path); err != nil {
			return nil, err
		}
	}
	p := &partialFile{path: path, force: force}
	flags, made := os.O_CREATE|os.O_EXCL, true
	if _, err := os.Lstat(p.name()); err == nil {
		if from == nil && !force {
			return nil, fmt.Errorf("%s is left over from a sweep that did not end: move it away, or replace it with --force", p.name())
		}
		flags, made = unix.O_NOFOLLOW, false
	} else if from != nil {
		return nil, fmt.Errorf("go on with %s: %s, which the checkpoint goes on from, is not there: %w", path, p.name(), fs.ErrNotExist)
	}
	var err error
	if p.file, err = os.OpenFile(p.name(), os.O_WRONLY|os.O_APPEND|flags, 0o666); err != nil {
		if fault := new(fs.PathError); errors.As(err, &fault) && made {
			fault.Path = path // the name that was asked for
		}
		return nil, fmt.Errorf("write results: %w", err)
	}
	p.made, p.stale = made, !made && from == nil
	if err := p.claim(from); err != nil {
		p.file.Close()
		return nil, err
	}
	return p, nil
}

// absent fails if something stands under a name.
func absent(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s exists: write to another file, or replace it with --force", path)
	}
	return nil
}

func (p *partialFile) name() string { return p.path + partialEnding }

// claim locks the file and cuts off what stands behind the mark.
func (p *partialFile) claim(from *Mark) error {
	if err := claim(p.file); err != nil {
		return err
	}
	info, err := p.file.Stat()
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file: move it away", p.name())
	}
	if from == nil {
		return nil
	}
	if info.Size() < from.Size {
		return fmt.Errorf("%s has %d bytes, but had %d when the checkpoint was made: it does not belong to the checkpoint", p.name(), info.Size(), from.Size)
	}
	return p.cut(from.Size)
}

// Write appends to the file.
func (p *partialFile) Write(b []byte) (int, error) {
	if err := p.begin(); err != nil {
		return 0, err
	}
	p.written = true
	if p.loose += len(b); p.loose >= hastenAfter {
		p.loose = 0
		durable.Hasten(p.file)
	}
	return p.file.Write(b)
}

// hastenAfter is after how many bytes the disk shall begin to work.
const hastenAfter = 4 << 20

// begin empties a file that was left over.
func (p *partialFile) begin() error {
	if !p.stale {
		return nil
	}
	if err := p.file.Truncate(0); err != nil {
		return err
	}
	p.stale = false
	return nil
}

func (p *partialFile) cut(size int64) error { return p.file.Truncate(size) }

// sync makes what is written durable, and once the file's name. A closed file
// is durable.
func (p *partialFile) sync() error {
	if err := durable.Sync(p.file); errors.Is(err, os.ErrClosed) {
		return nil
	} else if err != nil {
		return err
	}
	if p.named.Load() {
		return nil
	}
	if err := durable.SyncDir(filepath.Dir(p.path)); err != nil {
		return err
	}
	p.named.Store(true)
	return nil
}

// close makes the file durable and closes it.
func (p *partialFile) close() error {
	if p.closed {
		return nil
	}
	p.closed = true
	err := p.begin()
	if err == nil {
		err = p.sync()
	}
	if info, statErr := p.file.Stat(); statErr == nil {
		p.size = info.Size()
	}
	if closeErr := p.file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// discard closes the file, and removes it if it is as we made it.
func (p *partialFile) discard() {
	if p.closed {
		return
	}
	p.closed = true
	p.file.Close()
	if p.made && !p.written {
		os.Remove(p.name())
	}
}

// remove is for a file that is worth nothing.
func (p *partialFile) remove() {
	p.closed = true
	p.file.Close()
	os.Remove(p.name())
}
