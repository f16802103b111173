// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Open makes the output that c names, or goes on with it at the mark that a
// checkpoint holds. Whatever keeps it from being written is told here, before
// anything is sent. Files that are there and no regular ones are written
// directly, as a [Stream].
func Open(c Config, from *Mark) (Durable, error) {
	if isStream(c.Path) {
		return openDirect(c, from)
	}
	if c.Format == Parquet {
		return openParquet(c, from)
	}
	if from != nil && from.Closed {
		return &closedFile{config: c, mark: *from}, nil
	}
	p, err := openPartial(c.Path, c.Force || from == nil && c.takesOver(), from)
	if err != nil {
		return nil, err
	}
	f := &File{Writer: *NewWriter(p, c), partial: p}
	f.cut = p.cut
	if from != nil {
		f.resume(*from)
	}
	return f, nil
}

// takesOver says whether what is left over beside the output is that of a sweep
// which was killed before its first checkpoint: it is empty, and the same command
// again shall go on.
func (c Config) takesOver() bool {
	info, err := os.Lstat(c.Path + partialEnding)
	return c.Checkpointed && err == nil && info.Mode().IsRegular() && info.Size() == 0 && absent(c.Path) == nil
}

// isStream says whether a name stands for what cannot be renamed: a device, a
// pipe, one of our own open files.
func isStream(path string) bool {
	clean := filepath.Clean(path)
	for _, own := range []string{"/dev/stdout", "/dev/stderr"} {
		if clean == own {
			return true
		}
	}
	for _, own := range []string{"/dev/fd/", "/proc/self/fd/"} {
		if strings.HasPrefix(clean, own) {
			return true
		}
	}
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

// IsFile says whether an output of that name is a file, which is never slower
// than its disk, and not a device or a pipe.
func IsFile(path string) bool { return path != "-" && !isStream(path) }

func openDirect(c Config, from *Mark) (Durable, error) {
	if c.Format == Parquet {
		return nil, fmt.Errorf("write results to %s: parquet needs a regular file", c.Path)
	}
	// Appends, for /dev/stdout can be a file that others write to as well.
	file, err := os.OpenFile(c.Path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, fmt.Errorf("write results: %w", err)
	}
	d := &direct{Stream: *NewStream(file, c), file: file}
	if from != nil {
		d.Continue(*from)
	}
	return d, nil
}

// direct is a stream that was opened by its name.
type direct struct {
	Stream
	file *os.File
	done bool
}

func (d *direct) Close() error {
	err := d.Stream.Close()
	if d.done {
		return err
	}
	d.done = true
	if closeErr := d.file.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("results: %w", closeErr)
	}
	return err
}

// Discard closes what was opened.
func (d *direct) Discard() { d.closed, d.done = true, true; d.file.Close() }

// File is an output in a regular file: text, CSV or JSON Lines. [Open] makes
// it.
type File struct {
	Writer
	partial *partialFile
}

// Mark implements [Durable].
func (f *File) Mark() (Mark, error) {
	if err := f.partial.begin(); err != nil && f.err == nil {
		return Mark{}, f.fail(err)
	}
	return f.mark()
}

// Sync implements [Durable].
func (f *File) Sync() error {
	if err := f.partial.sync(); err != nil {
		return fmt.Errorf("results: %w", err)
	}
	return nil
}

// Committed implements [Durable].
func (f *File) Committed() error { return nil }

// Close implements [Sink]: the file is then durable, under the name that it has
// until Publish. After a failure what stands there is valid, but not all.
func (f *File) Close() error {
	err := f.Writer.Close()
	if closeErr := f.partial.close(); closeErr != nil && err == nil {
		err = f.fail(closeErr)
	}
	return err
}

// Publish implements [Durable]. An output that failed keeps the name that says
// so.
func (f *File) Publish() error {
	switch {
	case !f.closed:
		return errors.New("results: published before they were closed")
	case f.err != nil || f.counts.Failed > 0: // also in an earlier run
		return nil
	}
	return publish(f.config.Path, f.partial.size, f.config.Force)
}

// Discard implements what the function of that name does.
func (f *File) Discard() { f.closed = true; f.partial.discard() }
