// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"fmt"
	"io"
	"os"
)

// NewFile is a file of bytes that has its name once it is complete.
type NewFile struct {
	io.Writer
	partial *partialFile // nil: written directly
	file    *os.File
}

// Create makes a file that is not there yet; with force it replaces one that
// is, as late as in Publish.
func Create(path string, force bool) (*NewFile, error) {
	if isStream(path) {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return nil, fmt.Errorf("write results: %w", err)
		}
		return &NewFile{Writer: file, file: file}, nil
	}
	p, err := openPartial(path, force, nil)
	if err != nil {
		return nil, err
	}
	return &NewFile{Writer: p, partial: p}, nil
}

// Publish makes the file durable and gives it its name.
func (f *NewFile) Publish() error {
	if f.partial == nil {
		return f.file.Close()
	}
	if err := f.partial.close(); err != nil {
		return fmt.Errorf("results: %w", err)
	}
	return publish(f.partial.path, f.partial.size, f.partial.force)
}

// Discard closes the file, and leaves nothing of one that was not written to.
// After Publish it does nothing.
func (f *NewFile) Discard() {
	if f.partial == nil {
		f.file.Close()
		return
	}
	f.partial.discard()
}
