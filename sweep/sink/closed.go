// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"fmt"

	"xsweep/sweep/reply"
)

// closedFile is an output that was complete when its checkpoint was made. All
// that can be missing is its name.
type closedFile struct {
	config Config
	mark   Mark
}

// OpenClosed is an output that was complete when its checkpoint was made: it
// may lack its name.
func OpenClosed(path string, force bool, from Mark) Durable {
	return &closedFile{config: Config{Path: path, Force: force}, mark: from}
}

// Write implements [Sink]: a complete sweep has no more records.
func (f *closedFile) Write(records []reply.Record) error {
	if len(records) == 0 {
		return nil
	}
	f.mark.Counts.Failed += uint64(len(records))
	return fmt.Errorf("results: %s was complete when the checkpoint was made", f.config.Path)
}

// Counts implements [Sink].
func (f *closedFile) Counts() Counts {
	c := f.mark.Counts
	c.Path = f.config.Path
	return c
}

// Mark implements [Durable].
func (f *closedFile) Mark() (Mark, error) { return f.mark, nil }

// Sync, Committed and Close implement [Durable]: all is durable already.
func (f *closedFile) Sync() error      { return nil }
func (f *closedFile) Committed() error { return nil }
func (f *closedFile) Close() error     { return nil }

// Publish implements [Durable].
func (f *closedFile) Publish() error {
	if f.mark.Counts.Failed > 0 {
		return nil
	}
	return publish(f.config.Path, f.mark.Size, f.config.Force)
}
