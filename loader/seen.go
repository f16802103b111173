// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"iter"
	"math/bits"
)

// MaxAttempts is the largest number of probes of each kind that a target can
// get: its bits lie in one 64-bit word, one of them is for echo replies of
// unknown attempt, and one for each of the two other kinds.
const MaxAttempts = 61

// pageBitsLog2 is SEEN_PAGE_BITS_LOG2 of bpf/reply.bpf.c: a page of the
// bitmap of replies has 32,768 bits.
const pageBitsLog2 = 15

// seenLayout places the bitmap of replies: which pages exist, and where.
type seenLayout struct {
	base      uint32 // first address of directory entry 0
	shift     uint32 // log2 of the bits a target has
	places    [numKinds]uint8
	directory []uint32 // page number plus one, or 0, by page of address space
	pages     int
}

// seenPlaces gives each kind the first of its bits among those of a target, and
// says how many bits there are: a power of two. With one attempt a kind has one.
// With more, echo has one for replies of unknown attempt and one each; the other
// kinds, whose replies never tell, go on with one.
func seenPlaces(kinds []probeKind, attempts int) (places [numKinds]uint8, shift uint32) {
	next := 0
	for _, k := range kinds {
		places[k] = uint8(next)
		if next++; k == echoKind && attempts > 1 {
			next += attempts
		}
	}
	return places, uint32(bits.Len(uint(next - 1)))
}

func newSeenLayout(ranges iter.Seq2[uint32, uint32], kinds []probeKind, attempts int) seenLayout {
	l := seenLayout{directory: []uint32{0}}
	l.places, l.shift = seenPlaces(kinds, attempts)
	pageShift := pageBitsLog2 - l.shift
	first := true
	for lo, hi := range ranges {
		if first {
			l.base = lo >> pageShift << pageShift
			first = false
		}
		for page := (lo - l.base) >> pageShift; page <= (hi-l.base)>>pageShift; page++ {
			for uint32(len(l.directory)) <= page {
				l.directory = append(l.directory, 0)
			}
			if l.directory[page] == 0 {
				l.pages++
				l.directory[page] = uint32(l.pages)
			}
		}
	}
	return l
}

// countBoth counts the targets that have bits in both pages of the two bitmaps:
// a reply, one of 2^shift bits, and an error, in the place of the first of these.
func countBoth(replies, errors []uint64, shift uint32) (n uint64) {
	// One bit for each target, its lowest.
	var lowest uint64
	for bit := 0; bit < 64; bit += 1 << shift {
		lowest |= 1 << bit
	}
	for i, e := range errors {
		if e == 0 {
			continue
		}
		r := replies[i]
		for fold := range shift { // into the lowest bit of each target
			r |= r >> (1 << fold)
		}
		n += uint64(bits.OnesCount64(r & e & lowest))
	}
	return n
}
