// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"bytes"
	"fmt"
	"io"

	"xsweep/sweep/reply"
)

// Writer is a sink that encodes records to an io.Writer: text, CSV or JSON
// Lines. Each Write ends in at most one write to it; of whole lines, if they are
// not compressed.
type Writer struct {
	w       io.Writer
	config  Config
	encoder encoder
	packer  compressor              // nil without compression
	held    bool                    // what is encoded waits for commit
	cut     func(whole int64) error // takes back what stands behind; nil if nothing can

	pending buffer  // ready, and not written yet
	marked  int     // of it, what the last mark covers
	text    []byte  // lines of one batch that are to be compressed
	frame   frame   // that has begun
	frames  []frame // that end in pending

	size    int64  // bytes written
	whole   int64  // of them, those up to the end of a line or a frame
	loose   uint64 // records that count as written and are in none of the whole
	counts  Counts
	started bool // the header is written, if there is one
	closed  bool
	err     error
}

// frame is one run of compressed bytes that can be read by itself.
type frame struct {
	open    bool
	text    int    // bytes before compression
	records uint64 // that are in it
	end     int    // in pending
}

// buffer is what a compressor writes to.
type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// NewWriter makes a sink that writes to w.
func NewWriter(w io.Writer, c Config) *Writer {
	if c.Fields == nil {
		c.Fields = c.Format.defaultFields()
	}
	return &Writer{
		w: w, config: c, encoder: newEncoder(c.Format, c.Fields), packer: c.Compression.compressor(),
		counts: Counts{Path: c.Path, Format: c.Format.String() + c.Compression.String()},
	}
}

// resume goes on where an earlier output was whole.
func (w *Writer) resume(from Mark) {
	path, format := w.counts.Path, w.counts.Format
	w.counts = from.Counts
	w.counts.Path, w.counts.Format = path, format
	w.size, w.whole, w.started = from.Size, from.Size, from.Size > 0
}

// Write implements [Sink].
func (w *Writer) Write(records []reply.Record) error {
	if w.err != nil {
		w.counts.Failed += uint64(len(records))
		return w.err
	}
	if limit := w.config.Limit; limit > 0 {
		room := min(limit-min(limit, w.counts.Written), uint64(len(records)))
		w.counts.BeyondLimit += uint64(len(records)) - room
		records = records[:room]
	}
	return w.add(records)
}

// add encodes records, and writes them unless they are held.
func (w *Writer) add(records []reply.Record) error {
	w.counts.Written += uint64(len(records))
	w.loose += uint64(len(records))
	if w.packer == nil {
		w.pending = w.encoder.append(w.header(w.pending), records)
	} else if err := w.pack(records); err != nil {
		return w.fail(err)
	}
	if w.held {
		return nil
	}
	return w.flush(len(w.pending))
}

// header appends what stands before the first record, once.
func (w *Writer) header(b []byte) []byte {
	if w.started {
		return b
	}
	w.started = true
	return append(b, w.encoder.header...)
}

func (w *Writer) pack(records []reply.Record) error {
	w.text = w.encoder.append(w.header(w.text[:0]), records)
	if len(w.text) == 0 {
		return nil
	}
	w.beginFrame()
	w.frame.text += len(w.text)
	w.frame.records += uint64(len(records))
	if _, err := w.packer.Write(w.text); err != nil {
		return err
	}
	if w.frame.text < frameText {
		return nil
	}
	return w.endFrame()
}

func (w *Writer) beginFrame() {
	if !w.frame.open {
		w.packer.Reset(&w.pending)
		w.frame = frame{open: true}
	}
}

// endFrame ends the frame that has begun, if one has.
func (w *Writer) endFrame() error {
	if !w.frame.open {
		return nil
	}
	if err := w.packer.Close(); err != nil {
		return err
	}
	w.frame.end = len(w.pending)
	w.frames = append(w.frames, w.frame)
	w.frame = frame{}
	return nil
}

// flush writes the first n bytes of what is pending.
func (w *Writer) flush(n int) error {
	if n == 0 {
		return nil
	}
	done, err := w.w.Write(w.pending[:n])
	if err == nil && done < n {
		err = io.ErrShortWrite
	}
	w.settle(done)
	if err != nil {
		return w.fail(err)
	}
	w.pending = w.pending[:copy(w.pending, w.pending[n:])]
	w.marked = max(w.marked-n, 0)
	return nil
}

// settle takes note that the first n bytes of what is pending stand in the
// output.
func (w *Writer) settle(n int) {
	written := w.pending[:n]
	switch {
	case w.packer != nil:
		kept := w.frames[:0]
		for _, f := range w.frames {
			if f.end <= n {
				w.loose -= f.records
				w.whole = w.size + int64(f.end)
			} else {
				f.end -= n
				kept = append(kept, f)
			}
		}
		w.frames = kept
	case n == len(w.pending):
		w.loose, w.whole = 0, w.size+int64(n)
	default:
		lines := bytes.Count(written, newline)
		if w.size == 0 && w.encoder.header != "" && lines > 0 {
			lines--
		}
		w.loose -= uint64(lines)
		if last := bytes.LastIndexByte(written, '\n'); last >= 0 {
			w.whole = w.size + int64(last) + 1
		}
	}
	w.size += int64(n)
}

var newline = []byte{'\n'}

// fail ends an output that took no more: what is not whole in it counts as
// failed, and is cut off where that can be done.
func (w *Writer) fail(err error) error {
	w.err = fmt.Errorf("results: %w", err)
	w.counts.Written -= w.loose
	w.counts.Failed += w.loose
	w.loose, w.pending, w.marked, w.frames, w.frame = 0, nil, 0, nil, frame{}
	if w.cut != nil && w.size > w.whole {
		if err := w.cut(w.whole); err != nil {
			w.err = fmt.Errorf("%w; what was written in part could not be taken back: %w", w.err, err)
			return w.err
		}
		w.size = w.whole
	}
	return w.err
}

// mark makes the output whole, as far as it is not held.
func (w *Writer) mark() (Mark, error) {
	if w.err != nil {
		return Mark{}, w.err
	}
	err := w.endFrame()
	if err != nil {
		return Mark{}, w.fail(err)
	}
	w.marked = len(w.pending)
	if !w.held {
		err = w.flush(w.marked)
	}
	return Mark{Size: w.size + int64(len(w.pending)), Closed: w.closed, Counts: w.counts}, err
}

// commit writes what the last mark covers.
func (w *Writer) commit() error {
	if w.err != nil {
		return w.err
	}
	return w.flush(w.marked)
}

// Counts implements [Sink]. Records that wait in memory count as written.
func (w *Writer) Counts() Counts { return w.counts }

// Close implements [Sink]: an output without records still gets its header, and
// a compressed one a frame.
func (w *Writer) Close() error {
	if w.closed || w.err != nil {
		w.closed = true
		return w.err
	}
	w.closed = true
	if err := w.add(nil); err != nil {
		return err
	}
	if w.packer != nil && w.size == 0 && len(w.pending) == 0 {
		w.beginFrame()
	}
	if err := w.endFrame(); err != nil {
		return w.fail(err)
	}
	return w.flush(len(w.pending))
}
