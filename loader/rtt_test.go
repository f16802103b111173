// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"math"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"xsweep/bpf"
	"xsweep/internal/testrand"
	"xsweep/loader"
)

// usedBins are the bins that times can fall into: RTT_BINS of
// bpf/include/reply_abi.h. What lies behind fills up to a power of two.
const usedBins = 960

// The bins follow each other without gap and reach from 64 ns to 2^36 ns;
// none is so wide that its middle, or any of its values, misleads.
func TestRTTBinsAreNarrow(t *testing.T) {
	next := uint64(64)
	for bin := range usedBins {
		low, high := loader.RTTBin(bin)
		if low != next || high <= low {
			t.Fatalf("bin %d is [%d, %d): it should start at %d", bin, low, high, next)
		}
		next = high
		middle := float64(low) + float64(high-low)/2
		for _, v := range []uint64{low, high - 1} {
			if off := math.Abs(middle-float64(v)) / float64(v); off > 0.016 {
				t.Errorf("bin %d: its middle is %.2f %% off %d ns", bin, 100*off, v)
			}
		}
	}
	if next != 1<<36 {
		t.Errorf("the bins end at %d ns, not at 2^36", next)
	}
	if next < uint64(time.Minute) {
		t.Error("a minute does not fit")
	}
}

// The filter puts each time where RTTBin says: at both ends of every bin, at
// and beyond both ends of the histogram, and at random in between.
func TestFilterFillsTheRightBin(t *testing.T) {
	rng := testrand.New(t)
	times := []uint64{0, 1, 63, 64, 65, 1<<36 - 1, 1 << 36, 1<<36 + 1, 1 << 37, 1 << 62, 1<<64 - 2}
	for bin := range usedBins {
		low, high := loader.RTTBin(bin)
		times = append(times, low, high-1, low+rng.Uint64N(high-low))
	}
	c := defaultConfig()
	f, a := loadFrozen(t, c, endOfTime), newAnswerer(t, c)
	for i, rtt := range times {
		was := f.last
		got := f.run(t, a.reply(t, echo{slash16.lo + uint32(i), 0, 1, ^uint64(0) - rtt, 64}))
		if got.Record.RttNs != rtt {
			t.Fatalf("%d ns: recorded as %d ns", rtt, got.Record.RttNs)
		}
		bin := onlyMoved(t, "rtt bin", was.RTT[:], f.last.RTT[:])
		low, high := loader.RTTBin(bin)
		if (rtt < low && bin != 0) || (rtt >= high && bin != usedBins-1) {
			t.Errorf("%d ns went into bin %d, [%d, %d)", rtt, bin, low, high)
		}
	}
}

// With the kernel's own clock: a reply arrives between two looks at
// CLOCK_MONOTONIC, and its RTT is what lies between sending and arrival.
func TestClock(t *testing.T) {
	c := defaultConfig()
	c.RecordAll = true
	f, a := load(t, c), newAnswerer(t, c)
	for i := range uint32(200) {
		sent := monotonic(t)
		frame := a.reply(t, echo{slash16.lo + i, 77, 1, sent, 61})
		before := monotonic(t)
		action := f.execute(t, frame)
		after := monotonic(t)
		e := f.observe(t, action)
		r := e.Record
		if r.ArrivedNs < before || r.ArrivedNs > after {
			t.Fatalf("arrived at %d, not between %d and %d", r.ArrivedNs, before, after)
		}
		if r.RttNs != r.ArrivedNs-sent || uint64(e.RTT) != r.RttNs {
			t.Fatalf("sent at %d, arrived at %d: recorded %d ns, counted %d ns", sent, r.ArrivedNs, r.RttNs, e.RTT)
		}
		want := bpf.ReplyRecord{
			ArrivedNs: r.ArrivedNs, RttNs: r.RttNs, Target: slash16.lo + i, From: slash16.lo + i,
			Size: 8 + testDataLen, Ttl: 61, Attempt: 1, Verdict: uint8(loader.First),
		}
		if r != want {
			t.Fatalf("got %+v, want %+v", r, want)
		}
		// A minute ahead: not yet sent.
		ahead := f.run(t, a.reply(t, echo{slash16.lo + i, 77, 2, after + uint64(time.Minute), 61}))
		if ahead.Verdict != loader.Repeat || ahead.Record.Attempt != 0 || ahead.Record.RttNs != math.MaxUint64 || ahead.RTT != -1 {
			t.Fatalf("sent in the future: got %+v", ahead)
		}
	}
}

func monotonic(t testing.TB) uint64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return uint64(now.Nano())
}
