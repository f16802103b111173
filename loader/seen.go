// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"iter"
	"math/bits"
)

// MaxAttempts is the largest number of probes a target can get: its bits lie
// in one 64-bit word, and the top one is for replies of unknown attempt.
const MaxAttempts = 63

// pageBitsLog2 is SEEN_PAGE_BITS_LOG2 of bpf/reply.bpf.c: a page of the
// bitmap of replies has 32,768 bits.
const pageBitsLog2 = 15

// seenLayout places the bitmap of replies: which pages exist, and where.
type seenLayout struct {
	base      uint32   // first address of directory entry 0
	shift     uint32   // log2 of the bits a target has
	directory []uint32 // page number plus one, or 0, by page of address space
	pages     int
}

// seenShift is log2 of the bits that a target needs for the given number of
// attempts: one bit for one attempt; for more, a bit each and one for unknown
// attempts, rounded up to a power of two.
func seenShift(attempts int) uint32 {
	if attempts == 1 {
		return 0
	}
	return uint32(bits.Len(uint(attempts)))
}

func newSeenLayout(ranges iter.Seq2[uint32, uint32], attempts int) seenLayout {
	l := seenLayout{shift: seenShift(attempts), directory: []uint32{0}}
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
