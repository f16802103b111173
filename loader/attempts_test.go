// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"fmt"
	"slices"
	"testing"

	"xsweep/internal/testrand"
	"xsweep/loader"
	"xsweep/sweep/probe"
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
				f.agree(t, m, a.reply(t, e), fmt.Sprintf("reply %d, %+v", i, e))
			}
			f.agreeInTotal(t, m)
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

// kindAnswer is a reply of some kind to some attempt, as far as its kind tells it.
func (a *answerer) kindAnswer(t testing.TB, request uint8, e echo) []byte {
	t.Helper()
	switch request {
	case 13:
		return a.timestampReply(t, e, 1, 2)
	case 17:
		return a.maskReply(t, e, [4]byte{255, 255, 255, 0})
	}
	return a.reply(t, e)
}

// Every kind has bits of its own, whatever the number of attempts and the order of
// the kinds: what has come of one is nothing of another, nor of the neighbours',
// nor of errors.
func TestKindsDoNotShareBits(t *testing.T) {
	orders := [][]uint8{{8, 13, 17}, {17, 13, 8}, {13, 8}, {17, 8}, {17, 13}, {13}, {17}}
	lengths := map[uint8]int{8: 8 + testDataLen, 13: 20, 17: 12}
	for i, attempts := range []int{1, 2, 3, 6, 60, 1, 13} {
		order := orders[i]
		t.Run(fmt.Sprintf("%v, %d attempts", order, attempts), func(t *testing.T) {
			c := defaultConfig()
			c.Attempts, c.Probes = attempts, nil
			for _, request := range order {
				c.Probes = append(c.Probes, loader.ProbeShape{Request: request, MessageLen: lengths[request]})
			}
			f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
			run := func(target uint32, request, attempt uint8, want loader.Verdict) {
				t.Helper()
				got := f.run(t, a.kindAnswer(t, request, echo{target, 0, attempt, validSent, validTTL}))
				if got.Verdict != want {
					t.Fatalf("target %#x, reply to %d, attempt %d: got %+v, not %v", target, request, attempt, got, want)
				}
			}
			for target := slash16.lo; target < slash16.lo+70; target++ {
				if target%3 == 0 {
					quote := a.quote(map[uint8]probe.Kind{8: probe.Echo, 13: probe.Timestamp, 17: probe.Mask}[order[0]], echo{target: target}, 1)
					if got := f.run(t, a.frame(message(3, 1, quote))); got.Verdict != loader.Error || !got.Errored {
						t.Fatalf("target %#x: an error: got %+v", target, got)
					}
				}
				next := loader.First
				for i := range order {
					request := order[(i+int(target))%len(order)] // each kind is the first of some
					if request != 8 {
						run(target, request, 1, next)
						// The attempt is unknown: it may answer another.
						run(target, request, 1, loader.Repeat)
					} else {
						for attempt := 1; attempt <= attempts; attempt++ {
							run(target, request, uint8(attempt), next)
							run(target, request, uint8(attempt), loader.Duplicate)
							next = loader.Repeat
						}
						run(target, request, 0, loader.Repeat)
					}
					next = loader.Repeat
				}
			}
			if f.last.Verdicts[loader.First] != 70 || f.last.Errored != f.both(t) {
				t.Errorf("70 targets: %v, errored %d, both %d", f.last.Verdicts, f.last.Errored, f.both(t))
			}
		})
	}
}

// Every order of replies of several kinds and of errors, for targets at the
// borders of pages, as the model has it.
func TestKindsAtRandom(t *testing.T) {
	rng := testrand.New(t)
	requests := []uint8{8, 13, 17}
	kinds := map[uint8]probe.Kind{8: probe.Echo, 13: probe.Timestamp, 17: probe.Mask}
	for _, attempts := range []int{1, 2, 5, 60} {
		c := defaultConfig()
		c.Probes, c.Attempts, c.RecordErrors, c.RecordAll = allProbes(), attempts, true, rng.IntN(2) == 0
		rng.Shuffle(len(c.Probes), func(i, j int) { c.Probes[i], c.Probes[j] = c.Probes[j], c.Probes[i] })
		spans := []span{{0x0a0001fe, 0x0a000201}, {0x0a000ffe, 0x0a001001}, {0x0a003fff, 0x0a004000}, {0x0a00fff0, 0x0a00ffff}}
		c.Targets = targets(spans...)
		f, a, m := loadFrozen(t, c, frozenNow), newAnswerer(t, c), newModel(c, frozenNow)
		for range 2500 {
			s := spans[rng.IntN(len(spans))]
			e := echo{s.lo + rng.Uint32N(s.hi-s.lo+1), rng.Uint64() >> 8, uint8(rng.IntN(attempts + 1)), validSent, uint8(rng.Uint32())}
			request := requests[rng.IntN(3)]
			frame := a.kindAnswer(t, request, e)
			if rng.IntN(4) == 0 {
				frame = a.frame(message(errorTypes[rng.IntN(5)], uint8(rng.IntN(2)), a.quote(kinds[request], e, 7)))
			}
			f.agree(t, m, frame, "of several kinds")
		}
		f.agreeInTotal(t, m)
	}
}
