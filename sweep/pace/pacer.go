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
	// MaxBatch is the largest batch of all threads together at a given rate. A
	// batch may be held up between its decision and the wire, and the frames
	// saved up meanwhile follow at its heels: together they must not exceed the
	// burst. Half of the burst is left to catch up with delays.
	MaxBatch = Burst / 4
	// MaxThreads is how many threads can share a rate: with one frame a batch,
	// each still has two of the burst to catch up with.
	MaxThreads = Burst / 4

	// stallAfter is how late a batch can be and still be caught up with.
	stallAfter = int64(time.Millisecond)
)

// Config says how a thread is paced.
type Config struct {
	// Rate is that of all threads together.
	Rate Rate
	// Threads is how many share the rate, 1 to MaxThreads. 0 means 1.
	Threads int
	// Batch is how many frames all threads together send at once, 1 to Burst;
	// unless the rate is Max, no more than MaxBatch are. 0 chooses: a
	// thousandth of the rate, at most MaxBatch; Burst at rate Max.
	Batch int
}

// Validate returns an error unless the configuration can be kept.
func (c Config) Validate() error {
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
// times. It keeps no clock of its own. Stalls and SetRate may be called from any
// goroutine, everything else from one.
type Pacer struct {
	stalls atomic.Uint64
	asked  atomic.Uint64 // the Rate that SetRate asked for; 0: none

	config Config // as at the beginning
	rate   uint64 // of all threads together; 0: as fast as can be
	parts  uint64 // threads
	batch  uint64 // frames
	depth  uint64 // frames that may be due at once, at least a batch

	// Frame n is due at epoch + n / rate.
	epoch   int64
	sent    uint64
	started bool
	idle    bool // being late is not a stall this time
}

// New makes a pacer. Its first batch is due at once.
func New(c Config) (*Pacer, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("pace: %w", err)
	}
	p := &Pacer{config: c, parts: uint64(max(c.Threads, 1))}
	p.adopt(c.Rate)
	return p, nil
}

// adopt sets what follows from the rate.
func (p *Pacer) adopt(rate Rate) {
	c := p.config
	c.Rate = rate
	p.batch = uint64(c.EffectiveBatch())
	if rate == Max { // without a rate there is no burst to share
		p.rate = 0
		return
	}
	p.rate = uint64(rate)
	p.batch = max(p.batch/p.parts, 1)
	p.depth = Burst/p.parts - p.batch
}

// SetRate changes the rate from the next batch on. Frames that left ahead of
// the old rate are waited for under the new one, and what is due under the old
// rate stays due: no more frames leave than the integral of the rate and the
// burst.
func (p *Pacer) SetRate(rate Rate) error {
	c := p.config
	c.Rate = rate
	if err := c.Validate(); err != nil {
		return fmt.Errorf("pace: %w", err)
	}
	p.asked.Store(uint64(rate))
	return nil
}

// change adopts the rate that was asked for.
func (p *Pacer) change(now int64) {
	rate := Rate(p.asked.Swap(0))
	if rate == 0 {
		return
	}
	before, paced := p.rate, p.rate != 0 && p.started
	var due int64
	if paced {
		due = p.due(p.sent)
	}
	p.adopt(rate)
	p.epoch, p.sent, p.started = 0, 0, paced
	if paced && p.rate != 0 {
		p.epoch = now + carry(due-now, before, p.rate)
	}
}

// carry turns the time that a schedule is ahead of now, or behind if below 0,
// into that of another rate, so that it stands for no more frames than before.
func carry(ahead int64, from, to uint64) int64 {
	switch {
	case ahead > 0:
		hi, lo := bits.Mul64(uint64(ahead), from)
		ns, rest := bits.Div64(hi, lo, to)
		return int64(ns + min(rest, 1))
	case -ahead > stallAfter || to <= from: // a stall, or worth fewer frames now
		return ahead
	}
	hi, lo := bits.Mul64(uint64(-ahead), from)
	ns, _ := bits.Div64(hi, lo, to)
	return -int64(ns)
}

// EffectiveBatch is how many frames all threads together will send at once.
func (c Config) EffectiveBatch() int {
	if c.Rate == Max {
		return cmp.Or(c.Batch, Burst)
	}
	return max(min(cmp.Or(c.Batch, int(min(c.Rate/1000, MaxBatch))), MaxBatch), 1)
}

// Stalls is how many times the schedule was given up because it could not be
// caught up with.
func (p *Pacer) Stalls() uint64 { return p.stalls.Load() }

// Batch is how many frames a batch has.
func (p *Pacer) Batch() int { return int(p.batch) }

// Idle says that there was nothing to send for a while: if the next batch is
// late, that is no stall. What was not sent meanwhile is not sent later either.
func (p *Pacer) Idle() { p.idle = true }

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
	if p.asked.Load() != 0 {
		p.change(now)
	}
	if p.rate == 0 {
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
	if late > min(room, stallAfter) && !p.idle {
		p.stalls.Add(1)
	}
	switch {
	case late > stallAfter:
		p.epoch, p.sent = now, 0
	case late > room:
		p.epoch, p.sent = now-room, 0
	}
	p.idle = false
	return now
}

// Sent tells how many frames have left since Next said so.
func (p *Pacer) Sent(frames int) { p.sent += uint64(frames) }
