// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"time"
)

const (
	// noiseLook is how long a round of noise takes.
	noiseLook = time.Second
	// longPause is a pause that a sender at full rate cannot catch up with.
	longPause = 50 * time.Microsecond
)

// pauses is what keeps a thread from running that never waits: other
// programs, interrupts, the hypervisor.
type pauses struct {
	long    int // longer than longPause
	longest time.Duration
}

// listen looks at the clock for a second and notes when it jumps.
func listen() pauses {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var p pauses
	start := time.Now()
	for last := start; last.Sub(start) < noiseLook; {
		now := time.Now()
		gap := now.Sub(last)
		if gap > longPause {
			p.long++
		}
		p.longest = max(p.longest, gap)
		last = now
	}
	return p
}

// noiseRows says how much the machine disturbed the figures beside them.
func noiseRows(rounds []pauses) []row {
	var long, longest series
	for _, p := range rounds {
		long = append(long, float64(p.long))
		longest = append(longest, float64(p.longest)/float64(time.Millisecond))
	}
	return []row{
		newRow("noise: pauses over 50 us", perSecond, long),
		newRow("noise: longest pause", "ms", longest),
	}
}
