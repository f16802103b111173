// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"slices"
	"testing"
	"time"

	"xsweep/internal/testrand"
)

// departure is an answer that left.
type departure struct {
	number uint64
	at     time.Duration
}

// depart gives a schedule answers that arrive at times, lets a clock run, and
// returns what left, and when it was due.
func depart(t *testing.T, c Config, arrivals ...time.Duration) ([]departure, DelayCounts) {
	t.Helper()
	s := newSchedule(c)
	var left []departure
	until := func(now time.Duration) {
		for {
			at, some := s.next()
			if !some || at > now {
				return
			}
			a := s.release(at)
			if a == nil {
				t.Fatalf("nothing leaves at %v", at)
			}
			left = append(left, departure{a.number, at})
		}
	}
	for _, at := range arrivals {
		until(at - 1)
		s.accept(&held{arrived: at})
	}
	until(time.Hour)
	if s.pending() != 0 || s.counts.Departed != uint64(len(left)) ||
		s.counts.Taken != s.counts.QueueFull+s.counts.Departed {
		t.Errorf("%d left and %d are pending: %+v", len(left), s.pending(), s.counts)
	}
	return left, s.counts
}

// each returns n times, a step apart.
func each(step time.Duration, n int) []time.Duration {
	times := make([]time.Duration, n)
	for k := range times {
		times[k] = step * time.Duration(k)
	}
	return times
}

func mustDistribution(t *testing.T, text string) *Distribution {
	t.Helper()
	d, err := ParseDistribution(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestScheduleFixedDelay(t *testing.T) {
	left, counts := depart(t, Config{Delay: mustDistribution(t, "10us")}, 0, 0, 3000, 20_000)
	want := []departure{{0, 10_000}, {1, 10_000}, {2, 13_000}, {3, 30_000}}
	if !slices.Equal(left, want) || counts.Reordered != 0 {
		t.Errorf("%v left, %+v, want %v", left, counts, want)
	}
}

// A server takes one after the other, and those that find it full are dropped.
func TestScheduleQueue(t *testing.T) {
	c := Config{Queue: Queue{Rate: 1_000_000, Length: 3}, Delay: mustDistribution(t, "1us")}
	left, counts := depart(t, c, 0, 0, 0, 0, 500, 1000, 1001, 10_000)
	// At 1000 the first has left, and there is room for one more.
	want := []departure{{0, 2000}, {1, 3000}, {2, 4000}, {5, 5000}, {7, 12_000}}
	if !slices.Equal(left, want) || counts.QueueFull != 3 {
		t.Errorf("%v left, %+v, want %v", left, counts, want)
	}
}

// At less than its rate a server drops nothing, at twice its rate half of all but
// what it holds, and a rate that is no whole number of nanoseconds is kept.
func TestScheduleQueueRate(t *testing.T) {
	const n = 300_000
	c := Config{Queue: Queue{Rate: 3_000_000, Length: 50}}
	if left, counts := depart(t, c, each(334, n)...); counts.QueueFull != 0 || left[n-1].at-334*(n-1) > 700 {
		t.Errorf("below the rate: %+v, the last left at %v", counts, left[n-1])
	}
	left, counts := depart(t, c, each(100, n)...)
	if want := uint64(n*3/10) + 50; counts.Departed < want-2 || counts.Departed > want+2 {
		t.Errorf("above the rate %d left, want %d", counts.Departed, want)
	}
	if got := left[len(left)-1].at; (got - 300*n/3 - 50*333).Abs() > 1000 {
		t.Errorf("the last left at %v", got)
	}
}

// With every answer to be swapped, pairs are; with a share, exactly so many as
// are counted are late, each behind one other.
func TestScheduleSwaps(t *testing.T) {
	left, counts := depart(t, Config{Reorder: 1}, each(10, 5)...)
	want := []departure{{1, 10}, {0, 10}, {3, 30}, {2, 30}, {4, 40 + swapWait}}
	if !slices.Equal(left, want) || counts.Swapped != 2 || counts.Reordered != 2 {
		t.Errorf("%v left, %+v, want %v", left, counts, want)
	}
	c := Config{Reorder: 0.1, Seed: testrand.New(t).Uint64(), Delay: mustDistribution(t, "5us")}
	const n = 20_000
	left, counts = depart(t, c, each(10, n)...)
	late, latest := uint64(0), uint64(0)
	for k, d := range left {
		if k > 0 && d.number < latest {
			late++
			if left[k-1].number != d.number+1 {
				t.Fatalf("%d left behind %d", d.number, left[k-1].number)
			}
		}
		latest = max(latest, d.number)
	}
	if late != counts.Swapped || late != counts.Reordered || late < n/12 || late > n/9 {
		t.Errorf("seed %d: %d of %d left late; %+v", c.Seed, late, n, counts)
	}
}

// Delays that differ have answers overtake each other, and those are counted.
func TestScheduleReordered(t *testing.T) {
	c := Config{Delay: mustDistribution(t, "1us..9us"), Seed: testrand.New(t).Uint64()}
	left, counts := depart(t, c, each(1000, 5000)...)
	late, latest := uint64(0), uint64(0)
	for k, d := range left {
		if k > 0 && d.number < latest {
			late++
		}
		latest = max(latest, d.number)
	}
	if late == 0 || counts.Reordered != late {
		t.Errorf("seed %d: %d left late; %+v", c.Seed, late, counts)
	}
}

// Drawn delays have their distribution.
func TestScheduleDraws(t *testing.T) {
	c := Config{Delay: mustDistribution(t, "exp:1ms"), Seed: testrand.New(t).Uint64()}
	const n = 20_000
	left, _ := depart(t, c, make([]time.Duration, n)...)
	for _, q := range []float64{0.1, 0.5, 0.9} {
		got, want := left[int(q*n)].at, c.Delay.Quantile(q)
		if float64((got - want).Abs()) > 0.1*float64(want) {
			t.Errorf("seed %d: quantile %v is %v, want %v", c.Seed, q, got, want)
		}
	}
}
