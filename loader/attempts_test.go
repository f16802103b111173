// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/testrand"
	"xsweep/loader"
)

// Every order of replies: each verdict, record and count as the naive model
// has it, for targets at the borders of pages, ranges and the address space.
func TestAttempts(t *testing.T) {
	const perRun = 4000
	// Over the borders of pages at 60, 7, 3 and 1 attempts; ends at a page's end.
	inner := []span{{0x0a0001fe, 0x0a000201}, {0x0a000ffe, 0x0a001001}, {0x0a003fff, 0x0a004000}, {0x0a007ffe, 0x0a008001}, {0x0a00fff0, 0x0a00ffff}}
	outer := slices.Concat([]span{{0, 0}}, inner, []span{{0xf0000000, 0xf0000000}, {0xffffffff, 0xffffffff}})
	for _, attempts := range []int{1, 2, 3, 4, 7, 60} {
		t.Run(fmt.Sprint(attempts), func(t *testing.T) {
			rng := testrand.New(t)
			spans := outer
			if attempts == 60 {
				spans = inner // the directory for the whole space would take its time
			}
			var pool []uint32
			for _, s := range spans {
				for a := uint64(s.lo); a <= uint64(s.hi); a++ {
					pool = append(pool, uint32(a))
				}
			}
			// In the pages' other ends; all others are outside of the span.
			pool = append(pool, 0x0a000000, 0x0a010000, 0x09ffffff, 0x7f000001, 1<<15-1, 1<<15)
			c := defaultConfig()
			c.Targets, c.Attempts, c.RecordAll = targets(spans...), attempts, rng.IntN(2) == 0
			f, a, m := loadFrozen(t, c, frozenNow), newAnswerer(t, c), newModel(c, frozenNow)
			for i := range perRun {
				e := echo{
					target:  pool[rng.IntN(len(pool))],
					index:   rng.Uint64() >> 8,
					attempt: uint8(rng.IntN(attempts + 1)), // 0: unknown
					sent:    rng.Uint64N(frozenNow + 1),
					ttl:     uint8(rng.Uint32()),
				}
				if rng.IntN(4) == 0 {
					e.attempt = uint8(min(1+rng.IntN(2), attempts))
				}
				frame := a.reply(t, e)
				if diff := cmp.Diff(m.judge(frame), f.run(t, frame)); diff != "" {
					t.Fatalf("reply %d, %+v (-want +got):\n%s", i, e, diff)
				}
			}
			for _, v := range []loader.Verdict{loader.First, loader.Repeat, loader.Duplicate} {
				if f.last.Verdicts[v] == 0 {
					t.Errorf("not one %v among %d replies", v, perRun)
				}
			}
		})
	}
}

// All the bits of one word: with 60 attempts a target fills it, with one
// attempt 64 targets share it. None may touch its neighbours.
func TestNeighboursDoNotShareBits(t *testing.T) {
	for _, attempts := range []int{1, 2, 5, 60} {
		t.Run(fmt.Sprint(attempts), func(t *testing.T) {
			c := defaultConfig()
			c.Attempts = attempts
			f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
			seen := func(target uint32, attempt int, want loader.Verdict) {
				t.Helper()
				frame := a.reply(t, echo{target, 0, uint8(attempt), validSent, validTTL})
				if got := f.run(t, frame); got.Verdict != want {
					t.Fatalf("target %#x, attempt %d: %v, not %v", target, attempt, got.Verdict, want)
				}
			}
			for target := slash16.lo; target < slash16.lo+130; target++ {
				seen(target, attempts, loader.First)
				seen(target, attempts, loader.Duplicate)
				for attempt := 1; attempt < attempts; attempt++ {
					seen(target, attempt, loader.Repeat)
					seen(target, attempt, loader.Duplicate)
				}
				seen(target, 0, loader.Repeat)
				seen(target, 0, loader.Repeat)
			}
		})
	}
}
