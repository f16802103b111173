// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"errors"
	"fmt"

	"xsweep/sweep/reply"
	"xsweep/sweep/sink"
)

// OnSinkError says what becomes of a sweep when an output cannot be written.
type OnSinkError string

// The choices.
const (
	StopOnSinkError     OnSinkError = "stop"     // the sweep ends
	ContinueOnSinkError OnSinkError = "continue" // it goes on without that output
)

// ParseOnSinkError reads stop or continue.
func ParseOnSinkError(text string) (OnSinkError, error) {
	switch o := OnSinkError(text); o {
	case StopOnSinkError, ContinueOnSinkError:
		return o, nil
	}
	return "", fmt.Errorf("on sink error %q: must be stop or continue", text)
}

// outlet is one of a sweep's sinks.
type outlet struct {
	sink     sink.Sink
	filtered uint64 // records that it was not given
	err      error  // the first one; nothing is asked of it any more
	mark     *sink.Mark
}

// takesAll says whether a sink is given also what Where leaves out: who answered is
// known to a checkpoint, what was told of them is not.
func (o *outlet) takesAll() bool {
	_, ok := o.sink.(*sink.LiveSet)
	return ok
}

// write gives a sink records that passed the filter, out of so many.
func (o *outlet) write(records []reply.Record, of int) error {
	o.filtered += uint64(of - len(records))
	if len(records) == 0 {
		return nil
	}
	err := o.sink.Write(records)
	return o.failed(err)
}

// failed notes an error, and gives it back if it is the sink's first.
func (o *outlet) failed(err error) error {
	if err == nil || o.err != nil {
		return nil
	}
	o.err = err
	return err
}

// counts is what has become of all records of the sweep.
func (o *outlet) counts() sink.Counts {
	c := o.sink.Counts()
	c.Filtered += o.filtered
	return c
}

// marked is what a checkpoint holds of the sink; nil is nothing. All that came since
// one that failed was whole has failed: a resumed sweep goes on from there.
func (o *outlet) marked() *sink.Mark {
	if _, ok := o.sink.(sink.Durable); !ok || o.err == nil {
		return o.mark
	}
	m := sink.Mark{Counts: sink.Counts{Path: o.sink.Counts().Path}}
	if o.mark != nil {
		m = *o.mark
	}
	c, was := o.counts(), &m.Counts
	was.Failed = c.Written + c.Filtered + c.BeyondLimit + c.Failed - was.Written - was.Filtered - was.BeyondLimit
	return &m
}

// durable is the sink, if it is one that lasts and works.
func (o *outlet) durable() (sink.Durable, bool) {
	d, ok := o.sink.(sink.Durable)
	return d, ok && o.err == nil
}

// sinkFailed decides what a sink's error means.
func (c *collector) sinkFailed(err error) {
	switch {
	case err == nil:
	case c.goOn:
		c.log.Warn(fmt.Sprintf("%v: going on without it", err))
	default:
		c.fail(err)
	}
}

// sync makes what the sinks have written durable, up to their last marks. It may
// take long; meanwhile the sinks take more.
func (c *collector) sync() {
	for _, o := range c.outlets {
		c.mu.Lock()
		d, ok := o.durable()
		c.mu.Unlock()
		if !ok {
			continue
		}
		if err := d.Sync(); err != nil {
			c.mu.Lock()
			c.sinkFailed(o.failed(err))
			c.mu.Unlock()
		}
	}
}

// committed tells the sinks that a checkpoint holds their last marks.
func (c *collector) committed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.outlets {
		if d, ok := o.durable(); ok {
			c.sinkFailed(o.failed(d.Committed()))
		}
	}
}

// close ends the outputs.
func (c *collector) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, o := range c.outlets {
		err := o.failed(o.sink.Close())
		if err != nil && c.goOn {
			c.sinkFailed(err)
			err = nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// publish gives the outputs that are complete their names.
func (c *collector) publish() error {
	var errs []error
	for _, o := range c.outlets {
		if d, ok := o.durable(); ok {
			errs = append(errs, o.failed(d.Publish()))
		}
	}
	return errors.Join(errs...)
}

// works says whether all sinks do.
func (c *collector) works() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.outlets {
		if o.err != nil {
			return false
		}
	}
	return true
}
