// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"runtime"
	"sync"
	"time"

	"xsweep/internal/route"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
	"xsweep/sweep/transmit"
)

// sender is one sending thread of a trial.
type sender struct {
	*running
	thread int
	tx     transmit.Transmitter
	err    error
	begin  chan struct{} // closed to let it go
	done   chan struct{}
}

// abort lets a thread go that was never let go. The stop is set by then.
func (w *sender) abort() {
	select {
	case <-w.begin:
	default:
		close(w.begin)
	}
}

// work is the life of the thread.
func (w *sender) work(ready *sync.WaitGroup) {
	defer close(w.done)
	// Locked and not unlocked: timer slack was changed, so the thread ends with
	// its goroutine.
	runtime.LockOSThread()
	waiter := pace.NewWaiter(w.s.clock, w.stop)
	w.tx, w.err = w.open(waiter)
	failed := w.err != nil
	ready.Done()
	<-w.begin
	if failed || w.stop.IsSet() {
		return
	}
	err := w.feed(waiter)
	if _, drainErr := w.tx.Drain(); err == nil {
		err = drainErr
	}
	w.err = err
}

func (w *sender) open(waiter *pace.Waiter) (transmit.Transmitter, error) {
	device := w.s.route.Interface
	rate := pace.Rate(w.load.Rate)
	switch {
	case w.load.Burst > 0 || w.load.Unpaced:
		rate = pace.Max
	case w.load.Overload > 0 && w.warm == 0:
		rate = w.overload()
	}
	c := transmit.Config{
		Device: device.Name, Index: device.Index, BindToDevice: device.Type != route.Loopback,
		Template: w.s.template, Pace: pace.Config{Rate: rate, Threads: w.s.config.Threads, Batch: batchOf(rate)}, Waiter: waiter,
	}
	switch w.s.tx {
	case TxXDP:
		return transmit.NewXDP(c, w.kernel, w.s.cpus[w.thread])
	case TxPacket:
		return transmit.NewPacket(c)
	}
	return transmit.NewRaw(c)
}

// singly is up to which rate sendmmsg gets one frame at a time: all of a batch have
// the stamp of its beginning (docs/measuring.md, the bias of a batch).
const singly = 100_000

// batchOf is the batch of packet and raw at a rate; 0 leaves it to the pacer.
func batchOf(rate pace.Rate) int {
	if rate != pace.Max && rate <= singly {
		return 1
	}
	return 0
}

// feed gives the thread's probes to the transmitter, n of all with the index
// base + n x threads + thread. Targets take turns, then flows.
func (w *sender) feed(waiter *pace.Waiter) error {
	threads := uint64(w.s.config.Threads)
	probes := make([]probe.Probe, 0, pace.Burst)
	targets, flows := uint64(len(w.s.targets)), uint64(len(w.s.template.Flows()))
	started := waiter.Now()
	burst := uint64(w.load.Burst)
	changes := w.changes()
	for n := uint64(0); n < w.total/threads; {
		batch := min(uint64(w.tx.Batch()), w.total/threads-n)
		if len(changes) > 0 && changes[0].at == n {
			if err := w.change(waiter, changes[0]); err != nil {
				return err
			}
			changes = changes[1:]
		}
		if len(changes) > 0 {
			batch = min(batch, changes[0].at-n)
		}
		if burst > 0 {
			// Bursts are dealt out to the threads.
			share := max(burst/threads, 1)
			if n > 0 && n%share == 0 {
				due := started + int64(float64(n*threads)*float64(time.Second)/float64(w.load.Rate))
				if !waiter.Until(due) {
					return transmit.ErrStopped
				}
				w.tx.Idle()
			}
			batch = min(batch, share-n%share)
		}
		probes = probes[:0]
		for range batch {
			probes = append(probes, probe.Probe{
				Index: w.base + n*threads + uint64(w.thread), Target: w.s.targets[n%targets], Attempt: 1, HopLimit: hopLimit,
				Flow: uint8(n / targets % flows),
			})
			n++
		}
		if _, err := w.tx.Send(probes); err != nil {
			return err
		}
	}
	return nil
}

// hopLimit is what probes are sent with.
const hopLimit = 64

// rateChange is another rate from one of the thread's probes on.
type rateChange struct {
	at   uint64 // the number of the first probe that it is for
	rate pace.Rate
}

// changes are where the overload begins, unless it does at once, and where it
// ends.
func (w *sender) changes() []rateChange {
	if w.load.Overload == 0 {
		return nil
	}
	threads := uint64(w.s.config.Threads)
	end := rateChange{w.switched / threads, pace.Rate(w.load.Rate)}
	if w.warm == 0 {
		return []rateChange{end}
	}
	return []rateChange{{w.warm / threads, w.overload()}, end}
}

// overload is the rate of the overload.
func (w *sender) overload() pace.Rate { return pace.Rate(float64(w.load.Rate) * w.load.Overload) }

// change changes the rate once all that is due before was handed over: the
// transmitter holds some thousands, which must leave at the old one.
func (w *sender) change(waiter *pace.Waiter, c rateChange) error {
	for w.tx.Handed() < c.at {
		if !waiter.Until(waiter.Now() + int64(200*time.Microsecond)) {
			return transmit.ErrStopped
		}
	}
	w.tx.Idle()
	return w.tx.SetRate(c.rate)
}
