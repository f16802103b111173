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
	told   bool // of the end of the overload
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
	case w.load.Burst > 0:
		rate = pace.Max
	case w.load.Overload > 0 && w.warm == 0:
		rate = pace.Rate(float64(w.load.Rate) * w.load.Overload)
	}
	c := transmit.Config{
		Device: device.Name, Index: device.Index, BindToDevice: device.Type != route.Loopback,
		Template: w.s.template, Pace: pace.Config{Rate: rate, Threads: w.s.config.Threads}, Waiter: waiter,
	}
	switch w.s.tx {
	case TxXDP:
		return transmit.NewXDP(c, w.kernel, w.s.cpus[w.thread])
	case TxPacket:
		return transmit.NewPacket(c)
	}
	return transmit.NewRaw(c)
}

// feed gives the thread's probes to the transmitter, n of all with the index
// base + n x threads + thread.
func (w *sender) feed(waiter *pace.Waiter) error {
	threads := uint64(w.s.config.Threads)
	probes := make([]probe.Probe, 0, pace.Burst)
	targets := uint64(len(w.s.targets))
	started := waiter.Now()
	burst := uint64(w.load.Burst)
	for n := uint64(0); n < w.total/threads; {
		if err := w.turn(waiter, n*threads); err != nil {
			return err
		}
		batch := uint64(w.tx.Batch())
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
		batch = min(batch, w.total/threads-n)
		probes = probes[:0]
		for range batch {
			probes = append(probes, probe.Probe{
				Index: w.base + n*threads + uint64(w.thread), Target: w.s.targets[n%targets], Attempt: 1, HopLimit: hopLimit,
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

// turn changes the rate where the overload begins and where it ends: once all
// that is due before was handed over.
func (w *sender) turn(waiter *pace.Waiter, index uint64) error {
	if w.load.Overload == 0 {
		return nil
	}
	rate := pace.Rate(0)
	switch {
	case w.warm > 0 && index == w.warm:
		rate = pace.Rate(float64(w.load.Rate) * w.load.Overload)
	case index >= w.switched && !w.told:
		w.told = true
		rate = pace.Rate(w.load.Rate)
	default:
		return nil
	}
	// The transmitter holds some thousands, which must leave at the old rate.
	for w.tx.Handed() < index/uint64(w.s.config.Threads) {
		if !waiter.Until(waiter.Now() + int64(200*time.Microsecond)) {
			return transmit.ErrStopped
		}
	}
	w.tx.Idle()
	return w.tx.SetRate(rate)
}
