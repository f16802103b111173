// SPDX-License-Identifier: Apache-2.0

package target

import (
	"fmt"
	"iter"
	"slices"
	"sort"
)

// Set is a set of addresses. Its ranges are ascending, disjoint and not
// adjacent, so equal sets have equal ranges. A Set never changes and may be
// used by many goroutines; the zero Set is empty. It takes 12 bytes a range.
type Set struct {
	ranges []Range
	// before[k] is the rank of ranges[k].First. It fits 32 bits, since at least
	// one address of at most 2^32 comes behind it.
	before []uint32
	size   uint64
}

// NewSet returns the union of ranges, which may come in any order, overlap and
// be empty.
func NewSet(ranges ...Range) Set {
	// Sorting plain numbers is several times as fast as sorting structs, and
	// lists of a million addresses are common.
	keys := make([]uint64, 0, len(ranges))
	for _, r := range ranges {
		if r.First <= r.Last {
			keys = append(keys, uint64(r.First)<<32|uint64(r.Last))
		}
	}
	slices.Sort(keys)
	var b setBuilder
	for _, k := range keys {
		b.add(Range{Addr(k >> 32), Addr(k & 0xffffffff)})
	}
	return b.set()
}

// setBuilder collects ranges by ascending First and joins those that touch.
type setBuilder struct{ ranges []Range }

func (b *setBuilder) add(r Range) {
	if n := len(b.ranges); n > 0 {
		last := &b.ranges[n-1]
		if last.Last == maxAddr || r.First <= last.Last+1 {
			last.Last = max(last.Last, r.Last)
			return
		}
	}
	b.ranges = append(b.ranges, r)
}

func (b *setBuilder) set() Set {
	if len(b.ranges) == 0 {
		return Set{}
	}
	s := Set{ranges: make([]Range, len(b.ranges)), before: make([]uint32, len(b.ranges))}
	copy(s.ranges, b.ranges) // a set lives long: do not keep what append reserved
	for k, r := range s.ranges {
		s.before[k] = uint32(s.size)
		s.size += r.Len()
	}
	return s
}

// Len returns the number of addresses in s, at most 2^32.
func (s Set) Len() uint64 { return s.size }

// Empty reports whether s has no address.
func (s Set) Empty() bool { return s.size == 0 }

// Ranges returns the ranges of s, ascending. The slice belongs to s and must
// not be changed.
func (s Set) Ranges() []Range { return s.ranges }

// All yields the addresses of s, ascending.
func (s Set) All() iter.Seq[Addr] {
	return func(yield func(Addr) bool) {
		for _, r := range s.ranges {
			for a := r.First; ; a++ {
				if !yield(a) {
					return
				}
				if a == r.Last { // not in the loop's condition: a+1 can wrap to 0
					break
				}
			}
		}
	}
}

// find returns the index of the last range that begins at or below a, or -1.
func (s Set) find(a Addr) int {
	return sort.Search(len(s.ranges), func(k int) bool { return s.ranges[k].First > a }) - 1
}

// Contains reports whether a is in s.
func (s Set) Contains(a Addr) bool {
	k := s.find(a)
	return k >= 0 && a <= s.ranges[k].Last
}

// Rank returns how many addresses of s are below a, and whether a itself is in
// s. The rank of the lowest address is 0.
func (s Set) Rank(a Addr) (uint64, bool) {
	k := s.find(a)
	if k < 0 {
		return 0, false
	}
	r := s.ranges[k]
	if a > r.Last {
		return uint64(s.before[k]) + r.Len(), false
	}
	return uint64(s.before[k]) + uint64(a-r.First), true
}

// At returns the address whose rank is rank. It panics unless rank < s.Len().
func (s Set) At(rank uint64) Addr {
	if rank >= s.size {
		panic(fmt.Sprintf("target: rank %d of a set of %d addresses", rank, s.size))
	}
	k := sort.Search(len(s.before), func(k int) bool { return uint64(s.before[k]) > rank }) - 1
	return s.ranges[k].First + Addr(rank-uint64(s.before[k]))
}

// Union returns the addresses that are in s or in o.
func (s Set) Union(o Set) Set {
	if s.Empty() {
		return o
	}
	if o.Empty() {
		return s
	}
	b := setBuilder{make([]Range, 0, len(s.ranges)+len(o.ranges))}
	x, y := s.ranges, o.ranges
	for len(x) > 0 && len(y) > 0 {
		if x[0].First <= y[0].First {
			b.add(x[0])
			x = x[1:]
		} else {
			b.add(y[0])
			y = y[1:]
		}
	}
	for _, r := range x {
		b.add(r)
	}
	for _, r := range y {
		b.add(r)
	}
	return b.set()
}

// Intersect returns the addresses that are in both s and o.
func (s Set) Intersect(o Set) Set {
	var b setBuilder
	x, y := s.ranges, o.ranges
	for len(x) > 0 && len(y) > 0 {
		if both := x[0].intersect(y[0]); both.Len() > 0 {
			b.add(both)
		}
		if x[0].Last <= y[0].Last {
			x = x[1:]
		} else {
			y = y[1:]
		}
	}
	return b.set()
}

// Subtract returns the addresses that are in s but not in o.
func (s Set) Subtract(o Set) Set {
	if s.Empty() || o.Empty() {
		return s
	}
	var b setBuilder
	y := o.ranges
	for _, r := range s.ranges {
		for len(y) > 0 && y[0].Last < r.First {
			y = y[1:]
		}
		// A range of o can cut several ranges of s: y stays at the last one
		// looked at.
		whole := false
		for k := 0; !whole && k < len(y) && y[k].First <= r.Last; k++ {
			if y[k].First > r.First {
				b.add(Range{r.First, y[k].First - 1})
			}
			if y[k].Last >= r.Last {
				whole = true
			} else {
				r.First = y[k].Last + 1
			}
		}
		if !whole {
			b.add(r)
		}
	}
	return b.set()
}
