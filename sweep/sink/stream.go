// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"fmt"
	"io"
)

// Stream is an output that cannot be taken back: standard output, a pipe, a
// device. Nothing is renamed, and nothing can be cut off. With a checkpoint its
// records wait in memory until [Stream.Committed], since a resumed sweep would
// bring those again that no checkpoint holds.
type Stream struct{ Writer }

// NewStream makes an output that writes to w, which stays the caller's.
func NewStream(w io.Writer, c Config) *Stream {
	s := &Stream{*NewWriter(w, c)}
	s.held = c.Checkpointed
	return s
}

// OpenStream is an output that goes to w, of any format, or goes on there as a
// mark says.
func OpenStream(w io.Writer, c Config, from *Mark) (Durable, error) {
	if c.Format == Parquet {
		if c.Checkpointed {
			return nil, fmt.Errorf("write parquet to %s: it cannot be gone on with there: name a file, such as live.parquet", c.Path)
		}
		return newParquetStream(w, c), nil
	}
	s := NewStream(w, c)
	if from != nil {
		s.Continue(*from)
	}
	return s, nil
}

// Continue makes the output go on behind what an earlier run of the sweep has
// written, before the first Write: its counts are added to, and a CSV that has
// its header gets no second one.
func (s *Stream) Continue(from Mark) { s.resume(from) }

// Mark implements [Durable]. Its size is what will have been written once it is
// committed.
func (s *Stream) Mark() (Mark, error) { return s.mark() }

// Sync implements [Durable]: how far a stream has come is not for us to know.
func (s *Stream) Sync() error { return nil }

// Committed implements [Durable]: it writes what waited for that.
func (s *Stream) Committed() error { return s.commit() }

// Publish implements [Durable].
func (s *Stream) Publish() error { return nil }
