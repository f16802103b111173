// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf/ringbuf"

	"xsweep/loader"
	"xsweep/sweep/checkpoint"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
	"xsweep/sweep/reply"
	"xsweep/sweep/sink"
)

const (
	// collectEvery is how long a record waits in its ring at most before it is
	// read, if not so many wait that the filter wakes us sooner.
	collectEvery = 100 * time.Millisecond
	// collectBatch is how many records a sink gets at once at most.
	collectBatch = 4096
)

// collector reads the record rings, each in a goroutine of its own, and hands
// records to the sink in batches.
type collector struct {
	clock pace.Clock
	limit uint64 // records after which full is called; 0 means never
	full  func()
	fail  func(error) // called with the sink's first error

	// target is set where records name the index of their target: with many
	// answers to a probe.
	target func(index uint64) netip.Addr

	// Of a sweep with a checkpoint: what is noted for it, and which records are
	// not for it alone.
	found  *checkpoint.Found
	wanted func(loader.Verdict) bool

	where Filter // what the sinks get; nil is all
	goOn  bool   // without sinks that fail
	log   *slog.Logger

	mu         sync.Mutex // guards the sinks and what follows
	outlets    []*outlet
	verdicts   [loader.NumVerdicts]uint64 // of records, wanted or not
	emitted    uint64
	kept       uint64              // of these, those that where let through
	extensions map[string]uint64   // that could not be read, by what was wrong
	answered   map[netip.Addr]bool // targets, with many answers to a probe
	doubted    bool                // where has failed once

	lost    atomic.Uint64 // records that could not be read
	readers sync.WaitGroup
	few     pace.Rate     // of probes, up to which readers need not hear the filter
	awake   chan struct{} // closed when they must
	rouse   sync.Once
}

func (c *collector) start(rings []*ringbuf.Reader, rate pace.Rate) {
	c.few, c.awake = fewFor(rings), make(chan struct{})
	c.setRate(rate)
	for _, ring := range rings {
		c.readers.Add(1)
		go c.read(ring)
	}
}

// fewFor is the rate of probes up to which a ring has room for four times the
// answers of the time between two looks, should all come by the same CPU. Up to
// it readers wait outside the kernel: after a system call of more than ten
// milliseconds the runtime's monitor is wide awake for some, which costs more
// than all the looking.
func fewFor(rings []*ringbuf.Reader) pace.Rate {
	if len(rings) == 0 {
		return 0
	}
	return pace.Rate(rings[0].BufferSize() / loader.RecordBytes / 4 * int(time.Second/collectEvery))
}

// setRate tells that probes are sent at a rate from now on.
func (c *collector) setRate(rate pace.Rate) {
	if rate > c.few {
		c.rouse.Do(func() { close(c.awake) })
	}
}

// stop waits for the readers. Their rings are flushed or closed.
func (c *collector) stop() {
	c.setRate(pace.Max)
	c.readers.Wait()
}

// finish hands over what is still in the rings and waits for the readers.
// Nothing may write to the rings any more.
func (c *collector) finish(rings []*ringbuf.Reader) {
	for _, ring := range rings {
		// Fails only if the reader has ended by itself.
		_ = ring.Flush()
	}
	c.stop()
}

func (c *collector) read(ring *ringbuf.Reader) {
	defer c.readers.Done()
	batch := make([]reply.Record, 0, collectBatch)
	var raw ringbuf.Record
	var wallOffset int64
	pause := time.NewTimer(0)
	defer pause.Stop()
	ring.SetDeadline(time.Now())
	for {
		err := ring.ReadInto(&raw)
		switch {
		case err == nil:
			if len(batch) == 0 {
				wallOffset = c.clock.WallOffset()
			}
			batch = batch[:len(batch)+1]
			if err := batch[len(batch)-1].Decode(raw.RawSample, wallOffset); err != nil && !c.countExtension(err) {
				batch = batch[:len(batch)-1]
				c.lost.Add(1)
			}
			if len(batch) == cap(batch) {
				batch = c.emit(batch)
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
			batch = c.emit(batch)
			pause.Reset(collectEvery)
			select {
			case <-pause.C:
				ring.SetDeadline(time.Now())
			case <-c.awake:
				ring.SetDeadline(time.Now().Add(collectEvery))
			}
		default: // flushed at the end, or closed
			c.emit(batch)
			return
		}
		if raw.Remaining == 0 {
			batch = c.emit(batch)
		}
	}
}

// countExtension counts an error of what was attached to a record, which is good
// but for that; it says whether err is one.
func (c *collector) countExtension(err error) bool {
	fault, ok := reply.ExtensionFault(err)
	if !ok {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.extensions == nil {
		c.extensions = map[string]uint64{}
	}
	c.extensions[fault]++
	return true
}

// name gives replies their targets, for which they have indexes.
func (c *collector) name(batch []reply.Record) {
	if c.answered == nil {
		c.answered = map[netip.Addr]bool{}
	}
	for i := range batch {
		if batch[i].Kind.IsError() {
			continue // charged by what it quotes
		}
		index := batch[i].Addr.As4()
		batch[i].Addr = c.target(uint64(binary.BigEndian.Uint32(index[:])))
		c.answered[batch[i].Addr] = true
	}
}

// emit hands a batch to the sink and gives its memory back.
func (c *collector) emit(batch []reply.Record) []reply.Record {
	if len(batch) == 0 {
		return batch
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.target != nil {
		c.name(batch)
	}
	records := c.note(batch)
	c.emitted += uint64(len(records))
	of := len(records)
	c.write(records, of, true)
	records = c.filter(records)
	c.kept += uint64(len(records))
	c.write(records, of, false)
	if c.limit > 0 && c.kept >= c.limit {
		c.full()
	}
	return batch[:0]
}

// write gives records, out of so many, to those sinks that take all of them, or to
// the others.
func (c *collector) write(records []reply.Record, of int, all bool) {
	for _, o := range c.outlets {
		if o.takesAll() == all {
			c.sinkFailed(o.write(records, of))
		}
	}
}

// note counts records, notes for the checkpoint what they tell, and keeps those
// that are for sinks.
func (c *collector) note(batch []reply.Record) []reply.Record {
	for i := range batch {
		c.verdicts[batch[i].Verdict]++
	}
	if c.found == nil {
		return batch
	}
	kept := batch[:0]
	for i := range batch {
		r := &batch[i]
		switch r.Verdict {
		case loader.First, loader.Repeat:
			c.found.Answer(ipv4(r.Addr), requestOf[r.Kind], r.Attempt)
		case loader.Error, loader.ErrorUnchecked:
			c.found.Refusal(loader.Refusal{Target: ipv4(r.Addr), From: ipv4(r.From), Type: r.Type, Code: r.Code})
		}
		if c.wanted(r.Verdict) {
			kept = append(kept, *r)
		}
	}
	return kept
}

// requestOf is the ICMP type of the requests that replies of a kind answer.
var requestOf = [...]uint8{
	reply.EchoReply: probe.Echo.Type(), reply.TimestampReply: probe.Timestamp.Type(), reply.AddressMaskReply: probe.Mask.Type(),
}

func ipv4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// filter keeps what where lets through. A record that it cannot judge it does
// not let through.
func (c *collector) filter(records []reply.Record) []reply.Record {
	if c.where == nil {
		return records
	}
	kept := records[:0]
	for i := range records {
		ok, err := c.where.Match(&records[i])
		if err != nil && !c.doubted {
			c.doubted = true
			c.log.Warn(fmt.Sprintf("%v: such records are left out", err))
		}
		if ok {
			kept = append(kept, records[i])
		}
	}
	return kept
}

// snapshot is what the collector has had by one moment: what a checkpoint holds.
type snapshot struct {
	found         *checkpoint.Found // since the last one
	verdicts      [loader.NumVerdicts]uint64
	emitted, kept uint64
	lost          uint64
	extensions    map[string]uint64
	marks         map[string]*sink.Mark
}

// counts is a snapshot without marks.
func (c *collector) counts() snapshot {
	return snapshot{
		found: c.found, verdicts: c.verdicts, emitted: c.emitted, kept: c.kept, lost: c.lost.Load(),
		extensions: sum(c.extensions, nil), marks: map[string]*sink.Mark{},
	}
}

// snapshot marks all outputs. spare takes what is found from now on.
func (c *collector) snapshot(spare *checkpoint.Found) snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.counts()
	c.found = spare
	for _, o := range c.outlets {
		if d, ok := o.durable(); ok {
			mark, err := d.Mark()
			c.sinkFailed(o.failed(err))
			if err == nil {
				mark.Counts.Filtered += o.filtered
				o.mark = &mark
			}
		}
		if mark := o.marked(); mark != nil {
			s.marks[o.sink.Counts().Path] = mark
		}
	}
	return s
}

// putBack is for what was found and could not be saved.
func (c *collector) putBack(found *checkpoint.Found) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found.Join(found)
}
