// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"sync"
	"time"

	"xsweep/loader"
	"xsweep/sweep/pace"
)

// Where a ring is so full, in parts of it, that sending is held, and where it
// goes on. What is under way then still finds room: some thousand probes, and the
// answers of a round trip.
const (
	pressedFrom  = 2 // a half
	pressedUntil = 4
)

// Bounds of how often rings are looked at.
const (
	pressEveryMin = 2 * time.Millisecond
	pressEveryMax = 100 * time.Millisecond
)

// pressEvery is how often rings of so many bytes are looked at: four times while
// answers to all probes fill one from empty to where sending is held.
func pressEvery(ringBytes int, rate pace.Rate) time.Duration {
	const most = 16_000_000 // packets a second, where no rate was asked for
	if rate == pace.Max {
		rate = most
	}
	records := ringBytes / loader.RecordBytes / pressedFrom / 4
	every := time.Duration(float64(records) / float64(rate) * float64(time.Second))
	return min(max(every, pressEveryMin), pressEveryMax)
}

// watchPressure holds sending while a ring is full of records that the sinks have
// not taken, until stop is called.
func (r *run) watchPressure() (stop func()) {
	rings := r.filter.Rings()
	if len(rings) == 0 {
		return func() {}
	}
	size := rings[0].BufferSize()
	quit := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		tick := time.NewTicker(pressEvery(size, r.config.Rate))
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			fullest := 0
			for _, ring := range rings {
				fullest = max(fullest, ring.AvailableBytes())
			}
			switch {
			case fullest >= size/pressedFrom:
				r.pressure.high.Store(true)
			case fullest < size/pressedUntil:
				r.pressure.high.Store(false)
			}
		}
	})
	return func() {
		close(quit)
		work.Wait()
	}
}
