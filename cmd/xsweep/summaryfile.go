// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"xsweep/sweep"
)

// summaryFile is where the summary goes: a file is written under another name
// and renamed when it is whole.
type summaryFile struct {
	path string
	w    io.Writer // what is written directly: standard output, a device, a pipe
}

// openSummary finds out whether the summary can be written, before anything is
// sent. It leaves nothing behind that a killed sweep would leave lying about.
//
// A summary that is there is replaced: it tells of a run, and is worth no more
// than that.
func openSummary(env *environment, path string) (*summaryFile, error) {
	switch path {
	case "":
		return &summaryFile{}, nil
	case "-":
		return &summaryFile{path: path, w: env.stdout}, nil
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, fmt.Errorf("summary: %w", err)
		}
		return &summaryFile{path: path, w: file}, nil
	}
	f := &summaryFile{path: path}
	temp, err := f.create()
	if err != nil {
		return nil, err
	}
	return f, errors.Join(temp.Close(), os.Remove(temp.Name()))
}

// create makes the file that is renamed later, beside where it will be and
// with the permissions that any new file gets.
func (f *summaryFile) create() (*os.File, error) {
	name := filepath.Join(filepath.Dir(f.path), fmt.Sprintf(".%s.%08x", filepath.Base(f.path), rand.Uint32()))
	temp, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		if path := new(fs.PathError); errors.As(err, &path) {
			err = path.Err // the name in it means nothing to anybody
		}
		return nil, fmt.Errorf("summary: write %s: %w", f.path, err)
	}
	return temp, nil
}

// write writes the whole summary, or leaves no trace of it.
func (f *summaryFile) write(s *sweep.Summary) error {
	if f.path == "" {
		return nil
	}
	text, err := s.JSON()
	if err != nil {
		return err
	}
	return f.writeText(text)
}

// writeText writes a summary that is text already.
func (f *summaryFile) writeText(text []byte) error {
	if f.path == "" {
		return nil
	}
	if f.w != nil {
		if _, err := f.w.Write(text); err != nil {
			return fmt.Errorf("summary: %w", err)
		}
		return nil
	}
	temp, err := f.create()
	if err != nil {
		return err
	}
	_, err = temp.Write(text)
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), f.path)
	}
	if err != nil {
		os.Remove(temp.Name())
		return fmt.Errorf("summary: %w", err)
	}
	return nil
}
