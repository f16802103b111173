// SPDX-License-Identifier: Apache-2.0

// Package durable writes files so that they survive a crash and a power cut:
// what it returned from without an error is on the disk.
//
// A file's content is durable after [Sync], its name after [SyncDir] of the
// directory, which [Rename] and [WriteFile] see to.
package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// observer is told of what has become durable; see Observe.
var observer atomic.Pointer[func(path string)]

// Observe has f called with the name of each file that was synced and of each
// directory whose names were, until stop is called: for tests that cut the
// power. It is for one test at a time.
func Observe(f func(path string)) (stop func()) {
	observer.Store(&f)
	return func() { observer.Store(nil) }
}

func observed(path string) {
	if f := observer.Load(); f != nil {
		(*f)(path)
	}
}

// Sync makes a file's content durable.
func Sync(f *os.File) error {
	if err := f.Sync(); err != nil {
		return err // names the file
	}
	observed(f.Name())
	return nil
}

// Hasten has the kernel begin to write a file's new content to the disk, so that
// less is left for Sync, which holds up whoever writes meanwhile
// (sync_file_range(2)). It promises nothing.
func Hasten(f *os.File) {
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
}

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return err
	}
	observed(dir)
	return nil
}

// Rename gives a file a new name in the same directory, for good.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(to))
}

// WriteFile replaces a file at once: whoever looks sees the old content or the
// new one, whole. temp is the name that it has until then, in the same
// directory.
func WriteFile(path, temp string, content []byte, mode os.FileMode) error {
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = Sync(f)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		os.Remove(temp)
		return fmt.Errorf("write %s: %w", path, err)
	}
	return Rename(temp, path)
}
