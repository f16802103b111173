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

// All of IPv4 at one attempt takes 262,144 pages of 4 KiB, 1 GiB: a bit for
// replies and one for errors.
func TestSeenLayoutOfAllIPv4(t *testing.T) {
	l := newSeenLayout(each([]addressRange{{0, ^uint32(0)}}), onlyEcho, 1)
	if l.pages != 262144 || len(l.directory) != 262144 || l.base != 0 || l.shift != 1 {
		t.Errorf("%d pages, %d entries, base %d, shift %d", l.pages, len(l.directory), l.base, l.shift)
	}
	for i, entry := range l.directory {
		if entry != uint32(i+1) {
			t.Fatalf("entry %d is page %d", i, entry)
		}
	}
}

// Each kind and attempt has its bit, from two attempts on the unknown one of
// echo too, and errors have the topmost; all lie in one word.
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
			top := uint8(1<<shift - 1)
			if used[top] || int(top)/2 >= len(used)+1 || top > 63 || slices.Max(slices.Collect(maps.Keys(used))) > top {
				t.Errorf("%v, %d attempts: %d bits used, %d there", kinds, attempts, len(used), top+1)
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
		needed := uint64(2)
		if attempts > 1 {
			needed = uint64(attempts) + 2
		}
		bits := uint64(2)
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
