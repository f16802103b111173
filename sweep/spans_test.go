// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"slices"
	"testing"

	"xsweep/internal/testrand"
)

// Spans hold the places that were added, and no other, however these came.
func TestSpans(t *testing.T) {
	rng := testrand.New(t)
	for range 300 {
		const places = 60
		var s spans
		var has [places]bool
		for range 1 + rng.IntN(12) {
			first := rng.Uint64N(places)
			a := span{first, first + rng.Uint64N(places-first+1)}
			s = s.add(a)
			for p := a.First; p < a.Next; p++ {
				has[p] = true
			}
			for i := range s {
				if s[i].First >= s[i].Next || i > 0 && s[i-1].Next >= s[i].First {
					t.Fatalf("%v after %v was added", s, a)
				}
			}
			for p, want := range has {
				if s.contains(uint64(p)) != want {
					t.Fatalf("%v: contains %d: %t", s, p, !want)
				}
			}
			upTo, end := slices.Index(has[:], false), 0
			if upTo < 0 {
				upTo = places
			}
			for p, in := range has {
				if in {
					end = p + 1
				}
			}
			if s.upTo() != uint64(upTo) || s.end() != uint64(end) {
				t.Fatalf("%v: up to %d, end %d, not %d and %d", s, s.upTo(), s.end(), upTo, end)
			}
		}
	}
}

// What is taken out is no longer there, and all else is.
func TestSpansRemove(t *testing.T) {
	for without, want := range map[span]spans{
		{0, 1}: {{2, 5}, {7, 8}}, {2, 3}: {{3, 5}, {7, 8}}, {3, 4}: {{2, 3}, {4, 5}, {7, 8}}, {4, 5}: {{2, 4}, {7, 8}}, {5, 7}: {{2, 5}, {7, 8}},
		{7, 8}: {{2, 5}}, {8, 9}: {{2, 5}, {7, 8}}, {3, 8}: {{2, 3}}, {0, 9}: nil, {4, 4}: {{2, 5}, {7, 8}},
	} {
		if got := (spans{{2, 5}, {7, 8}}).remove(without); !slices.Equal(got, want) {
			t.Errorf("without %v: %v, want %v", without, got, want)
		}
	}
}
