// SPDX-License-Identifier: Apache-2.0

package route

import (
	"cmp"
	"slices"

	"xsweep/sweep/target"
)

// partition divides the whole IPv4 address space into consecutive segments and
// gives each a value. Segment i begins at starts[i] and ends before
// starts[i+1]; starts[0] is 0. Neighbouring segments have different values, so a
// table of a million routes to one gateway is one segment.
type partition struct {
	starts []target.Addr
	values []int32
}

const (
	// none is the value of addresses that nothing was said about.
	none int32 = -1

	maxAddr          = target.Addr(1<<32 - 1)
	limitedBroadcast = maxAddr // RFC 919, section 7
)

// set appends the segment that begins at start. Calls come by ascending start;
// of two with the same start the later wins.
func (p *partition) set(start target.Addr, value int32) {
	if n := len(p.starts); n > 0 && p.starts[n-1] == start {
		p.starts, p.values = p.starts[:n-1], p.values[:n-1]
	}
	if n := len(p.values); n > 0 && p.values[n-1] == value {
		return
	}
	p.starts = append(p.starts, start)
	p.values = append(p.values, value)
}

// valued is a range with a value.
type valued struct {
	target.Range
	value int32
}

// newPartition returns the partition with these ranges, which are ascending and
// disjoint; all other addresses have the value none.
func newPartition(ranges []valued) partition {
	var p partition
	p.set(0, none)
	for _, r := range ranges {
		p.set(r.First, r.value)
		if r.Last != maxAddr {
			p.set(r.Last+1, none)
		}
	}
	return p
}

// last returns the last address of segment i.
func (p partition) last(i int) target.Addr {
	if i+1 == len(p.starts) {
		return maxAddr
	}
	return p.starts[i+1] - 1
}

// find returns the segment of a.
func (p partition) find(a target.Addr) int {
	i, exact := slices.BinarySearch(p.starts, a)
	if !exact {
		i--
	}
	return i
}

// at returns the value of a.
func (p partition) at(a target.Addr) int32 { return p.values[p.find(a)] }

// combine returns the partition whose value is f of the values of p and q.
func combine(p, q partition, f func(p, q int32) int32) partition {
	out := partition{
		starts: make([]target.Addr, 0, len(p.starts)+len(q.starts)),
		values: make([]int32, 0, len(p.starts)+len(q.starts)),
	}
	i, j := 0, 0
	for {
		out.set(max(p.starts[i], q.starts[j]), f(p.values[i], q.values[j]))
		pe, qe := p.last(i), q.last(j)
		if pe == maxAddr && qe == maxAddr {
			return out
		}
		if pe <= qe {
			i++
		}
		if qe <= pe {
			j++
		}
	}
}

// over returns p where it has a value, and below elsewhere.
func (p partition) over(below partition) partition {
	return combine(p, below, func(top, below int32) int32 {
		if top != none {
			return top
		}
		return below
	})
}

// mapped returns p with f of its values.
func (p partition) mapped(f func(int32) int32) partition {
	var out partition
	for i, start := range p.starts {
		out.set(start, f(p.values[i]))
	}
	return out
}

// each calls f, ascending, for each piece that a range of s and a segment of p
// have in common.
func (p partition) each(s target.Set, f func(r target.Range, value int32)) {
	i := 0
	for _, r := range s.Ranges() {
		if p.last(i) < r.First {
			i = p.find(r.First)
		}
		for {
			end := min(r.Last, p.last(i))
			f(target.Range{First: max(r.First, p.starts[i]), Last: end}, p.values[i])
			if end == r.Last {
				break
			}
			i++
		}
	}
}

// entry is one route of one table.
type entry struct {
	first  target.Addr // the lowest address of the prefix
	metric uint32
	hop    int32 // index into snapshot.hops
	bits   uint8 // length of the prefix
	table  uint8
}

func (e entry) last() target.Addr {
	return e.first | target.Addr(uint64(1)<<(32-e.bits)-1)
}

// flatten returns which hop each address takes by the routes of one table: that
// of the longest prefix, then of the lowest metric, then of the first entry. It
// sorts entries, and is then done in one pass: prefixes nest or are disjoint, so
// those around the current address form a stack.
func flatten(entries []entry) partition {
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.bits, b.bits), cmp.Compare(a.metric, b.metric))
	})
	var p partition
	p.set(0, none)
	var stack []entry // at most one a prefix length, the longest last
	pop := func() {
		end := stack[len(stack)-1].last()
		stack = stack[:len(stack)-1]
		if end == maxAddr {
			return
		}
		if len(stack) > 0 {
			p.set(end+1, stack[len(stack)-1].hop)
		} else {
			p.set(end+1, none)
		}
	}
	for _, e := range entries {
		for len(stack) > 0 && stack[len(stack)-1].last() < e.first {
			pop()
		}
		if n := len(stack); n > 0 && stack[n-1].first == e.first && stack[n-1].bits == e.bits {
			continue // the same prefix with a higher metric
		}
		stack = append(stack, e)
		p.set(e.first, e.hop)
	}
	for len(stack) > 0 {
		pop()
	}
	return p
}
