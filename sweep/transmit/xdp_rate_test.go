// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"xsweep/internal/testrand"
	"xsweep/sweep/pace"
)

// keeps checks that the ring says a rate: the interval exact to a millionth or
// a 256th of a nanosecond, and what may be saved up and what is under way no
// more than the thread's share of the burst.
func keeps(t *testing.T, x *xdp, rate pace.Rate) {
	t.Helper()
	threads := uint64(x.rate.Threads)
	interval, slack, batch := x.ring.Interval, x.ring.Slack, uint64(x.batch.Load())
	if rate == pace.Max {
		if interval != 0 || batch < 1 {
			t.Errorf("max: interval %d, batch %d", interval, batch)
		}
		return
	}
	want := float64(threads) * 256e9 / float64(rate)
	if math.Abs(float64(interval)-want) > max(1, want/1e6) {
		t.Errorf("%v, %d threads: interval %d, want %v", rate, threads, interval, want)
	}
	if saved := (slack + interval - 1) / interval; saved < 1 || batch < 1 || threads*(saved+batch) > pace.Burst {
		t.Errorf("%v, %d threads: %d frames saved up, %d under way, over all at most %d", rate, threads, saved, batch, pace.Burst)
	}
}

func TestXDPSetRate(t *testing.T) {
	r := testrand.New(t)
	for threads := 1; threads <= pace.MaxThreads; threads++ {
		x, _ := newPlayer(t, pace.Config{Rate: 1000, Threads: threads}, 0)
		keeps(t, x, 1000)
		rates := []pace.Rate{1, pace.Highest, pace.Max, 3, pace.Max, pace.Highest, 1}
		for range 20 {
			rates = append(rates, 1+pace.Rate(r.Uint64N(uint64(pace.Highest))))
		}
		for _, rate := range rates {
			if err := x.SetRate(rate); err != nil {
				t.Fatal(err)
			}
			keeps(t, x, rate)
		}
		last := rates[len(rates)-1]
		for _, bad := range []pace.Rate{0, pace.Highest + 1} {
			if err := x.SetRate(bad); err == nil {
				t.Errorf("rate %d is taken", bad)
			}
			keeps(t, x, last)
		}
	}
}

// The first frame under a rate is not late for one that there was not: neither
// at the beginning nor after rate max.
func TestXDPRateExcuses(t *testing.T) {
	x, _ := newPlayer(t, pace.Config{Rate: 1000}, 0)
	if x.ring.Idle == x.ring.Excused {
		t.Error("the first frame would be a stall")
	}
	for _, step := range []struct {
		rate   pace.Rate
		excuse bool
	}{{2000, false}, {pace.Max, false}, {1000, true}, {500, false}} {
		before := x.ring.Idle
		if err := x.SetRate(step.rate); err != nil {
			t.Fatal(err)
		}
		if got := x.ring.Idle != before; got != step.excuse {
			t.Errorf("on to %v: excused %v, want %v", step.rate, got, step.excuse)
		}
	}
}

// A new batch size needs a new call into the kernel; the same one does not, and
// another rate does not make it smaller.
func TestXDPBatchChangeInterrupts(t *testing.T) {
	x, p := newPlayer(t, pace.Config{Rate: pace.Max}, 0)
	start(t, x)
	for _, step := range []struct {
		rate  pace.Rate
		again bool
	}{{1000, true}, {500_000, false}, {1_000_000, true}, {pace.Highest, true}, {1, false}, {pace.Max, true}, {1, true}} {
		calls := p.calls.Load()
		if err := x.SetRate(step.rate); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the batch size of the rate", func() bool { return p.batch.Load() == x.batch.Load() })
		if n := p.calls.Load() - calls; (n > 0) != step.again {
			t.Errorf("on to %v: %d new calls", step.rate, n)
		}
	}
}

// Rates change from several goroutines at once while another one sends, and the
// ring says one of them then, not parts of two.
func TestXDPSetRateMeanwhile(t *testing.T) {
	x, _ := newPlayer(t, pace.Config{Rate: 1000, Threads: 1}, 0)
	start(t, x)
	rates := []pace.Rate{1000, pace.Highest}
	var rounds sync.WaitGroup
	for range 200 {
		for _, rate := range rates {
			rounds.Go(func() {
				for range 300 {
					if err := x.SetRate(rate); err != nil {
						t.Error(err)
					}
				}
			})
		}
		if n, err := x.Send(numbered(0, 10)); n != 10 || err != nil {
			t.Fatalf("%d taken, %v", n, err)
		}
		rounds.Wait()
		last := rates[0]
		if x.ring.Interval == 256 {
			last = rates[1]
		}
		if keeps(t, x, last); t.Failed() {
			break
		}
	}
	if left, err := x.Drain(); left != 0 || err != nil {
		t.Errorf("%d left, %v", left, err)
	}
}

// The forecast of how long a ring takes to empty.
func TestXDPPause(t *testing.T) {
	const ms = int64(time.Millisecond)
	for _, tc := range []struct {
		took, want int64
		moved      uint64
		more       uint64
	}{
		{ms, 2 * ms, 1000, 2000},
		{ms, ms / 2, 1000, 500},
		{ms, minPause, 1_000_000, 1},
		{ms, maxPause, 1, 1_000_000},
		{1, minPause, math.MaxUint64, 1},
		{math.MaxInt64 / 2, maxPause, 1, math.MaxUint64},
	} {
		t.Run(fmt.Sprintf("%d in %d", tc.moved, tc.took), func(t *testing.T) {
			var d drained
			if got := d.pause(77, 5, tc.more); got != minPause {
				t.Errorf("%d ns at first, want %d", got, minPause)
			}
			if got := d.pause(77+tc.took, 5+tc.moved, tc.more); got != tc.want {
				t.Errorf("%d ns, want %d", got, tc.want)
			}
		})
	}
	// While nothing moves it waits ever longer, up to a bound, and wakes up again
	// when something does.
	var d drained
	now, last := int64(1), int64(0)
	for i := range 20 {
		got := d.pause(now, 9, 100)
		if got < minPause || got > maxPause || got < last || i > 0 && got == last && got != maxPause {
			t.Errorf("%d ns after %d", got, last)
		}
		now, last = now+got, got
	}
	if last != maxPause {
		t.Errorf("%d ns in the end, want %d", last, maxPause)
	}
	if got := d.pause(now+ms, 9+1000, 100); got != (last+ms)/10 {
		t.Errorf("%d ns when it moves again, want %d", got, (last+ms)/10)
	}
}
