// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"bytes"
	"fmt"
	"io"

	"xsweep/sweep/reply"
)

// Sink takes the records of a sweep. It is used by one goroutine at a time.
type Sink interface {
	// Write takes records in the order of their arrival, as far as that is
	// known. It keeps none of the slice's memory. After an error the records
	// that could not be written are counted as failed, and so are all later
	// ones.
	Write(records []reply.Record) error
	// Counts is what has become of the records so far.
	Counts() Counts
	// Close ends the output. The writer below is the caller's.
	Close() error
}

// Durable is a sink whose output outlives the process: it is written under
// another name until it is complete, and can be cut back to a [Mark].
//
// A checkpoint is made so: Mark, while nothing is written; Sync, while more may
// be; then the checkpoint is written, and Committed called. At the end of a sweep
// that is complete, or has no checkpoint, Close is followed by Publish.
type Durable interface {
	Sink
	// Mark makes the output whole up to here, as far as has to be written for
	// that (a compressed frame is ended), and says where that is.
	Mark() (Mark, error)
	// Sync makes all up to the last Mark durable. It may be called from another
	// goroutine than Write.
	Sync() error
	// Committed says that a checkpoint which holds the last Mark is durable: a
	// resumed sweep will go on from there. Not concurrent with Write.
	Committed() error
	// Publish gives the closed output its name, for good. It may be called again
	// for an output that has it.
	Publish() error
}

// Mark is how far an output is whole: what a checkpoint keeps of it.
type Mark struct {
	// Size is the number of bytes that are whole; of parts, those of none.
	Size int64 `json:"size"`
	// Parts is how many numbered parts there are, and LastRows how many records
	// the last of them has. 0 for outputs that have none.
	Parts    int   `json:"parts,omitempty"`
	LastRows int64 `json:"last_rows,omitempty"`
	// Closed is set when the output was complete.
	Closed bool `json:"closed,omitempty"`
	// Counts is what has become of the records by then.
	Counts Counts `json:"counts"`
}

// Counts is a sink's account: Written, Filtered, BeyondLimit and Failed are
// together all records that were given to it.
type Counts struct {
	Path        string `json:"path"`
	Format      string `json:"format"`
	Written     uint64 `json:"written"`
	Filtered    uint64 `json:"filtered"`
	BeyondLimit uint64 `json:"beyond_limit"`
	Failed      uint64 `json:"failed"`
}

// Config says what a Writer writes.
type Config struct {
	// Path names the output in counts and errors.
	Path string
	// Format is how records are written.
	Format Format
	// Fields are the columns, in order. Nil means the format's default.
	Fields []Field
	// Limit is how many records are written at most. 0 means no limit.
	Limit uint64
	// Force says that the output may replace what stands under its name.
	Force bool
	// Checkpointed says that marks will be made.
	Checkpointed bool
	// Metadata is what Parquet files tell about themselves; other formats cannot.
	Metadata map[string]string
}

// Writer is a sink that encodes records to an io.Writer. Each Write ends in
// at most one write to it, of whole lines.
type Writer struct {
	w       io.Writer
	config  Config
	buffer  []byte
	counts  Counts
	started bool
	err     error
}

// NewWriter makes a sink that writes to w.
func NewWriter(w io.Writer, c Config) *Writer {
	if c.Fields == nil {
		c.Fields = c.Format.defaultFields()
	}
	return &Writer{w: w, config: c, counts: Counts{Path: c.Path, Format: c.Format.String()}}
}

// Write implements [Sink].
func (w *Writer) Write(records []reply.Record) error {
	if w.err != nil {
		w.counts.Failed += uint64(len(records))
		return w.err
	}
	if limit := w.config.Limit; limit > 0 {
		room := min(limit-w.counts.Written, uint64(len(records)))
		w.counts.BeyondLimit += uint64(len(records)) - room
		records = records[:room]
	}
	w.buffer = w.header(w.buffer[:0])
	headerLines := uint64(bytes.Count(w.buffer, newline))
	for i := range records {
		w.buffer = w.config.Format.appendRecord(w.buffer, &records[i], w.config.Fields)
	}
	if len(w.buffer) == 0 {
		return nil
	}
	n, err := w.w.Write(w.buffer)
	if err == nil && n < len(w.buffer) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.err = fmt.Errorf("results: %w", err)
	}
	// What was written only in part counts as not written.
	lines := uint64(bytes.Count(w.buffer[:n], newline))
	written := lines - min(lines, headerLines)
	w.counts.Written += written
	w.counts.Failed += uint64(len(records)) - written
	return w.err
}

var newline = []byte{'\n'}

// header appends what stands before the first record, once.
func (w *Writer) header(b []byte) []byte {
	if w.started {
		return b
	}
	w.started = true
	return w.config.Format.appendHeader(b, w.config.Fields)
}

// Counts implements [Sink].
func (w *Writer) Counts() Counts { return w.counts }

// Close implements [Sink]: an output without records still gets its header.
func (w *Writer) Close() error { return w.Write(nil) }
