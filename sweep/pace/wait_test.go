// SPDX-License-Identifier: Apache-2.0

package pace

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The clock lies between two readings of CLOCK_MONOTONIC by system call, give
// or take its calibration.
func TestClockIsMonotonic(t *testing.T) {
	const calibration = 1000 // ns
	clock := NewClock()
	for range 1000 {
		var before, after unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &before); err != nil {
			t.Fatal(err)
		}
		now := clock.Now()
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &after); err != nil {
			t.Fatal(err)
		}
		if now < before.Nano()-calibration || now > after.Nano()+calibration {
			t.Fatalf("clock shows %d, between %d and %d expected", now, before.Nano(), after.Nano())
		}
	}
}

func TestWaitUntil(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	stop, err := NewStop()
	if err != nil {
		t.Fatal(err)
	}
	defer stop.Close()
	clock := NewClock()
	w := NewWaiter(clock, stop)
	for _, d := range []int64{-1, 0, 1, spinBelow / 2, 3 * spinBelow} {
		at := clock.Now() + d
		if !w.Until(at) || clock.Now() < at {
			t.Errorf("a wait of %d ns ended early", d)
		}
	}
	// A stop ends a wait that would outlast the test, and all later ones.
	go stop.Set()
	if w.Until(clock.Now() + int64(time.Hour)) {
		t.Error("the wait was not stopped")
	}
	if w.Until(clock.Now()) || !w.Stopped() {
		t.Error("a stop does not stay set")
	}
}
