// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"xsweep/sweep/reply"
)

// parquetSink writes records as Apache Parquet. It holds up to a row group of
// them; what becomes of full ones is for the output to say.
type parquetSink struct {
	config Config
	shape  *parquetShape
	output parquetOutput
	stage  *parquetStage

	// taken is how many records were staged or written, those before a resume
	// included. failed and beyondLimit are those that were not taken, and filtered
	// those that runs before were not given.
	taken, failed, beyondLimit, filtered uint64
	closed                               bool

	mu  sync.Mutex // guards err, which Sync sets too
	err error
}

// parquetOutput is where row groups go.
type parquetOutput interface {
	// group writes a stage that is full, and returns the one to go on with.
	group(s *parquetStage) (*parquetStage, error)
	// mark makes the rows so far part of a file that is whole, at the latest by
	// the next sync, and returns the stage to go on with.
	mark(s *parquetStage) (*parquetStage, Mark, error)
	sync() error
	// close ends the output with the rows of s. After a failure it keeps what is
	// whole; its error then says that something had to be left as it was.
	close(s *parquetStage, failed bool) error
	// wholeRows is how many rows are in files that are whole, or will be when
	// close has succeeded.
	wholeRows() int64
	// publish gives the output of so many rows its name.
	publish(rows int64) error
	discard()
}

// openParquet makes a Parquet output, or goes on with one where the mark of a
// checkpoint says. What is there under the name and is no regular file is
// written directly.
func openParquet(c Config, from *Mark) (Durable, error) {
	return newParquetSinkAt(c, from, nil)
}

// newParquetSinkAt is openParquet for tests, which change the shape.
func newParquetSinkAt(c Config, from *Mark, change func(*parquetShape)) (*parquetSink, error) {
	info, err := os.Stat(c.Path)
	if err == nil && info.IsDir() {
		return nil, fmt.Errorf("write results to %s: is a directory", c.Path)
	}
	if err == nil && !info.Mode().IsRegular() {
		if c.Checkpointed || from != nil {
			return nil, fmt.Errorf("write results to %s: a checkpoint needs a regular file", c.Path)
		}
		f, err := os.OpenFile(c.Path, os.O_WRONLY, 0)
		if err != nil {
			return nil, fmt.Errorf("write results: %w", err)
		}
		p := newParquetSink(c)
		p.output = &parquetStream{parquetContent: parquetContent{shape: p.shape, w: f}, closer: f}
		return p, nil
	}
	p := newParquetSink(c)
	if change != nil {
		change(p.shape)
	}
	if c.Checkpointed || from != nil {
		p.output, err = openParquetParts(p.config, p.shape, from)
	} else {
		p.output, err = openParquetSingle(p.config, p.shape)
	}
	if err != nil {
		return nil, fmt.Errorf("write results: %w", err)
	}
	if from != nil {
		p.taken, p.failed, p.beyondLimit = from.Counts.Written, from.Counts.Failed, from.Counts.BeyondLimit
		p.filtered = from.Counts.Filtered
		p.closed = from.Closed
	}
	return p, nil
}

// newParquetStream makes a Parquet output of w, which is the caller's. It is
// valid only once it was closed.
func newParquetStream(w io.Writer, c Config) Durable {
	p := newParquetSink(c)
	p.output = &parquetStream{parquetContent: parquetContent{shape: p.shape, w: w}}
	return p
}

func newParquetSink(c Config) *parquetSink {
	shape := newParquetShape(&c)
	return &parquetSink{config: c, shape: shape, stage: newParquetStage(shape.columns)}
}

// Write implements [Sink].
func (p *parquetSink) Write(records []reply.Record) error {
	if err := p.failure(); err != nil {
		p.failed += uint64(len(records))
		return err
	}
	if limit := p.config.Limit; limit > 0 {
		room := min(limit-min(p.taken, limit), uint64(len(records)))
		p.beyondLimit += uint64(len(records)) - room
		records = records[:room]
	}
	for len(records) > 0 {
		n := min(p.shape.groupRows-p.stage.rows, len(records))
		p.stage.add(records[:n])
		p.taken += uint64(n)
		records = records[n:]
		if p.stage.rows < p.shape.groupRows {
			break
		}
		var err error
		if p.stage, err = p.output.group(p.stage); err != nil {
			p.failed += uint64(len(records))
			return p.fail(err)
		}
	}
	return nil
}

// Counts implements [Sink]. Records that are held count as written until a
// failure shows that they never will be.
func (p *parquetSink) Counts() Counts {
	c := Counts{Path: p.config.Path, Format: p.config.Format.String(),
		Written: p.taken, Filtered: p.filtered, BeyondLimit: p.beyondLimit, Failed: p.failed}
	if p.failure() != nil {
		c.Written = min(uint64(p.output.wholeRows()), p.taken)
		c.Failed += p.taken - c.Written
	}
	return c
}

// Close implements [Sink].
func (p *parquetSink) Close() error {
	if p.closed {
		return p.failure()
	}
	p.closed = true
	failed := p.failure()
	if err := p.output.close(p.stage, failed != nil); err != nil && failed == nil {
		err = p.fail(err)
		// What is whole is kept.
		return errors.Join(err, p.output.close(p.stage, true))
	} else if err != nil {
		return errors.Join(failed, fmt.Errorf("results: %w", err))
	}
	return failed
}

// Mark implements [Durable].
func (p *parquetSink) Mark() (Mark, error) {
	if err := p.failure(); err != nil {
		return Mark{}, err
	}
	var m Mark
	var err error
	if p.stage, m, err = p.output.mark(p.stage); err != nil {
		return Mark{}, fmt.Errorf("results: %w", err)
	}
	m.Closed, m.Counts = p.closed, p.Counts()
	return m, nil
}

// Sync implements [Durable].
func (p *parquetSink) Sync() error {
	if err := p.failure(); err != nil {
		return err
	}
	if err := p.output.sync(); err != nil {
		return p.fail(err)
	}
	return nil
}

// Committed implements [Durable].
func (p *parquetSink) Committed() error { return nil }

// Publish implements [Durable]. An output that failed keeps the name that says
// so.
func (p *parquetSink) Publish() error {
	switch {
	case !p.closed:
		return errors.New("results: published before they were closed")
	case p.failure() != nil || p.failed > 0: // also in an earlier run
		return nil
	}
	if err := p.output.publish(int64(p.taken)); err != nil {
		return fmt.Errorf("results: %w", err)
	}
	return nil
}

// Discard removes what was made for an output whose sweep never began.
func (p *parquetSink) Discard() {
	if p.taken == 0 && !p.closed {
		p.closed = true
		p.output.discard()
	}
}

func (p *parquetSink) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// fail notes what went wrong first.
func (p *parquetSink) fail(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = fmt.Errorf("results: %w", err)
	}
	return p.err
}
