// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/testrand"
)

type addressRange struct{ lo, hi uint32 }

func each(ranges []addressRange) iter.Seq2[uint32, uint32] {
	return func(yield func(uint32, uint32) bool) {
		for _, r := range ranges {
			if !yield(r.lo, r.hi) {
				return
			}
		}
	}
}

var onlyEcho = []probeKind{echoKind}

// All of IPv4 at one attempt takes 131,072 pages of 4 KiB: 512 MiB.
func TestSeenLayoutOfAllIPv4(t *testing.T) {
	l := newSeenLayout(each([]addressRange{{0, ^uint32(0)}}), onlyEcho, 1)
	if l.pages != 131072 || len(l.directory) != 131072 || l.base != 0 || l.shift != 0 {
		t.Errorf("%d pages, %d entries, base %d, shift %d", l.pages, len(l.directory), l.base, l.shift)
	}
	for i, entry := range l.directory {
		if entry != uint32(i+1) {
			t.Fatalf("entry %d is page %d", i, entry)
		}
	}
}

// Each kind and attempt has its bit, from two attempts on the unknown one of
// echo too; all lie in one word.
func TestSeenPlaces(t *testing.T) {
	for _, kinds := range [][]probeKind{
		onlyEcho, {timestampKind}, {maskKind}, {timestampKind, echoKind}, {echoKind, timestampKind, maskKind}, {maskKind, timestampKind, echoKind},
	} {
		for attempts := 1; attempts <= MaxAttempts; attempts++ {
			places, shift := seenPlaces(kinds, attempts)
			used := map[uint8]bool{}
			for _, k := range kinds {
				last := places[k]
				if k == echoKind && attempts > 1 {
					last += uint8(attempts)
				}
				for place := places[k]; place <= last; place++ {
					if used[place] {
						t.Fatalf("%v, %d attempts: bit %d is used twice", kinds, attempts, place)
					}
					used[place] = true
				}
			}
			size := 1 << shift
			if size/2 >= len(used) || size > 64 || int(slices.Max(slices.Collect(maps.Keys(used)))) >= size {
				t.Errorf("%v, %d attempts: %d bits used, %d there", kinds, attempts, len(used), size)
			}
		}
	}
}

// The layout against a map from page of address space to page of memory.
func TestSeenLayoutAgainstModel(t *testing.T) {
	rng := testrand.New(t)
	for range 400 {
		attempts := 1 + rng.IntN(MaxAttempts)
		ranges := randomRanges(rng)
		l := newSeenLayout(each(ranges), onlyEcho, attempts)
		needed := uint64(1)
		if attempts > 1 {
			needed = uint64(attempts) + 1
		}
		bits := uint64(1)
		for bits < needed {
			bits *= 2
		}
		page := 32768 / bits // addresses in one

		want := seenLayout{directory: []uint32{0}}
		for want.shift = 0; 1<<want.shift < bits; want.shift++ {
		}
		if len(ranges) > 0 {
			want.base = uint32(uint64(ranges[0].lo) / page * page)
			last := (uint64(ranges[len(ranges)-1].hi) - uint64(want.base)) / page
			want.directory = make([]uint32, last+1)
		}
		for _, r := range ranges {
			for i := uint64(r.lo) / page; i <= uint64(r.hi)/page; i++ {
				entry := &want.directory[i-uint64(want.base)/page]
				if *entry == 0 {
					want.pages++
					*entry = uint32(want.pages)
				}
			}
		}
		if diff := cmp.Diff(want, l, cmp.AllowUnexported(seenLayout{})); diff != "" {
			t.Fatalf("%d attempts, %v (-want +got):\n%s", attempts, ranges, diff)
		}
	}
}

// randomRanges are ascending and disjoint, some at the ends of the address
// space, sometimes several in a page, all within 2^22 addresses of one place:
// the directory stays small.
func randomRanges(rng *rand.Rand) []addressRange {
	width := uint32(1) << (6 + rng.IntN(17))
	base := rng.Uint32N(-width)
	switch rng.IntN(4) {
	case 0:
		base = 0
	case 1:
		base = -width
	}
	borders := make([]uint32, 2*rng.IntN(6))
	for i := range borders {
		borders[i] = base + rng.Uint32N(width)
		if rng.IntN(4) == 0 {
			borders[i] &^= 511
		}
		if rng.IntN(20) == 0 {
			borders[i] = base + (width-1)*uint32(rng.IntN(2))
		}
	}
	slices.Sort(borders)
	borders = slices.Compact(borders)
	var ranges []addressRange
	for ; len(borders) >= 2; borders = borders[2:] {
		ranges = append(ranges, addressRange{borders[0], borders[1]})
	}
	return ranges
}

// Targets count that have a bit in both bitmaps, whichever of their bits replies
// have.
func TestCountBoth(t *testing.T) {
	rng := testrand.New(t)
	for shift := range uint32(7) {
		width := 1 << shift
		replies, errors := make([]uint64, 20), make([]uint64, 20)
		want := uint64(0)
		for word := range replies {
			for first := 0; first < 64; first += width {
				replied, refused := rng.IntN(2) == 0, rng.IntN(2) == 0
				if replied {
					for range 1 + rng.IntN(3) {
						replies[word] |= 1 << (first + rng.IntN(width))
					}
				}
				if refused {
					errors[word] |= 1 << first
				}
				if replied && refused {
					want++
				}
			}
		}
		if got := countBoth(replies, errors, shift); got != want {
			t.Errorf("%d bits a target: %d, want %d", width, got, want)
		}
	}
}
