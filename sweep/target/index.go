// SPDX-License-Identifier: Apache-2.0

package target

// index finds the address of a rank faster than the binary search of [Set.At].
//
// The ranks are cut into equal buckets by their upper bits, two to four for
// each range, and each bucket knows the first range that reaches into it. What
// is left is a binary search among the ranges of one bucket. Where ranges
// cluster a bucket can hold many, but ranks are asked for evenly, so the mean
// number of steps stays below log2(1 + ranges/buckets), which is less than one.
type index struct {
	spans []span
	// buckets[k] is the index of the span that holds rank k << shift. One entry
	// more than there are buckets spares a test at the end.
	buckets []uint32
	shift   uint
}

// span is a range of the set: the address of a rank is the rank plus the offset
// of the last span whose first rank is not above it.
type span struct{ first, offset uint32 }

func newIndex(set Set) index {
	ranges := set.Ranges()
	if len(ranges) == 0 {
		return index{}
	}
	x := index{spans: make([]span, len(ranges))}
	for k, r := range ranges {
		first := set.before[k]
		x.spans[k] = span{first, uint32(r.First) - first}
	}
	top := set.Len() - 1
	for top>>x.shift >= 4*uint64(len(ranges)) {
		x.shift++
	}
	x.buckets = make([]uint32, top>>x.shift+2)
	at := uint32(0)
	for k := range x.buckets {
		rank := uint64(k) << x.shift
		for int(at)+1 < len(x.spans) && uint64(x.spans[at+1].first) <= rank {
			at++
		}
		x.buckets[k] = at
	}
	return x
}

// at returns the address of rank, which must be below the size of the set.
func (x *index) at(rank uint32) Addr {
	if len(x.spans) == 1 {
		return Addr(rank + x.spans[0].offset)
	}
	k := rank >> (x.shift & 31)
	low, high := x.buckets[k], x.buckets[k+1]
	for low < high {
		middle := low + (high-low+1)/2
		if x.spans[middle].first <= rank {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return Addr(rank + x.spans[low].offset)
}
