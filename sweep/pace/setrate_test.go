// SPDX-License-Identifier: Apache-2.0

package pace

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"xsweep/internal/testrand"
)

// In any window that holds changes of the rate no more frames leave than its
// integral and the burst. (Threads sleep until what was due, so a change takes
// effect one by one: until the last has heard of it, the higher rate counts.)
func TestPacerSetRateKeepsTheBurst(t *testing.T) {
	rng := testrand.New(t)
	choice := []Rate{100, 1000, 9_999, 20_000, 64_000, 333_333, 1_000_000, 10_000_000}
	for _, threads := range []int{1, 2, 3, MaxThreads} {
		for _, every := range []int64{20_000, 1_000_000, 30_000_000} { // ns from change to change, at most
			t.Run(fmt.Sprintf("%d/%v", threads, time.Duration(every)), func(t *testing.T) {
				type event struct {
					at     int64
					frames int
					rate   Rate // that counts from here on, if no frames
				}
				var events []event
				rate := choice[rng.IntN(len(choice))]
				inUse := make([]Rate, threads) // by thread
				counts := func(at int64) { events = append(events, event{at: at, rate: max(slices.Max(inUse), rate)}) }
				pacers := make([]*Pacer, threads)
				at := make([]int64, threads)
				for i := range pacers {
					pacers[i] = newPacer(t, Config{Rate: rate, Threads: threads})
					at[i], inUse[i] = 1_000_000, rate
				}
				counts(0)
				change := 1_000_000 + rng.Int64N(every)
				for range 50_000 {
					i := 0 // the thread whose turn is next
					for k := range at {
						if at[k] < at[i] {
							i = k
						}
					}
					now := at[i]
					if change <= now {
						rate = choice[rng.IntN(len(choice))]
						for _, p := range pacers {
							if err := p.SetRate(rate); err != nil {
								t.Fatal(err)
							}
						}
						counts(change)
						change += 1 + rng.Int64N(every)
						continue
					}
					due := pacers[i].Next(now)
					if inUse[i] != rate {
						inUse[i] = rate
						counts(now)
					}
					if due > now {
						at[i] = due
						switch rng.IntN(20) {
						case 0:
							at[i] += rng.Int64N(5_000_000)
						case 1, 2, 3, 4:
							at[i] += rng.Int64N(300_000)
						}
						continue
					}
					n := pacers[i].Batch()
					pacers[i].Sent(n)
					events = append(events, event{at: now, frames: n})
					at[i]++
				}
				slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
				var total window
				for _, e := range events {
					total.add(e.at, e.frames)
					if e.frames == 0 {
						total.rate = float64(e.rate)
					}
				}
				if total.max > Burst+0.001 {
					t.Errorf("%.3f frames beyond the rates in some window, allowed are %d", total.max, Burst)
				}
			})
		}
	}
}

// The new rate is kept from the next batch on, in both directions, to max and
// back; a higher one is not made to wait for what was due under a lower one.
func TestPacerSetRateIsExact(t *testing.T) {
	p := newPacer(t, Config{Rate: 1000})
	now := int64(5)
	second := func() (frames int) {
		for end := now + int64(time.Second); now < end; {
			if due := p.Next(now); due > now {
				now = due
				continue
			}
			frames += p.Batch()
			p.Sent(p.Batch())
		}
		return frames
	}
	second()
	for _, rate := range []Rate{20_000, 1000, 1_000_000, 500, 64_000} {
		if err := p.SetRate(rate); err != nil {
			t.Fatal(err)
		}
		if got := second(); got < int(rate)-MaxBatch-p.Batch() || got > int(rate)+Burst {
			t.Errorf("%d frames in a second at %v", got, rate)
		}
	}
	if err := p.SetRate(Max); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if due := p.Next(now); due != now || p.Batch() != Burst {
			t.Fatalf("at max: due %d ns later, batch %d", due-now, p.Batch())
		}
		p.Sent(p.Batch())
	}
	if err := p.SetRate(1000); err != nil {
		t.Fatal(err)
	}
	if got := second(); got < 1000-1 || got > 1000+Burst {
		t.Errorf("%d frames in the second after max", got)
	}
	if p.Stalls() != 0 {
		t.Errorf("%d stalls", p.Stalls())
	}
	if err := p.SetRate(1); err != nil { // which is a second to the next frame
		t.Fatal(err)
	}
	p.Sent(p.Batch())
	p.Next(now)
	if err := p.SetRate(1_000_000); err != nil {
		t.Fatal(err)
	}
	if wait := p.Next(now) - now; wait > int64(MaxBatch*time.Microsecond) {
		t.Errorf("raised to a million: the next batch is due in %v", time.Duration(wait))
	}
	for _, bad := range []Rate{0, Highest + 1} {
		if err := p.SetRate(bad); err == nil {
			t.Errorf("rate %d is taken", bad)
		}
	}
}

// What the schedule was ahead or behind when the rate changed stands for as many
// frames afterwards, or fewer; a stall stays one.
func TestPacerSetRateCarries(t *testing.T) {
	const us = int64(time.Microsecond)
	for name, tc := range map[string]struct {
		from, to Rate
		late     int64 // than due, ns; below 0: ahead
		due      int64 // of the first batch, from the change
		next     int64 // of the one behind it, from when the first left
		stalls   uint64
	}{
		"ahead, lowered":        {1_000_000, 10_000, -16 * us, 1600 * us, 1000 * us, 0},
		"half ahead, lowered":   {1_000_000, 10_000, -8 * us, 800 * us, 1000 * us, 0},
		"ahead, raised":         {1000, 1_000_000, -1000 * us, 1 * us, 16 * us, 0},
		"late, raised":          {20_000, 1_000_000, 400 * us, 0, 8 * us, 0},
		"late, lowered":         {1_000_000, 10_000, 20 * us, 0, 980 * us, 0},
		"stalled, raised":       {20_000, 1_000_000, 5000 * us, 0, 16 * us, 1},
		"beyond room, raised":   {64_000, 1_000_000, 999 * us, 0, -16 * us, 1},
		"ahead, to the same":    {1_000_000, 1_000_000, -16 * us, 16 * us, 16 * us, 0},
		"ahead, to max":         {1000, Max, -1000 * us, 0, 0, 0},
		"ahead, rounded up":     {1_000_000, 999_999, -16 * us, 16*us + 1, 16 * us, 0},
		"almost there, lowered": {1_000_000, 1000, -1, us, 1000 * us, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPacer(t, Config{Rate: tc.from})
			p.Next(0)
			p.Sent(p.Batch())
			now := p.Next(0) + tc.late
			if err := p.SetRate(tc.to); err != nil {
				t.Fatal(err)
			}
			if due := p.Next(now); due != now+tc.due {
				t.Errorf("due %d ns after the change, want %d", due-now, tc.due)
			}
			now += tc.due
			if due := p.Next(now); due != now {
				t.Fatalf("not due when it should be, but %d ns later", due-now)
			}
			p.Sent(p.Batch())
			if next := p.Next(now); next != now+max(tc.next, 0) {
				t.Errorf("the next %d ns later, want %d", next-now, tc.next)
			}
			if p.Stalls() != tc.stalls {
				t.Errorf("%d stalls, want %d", p.Stalls(), tc.stalls)
			}
		})
	}
}

// Rates come from any goroutine, and the last one counts.
func TestPacerSetRateMeanwhile(t *testing.T) {
	p := newPacer(t, Config{Rate: 1000})
	var others sync.WaitGroup
	for _, rate := range []Rate{1, 20_000, Max} {
		others.Go(func() {
			for range 5000 {
				if err := p.SetRate(rate); err != nil {
					t.Error(err)
				}
			}
		})
	}
	changed := make(chan struct{})
	go func() { others.Wait(); close(changed) }()
	now := int64(1)
	for changing := true; changing; {
		select {
		case <-changed:
			changing = false
		default:
		}
		if due := p.Next(now); due > now {
			now = due
			continue
		}
		p.Sent(p.Batch())
	}
	if err := p.SetRate(Max); err != nil {
		t.Fatal(err)
	}
	if p.Next(now) != now || p.Batch() != Burst {
		t.Errorf("batch %d, want that of max", p.Batch())
	}
}
