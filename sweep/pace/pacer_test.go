// SPDX-License-Identifier: Apache-2.0

package pace

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"xsweep/internal/testrand"
)

// window measures the largest excess of frames over rate x T in any window:
// a leaky bucket that drains at the rate has exactly that level.
type window struct {
	rate  float64
	last  int64
	level float64
	max   float64
}

func (w *window) add(at int64, frames int) {
	w.level = max(0, w.level-w.rate*float64(at-w.last)/1e9) + float64(frames)
	w.last = at
	w.max = max(w.max, w.level)
}

func newPacer(t *testing.T, c Config) *Pacer {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Threads that are woken late, as random delays have it, together never
// exceed the burst in any window.
func TestPacerNeverExceedsTheBurst(t *testing.T) {
	rng := testrand.New(t)
	for _, rate := range []Rate{1, 3, 1000, 9_999, 10_000, 64_000, 100_000, 333_333, 1_000_000, 10_000_000} {
		for _, threads := range []int{1, 2, 3, MaxThreads} {
			for _, batch := range []int{0, 1, Burst} {
				t.Run(fmt.Sprintf("%v/%d/%d", rate, threads, batch), func(t *testing.T) {
					total := window{rate: float64(rate)}
					type batchAt struct {
						at     int64
						frames int
					}
					var left []batchAt
					pacers := make([]*Pacer, threads)
					at := make([]int64, threads)
					for i := range pacers {
						pacers[i] = newPacer(t, Config{Rate: rate, Threads: threads, Batch: batch})
						at[i] = 1_000_000
					}
					for range 20_000 {
						i := 0 // the thread whose turn is next
						for k := range at {
							if at[k] < at[i] {
								i = k
							}
						}
						now := at[i]
						due := pacers[i].Next(now)
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
						// The batch may be held up on its way to the wire.
						if rng.IntN(10) == 0 {
							at[i] += rng.Int64N(500_000)
						}
						left = append(left, batchAt{at[i], n})
						at[i]++
					}
					slices.SortFunc(left, func(a, b batchAt) int { return cmp.Compare(a.at, b.at) })
					for _, b := range left {
						total.add(b.at, b.frames)
					}
					if total.max > Burst+0.001 {
						t.Errorf("%.3f frames beyond the rate in some window, allowed are %d", total.max, Burst)
					}
				})
			}
		}
	}
}

// Delays below a millisecond that the bucket can hold are caught up with: the
// rate over each second is exact.
func TestPacerIsExactWithoutStalls(t *testing.T) {
	rng := testrand.New(t)
	for _, rate := range []Rate{1000, 10_000, 77_777, 100_000, 400_000, 3_000_000} {
		p := newPacer(t, Config{Rate: rate})
		slack := min(int64(float64(Burst-2*p.Batch())/float64(rate)*1e9), stallAfter) - 2
		now, frames, start := int64(5), 0, int64(5)
		for second := range 3 {
			for now < start+int64(time.Second) {
				if due := p.Next(now); due > now {
					now = due + rng.Int64N(slack)
					continue
				}
				frames += p.Batch()
				p.Sent(p.Batch())
			}
			want := float64(rate) * float64(second+1)
			if got := float64(frames); got < want*0.995-Burst || got > want*1.005+Burst {
				t.Errorf("rate %v: %v frames by second %d, want %v", rate, got, second+1, want)
			}
			start += int64(time.Second)
		}
		if p.Stalls() != 0 {
			t.Errorf("rate %v: %d stalls", rate, p.Stalls())
		}
	}
}

func TestPacerStall(t *testing.T) {
	p := newPacer(t, Config{Rate: 10_000}) // batches of 10, one each millisecond
	p.Next(0)
	p.Sent(10)
	now := int64(time.Hour) // a laptop's lid, a stopped process
	for range 2 {
		if due := p.Next(now); due != now {
			t.Fatalf("due at %d, want now (%d)", due, now)
		}
		p.Sent(p.Batch())
		if due := p.Next(now); due != now+int64(time.Millisecond) {
			t.Fatalf("after the stall due at %d, want a millisecond after %d", due, now)
		}
		now += int64(time.Hour)
	}
	if p.Stalls() != 2 {
		t.Errorf("%d stalls, want 2", p.Stalls())
	}
}

// A wait that the caller wanted is no stall, and what it cost is not caught up
// with either.
func TestPacerIdle(t *testing.T) {
	p := newPacer(t, Config{Rate: 10_000})
	p.Next(0)
	p.Sent(10)
	p.Idle()
	now := int64(time.Second)
	if due := p.Next(now); due != now || p.Stalls() != 0 {
		t.Fatalf("due at %d, want now (%d); %d stalls", due, now, p.Stalls())
	}
	p.Sent(10)
	if due := p.Next(now); due != now+int64(time.Millisecond) {
		t.Errorf("due at %d, want a millisecond later", due)
	}
	// The next delay is one again.
	now += int64(time.Second)
	if p.Next(now); p.Stalls() != 1 {
		t.Errorf("%d stalls, want 1", p.Stalls())
	}
}

// However many threads and frames a batch there are, some delay can be caught
// up with.
func TestPacerAlwaysHasRoom(t *testing.T) {
	for threads := 1; threads <= MaxThreads; threads++ {
		for batch := range Burst + 1 {
			for _, rate := range []Rate{10, 10_000, 100_000} {
				p := newPacer(t, Config{Rate: rate, Threads: threads, Batch: batch})
				p.Next(0)
				p.Sent(p.Batch())
				// Half as late as it takes the threads to send what is left of the burst.
				late := min(int64(Burst/4)*int64(time.Second)/int64(rate)/2, stallAfter)
				if p.Next(p.Next(0) + late); p.Stalls() != 0 {
					t.Fatalf("%v, %d threads, batch %d: %d ns late is a stall", rate, threads, batch, late)
				}
			}
		}
	}
}

func TestPacerConfig(t *testing.T) {
	for _, c := range []Config{{Rate: 1, Threads: -1}, {Rate: 1, Threads: MaxThreads + 1}, {Rate: 1, Batch: -1}, {Rate: 1, Batch: Burst + 1}, {Rate: Highest + 1}, {}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
	for _, v := range []struct {
		config Config
		want   int
	}{
		{Config{Rate: 1}, 1},
		{Config{Rate: 999}, 1},
		{Config{Rate: 10_000}, 10},
		{Config{Rate: 1_000_000}, MaxBatch},
		{Config{Rate: 1_000_000, Threads: 2}, MaxBatch / 2},
		{Config{Rate: 1_000_000, Threads: MaxThreads}, 1},
		{Config{Rate: 1_000_000, Threads: MaxThreads, Batch: Burst}, 1},
		{Config{Rate: 10, Batch: 64}, MaxBatch},
		{Config{Rate: Max}, Burst},
		{Config{Rate: Max, Batch: 7}, 7},
	} {
		if got := newPacer(t, v.config).Batch(); got != v.want {
			t.Errorf("%+v: batch %d, want %d", v.config, got, v.want)
		}
	}
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]Rate{
		"1": 1, "10k": 10_000, "10K": 10_000, "1.5M": 1_500_000, "2m": 2_000_000, "1G": 1_000_000_000, "0.5k": 500, "max": Max,
		"12345": 12345,
	} {
		got, err := ParseRate(text)
		if err != nil || got != want {
			t.Errorf("ParseRate(%q) = %d, %v; want %d", text, got, err, want)
		}
		if again, err := ParseRate(got.String()); err != nil || again != got {
			t.Errorf("%q reads back as %d, %v", got.String(), again, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "-10k", "k", "1kk", "1e3", "0x10", "NaN", "Inf", "1G1", "2G", "0.0001", "1_000", "ten", "99999999999999999999", "Max", "1 k"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("ParseRate(%q) = %d, no error", text, got)
		}
	}
}
