// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"xsweep/internal/lab"
)

// statsFile is where the counters of a lab go when its command has ended. A
// file is there as a whole or not at all; one that is there is replaced.
type statsFile struct {
	path string
	temp *os.File // renamed to path; or path itself, where that is no regular file
}

// openStats finds out whether the file can be written before there is a lab.
// Without a path it returns nil.
func openStats(path string) (*statsFile, error) {
	if path == "" {
		return nil, nil
	}
	f := &statsFile{path: path}
	var err error
	if info, statErr := os.Stat(path); statErr == nil && !info.Mode().IsRegular() {
		f.temp, err = os.OpenFile(path, os.O_WRONLY, 0)
	} else {
		f.temp, err = os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	}
	if path := new(os.PathError); errors.As(err, &path) {
		err = path.Err // the name in it means nothing to anybody
	}
	if err != nil {
		return nil, fmt.Errorf("--stats: write %s: %w", path, err)
	}
	return f, nil
}

// discard leaves nothing behind, if nothing was written.
func (f *statsFile) discard() {
	if f == nil || f.temp == nil {
		return
	}
	f.temp.Close()
	if f.temp.Name() != f.path {
		os.Remove(f.temp.Name())
	}
}

// write writes the counters of a lab whose command has ended.
func (f *statsFile) write(l *lab.Lab) error {
	if f == nil {
		return nil
	}
	stats, err := l.Stats()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(stats, "", "  ")
	if err != nil {
		return err
	}
	_, err = f.temp.Write(append(text, '\n'))
	if f.temp.Name() != f.path && err == nil {
		// Like any new file of the user's, not for the owner alone.
		err = errors.Join(f.temp.Chmod(0o644), os.Rename(f.temp.Name(), f.path))
	}
	if err != nil {
		return fmt.Errorf("--stats: write %s: %w", f.path, err)
	}
	err = f.temp.Close()
	f.temp = nil
	return err
}
