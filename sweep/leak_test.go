// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"os"
	"runtime"
	"testing"
	"time"

	"xsweep/internal/lab"
	"xsweep/loader"
)

// descriptors counts this process's open files.
func descriptors(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// settled checks that goroutines and descriptors come back to what they were.
// Goroutines that have only their end before them get the time for it.
func settled(t *testing.T, goroutines, files int) {
	t.Helper()
	for deadline := time.Now().Add(within); ; runtime.Gosched() {
		g, f := runtime.NumGoroutine(), descriptors(t)
		if g <= goroutines && f <= files {
			return
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, before %d; %d descriptors, before %d\n%s",
				g, goroutines, f, files, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// Sweeps leave no goroutine and no descriptor behind, however they end.
func TestNoLeaks(t *testing.T) {
	startLab(t, lab.Config{Live: 1})
	few := Config{Targets: named(t, "240.11.0.0/28"), Cooldown: -1, Threads: 2, Monitor: new(Monitor)}
	// What the process opens once and keeps.
	if _, err := Run(t.Context(), few, new(keeper)); err != nil {
		t.Fatal(err)
	}
	for name, tc := range failedStarts(t) {
		t.Run(name, func(t *testing.T) {
			c := tc.config(t)
			goroutines, files := runtime.NumGoroutine(), descriptors(t)
			for range 3 {
				tc.check(t, c)
			}
			settled(t, goroutines, files)
		})
	}
	t.Run("20 sweeps", func(t *testing.T) {
		goroutines, files := runtime.NumGoroutine(), descriptors(t)
		for i := range 20 {
			c := few
			c.XDP = []loader.XDPMode{loader.Native, loader.Generic}[i%2]
			c.Tx = []Tx{TxPacket, TxRaw, TxXDP}[i/2%3]
			// Without a cooldown records still wait in the rings at the end, and
			// the far end may not have counted all frames yet.
			var kept keeper
			s, err := Run(t.Context(), c, &kept)
			if err != nil {
				t.Fatal(err)
			}
			checkAccount(t, &s, &kept)
		}
		settled(t, goroutines, files)
	})
	t.Run("a failing sink", func(t *testing.T) {
		goroutines, files := runtime.NumGoroutine(), descriptors(t)
		if _, err := Run(t.Context(), long(t), &keeper{fail: os.ErrInvalid}); err == nil {
			t.Error("the sink's error is lost")
		}
		settled(t, goroutines, files)
	})
}
