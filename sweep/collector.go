// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf/ringbuf"

	"xsweep/loader"
	"xsweep/sweep/pace"
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

	mu         sync.Mutex // guards the sink and what follows
	sink       sink.Sink
	emitted    uint64
	failed     bool
	extensions map[string]uint64   // that could not be read, by what was wrong
	answered   map[netip.Addr]bool // targets, with many answers to a probe

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
	c.emitted += uint64(len(batch))
	if err := c.sink.Write(batch); err != nil && !c.failed {
		c.failed = true
		c.fail(err)
	}
	if c.limit > 0 && c.emitted >= c.limit {
		c.full()
	}
	return batch[:0]
}
