// SPDX-License-Identifier: Apache-2.0

package pace

import (
	"cmp"
	"fmt"
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	// Burst is how many frames may leave at once beyond the rate, over all
	// threads.
	Burst = 64
	// MaxBatch is the largest batch at a given rate. A batch may be held up
	// between its decision and the wire, and the frames saved up meanwhile
	// follow at its heels: together they must not exceed the burst.
	MaxBatch = Burst / 2
	// ownBatch is the largest batch that a pacer chooses by itself. The rest
	// of the burst is there to catch up with delays.
	ownBatch = Burst / 4
	// MaxThreads is how many threads can share a rate: each needs two frames
	// of the burst.
	MaxThreads = Burst / 2

	// stallAfter is how late a batch can be and still be caught up with.
	stallAfter = int64(time.Millisecond)
)

// Config says how a thread is paced.
type Config struct {
	// Rate is that of all threads together.
	Rate Rate
	// Threads is how many share the rate, 1 to MaxThreads. 0 means 1.
	Threads int
	// Batch is how many frames all threads together send at once, 1 to Burst,
	// and at most MaxBatch unless the rate is Max. 0 chooses: a thousandth of
	// the rate, at most a quarter of the burst; at rate Max all of it.
	Batch int
}

func (c Config) validate() error {
	switch {
	case c.Threads < 0 || c.Threads > MaxThreads:
		return fmt.Errorf("%d threads: must be 1 to %d", c.Threads, MaxThreads)
	case c.Batch < 0 || c.Batch > Burst:
		return fmt.Errorf("batches of %d frames: must be 1 to %d", c.Batch, Burst)
	case c.Rate != Max && (c.Rate < 1 || c.Rate > Highest):
		return fmt.Errorf("rate %d: must be 1 to %v, or max", c.Rate, Highest)
	}
	return nil
}

// Pacer is the schedule of one thread: a token bucket whose batches have due
// times. It keeps no clock of its own. SetRate and Stalls may be called from
// any goroutine, everything else from one.
type Pacer struct {
	config Config
	asked  atomic.Uint64 // the rate that SetRate wants
	stalls atomic.Uint64

	rate  uint64 // the rate of all threads that the schedule is made for
	parts uint64 // threads
	batch uint64 // frames
	depth uint64 // frames that may be due at once, at least a batch

	// Frame n is due at epoch + n / rate.
	epoch   int64
	sent    uint64
	started bool
}

// New makes a pacer. Its first batch is due at once.
func New(c Config) (*Pacer, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("pace: %w", err)
	}
	c.Threads = max(c.Threads, 1)
	p := &Pacer{config: c, parts: uint64(c.Threads)}
	p.asked.Store(uint64(c.Rate))
	p.retune()
	return p, nil
}

// retune makes the schedule fit the asked rate.
func (p *Pacer) retune() {
	p.rate = p.asked.Load()
	p.started = false
	batch := uint64(p.config.Batch)
	if p.rate == uint64(Max) {
		// Without a rate there is no burst to share.
		p.batch = cmp.Or(batch, Burst)
		return
	}
	batch = min(cmp.Or(batch, min(p.rate/1000, ownBatch)), MaxBatch)
	p.batch = max(batch/p.parts, 1)
	p.depth = Burst/p.parts - p.batch
}

// SetRate changes the rate of all threads together; the pacer takes it up at
// its next batch. Each thread's pacer must be told.
func (p *Pacer) SetRate(r Rate) { p.asked.Store(uint64(r)) }

// Stalls is how many times the schedule was given up because it could not be
// caught up with.
func (p *Pacer) Stalls() uint64 { return p.stalls.Load() }

// Batch is how many frames the next batch has.
func (p *Pacer) Batch() int {
	if p.asked.Load() != p.rate {
		p.retune()
	}
	return int(p.batch)
}

// due is when frame n is due.
func (p *Pacer) due(n uint64) int64 {
	// n x parts x 1e9 / rate in 128 bits: the quotient fits for 584 years.
	hi, lo := bits.Mul64(n*p.parts, uint64(time.Second))
	ns, _ := bits.Div64(hi, lo, p.rate)
	return p.epoch + int64(ns)
}

// Next says when the next batch of at most Batch frames is due, given the
// time now. If that is not after now, the batch must leave, and Sent be
// called with its size; otherwise Next must be called again later.
func (p *Pacer) Next(now int64) (due int64) {
	if p.asked.Load() != p.rate {
		p.retune()
	}
	if p.rate == uint64(Max) {
		return now
	}
	if !p.started {
		p.started = true
		p.epoch, p.sent = now, 0
	}
	due = p.due(p.sent)
	late := now - due
	if late <= 0 {
		return due
	}
	// Being late saves up frames. What does not fit into the bucket beside
	// this batch is lost, as is everything after a long delay.
	room := p.due(p.sent+p.depth-p.batch) - due
	switch {
	case late > stallAfter:
		p.stalls.Add(1)
		p.epoch, p.sent = now, 0
	case late > room:
		p.stalls.Add(1)
		p.epoch, p.sent = now-room, 0
	}
	return now
}

// Sent tells how many frames have left since Next said so.
func (p *Pacer) Sent(frames int) { p.sent += uint64(frames) }
