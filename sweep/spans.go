// SPDX-License-Identifier: Apache-2.0

package sweep

import "slices"

// span is the places from first to before next of a sweep's sequence of probes:
// place p of it is probe p/n of the target that comes (p%n)-th, where n is the
// number of targets.
type span struct {
	First uint64 `json:"first"`
	Next  uint64 `json:"next"`
}

// spans are disjoint, ascending and do not touch.
type spans []span

// add joins a span to what there is.
func (s spans) add(a span) spans {
	if a.First >= a.Next {
		return s
	}
	from, _ := slices.BinarySearchFunc(s, a.First, func(b span, first uint64) int {
		if b.Next < first {
			return -1
		}
		return 1
	})
	to := from
	for to < len(s) && s[to].First <= a.Next {
		a.First, a.Next = min(a.First, s[to].First), max(a.Next, s[to].Next)
		to++
	}
	return slices.Replace(s, from, to, a)
}

// remove takes a span out of what there is.
func (s spans) remove(a span) spans {
	if a.First >= a.Next {
		return s
	}
	var left spans
	for _, b := range s {
		if before := (span{b.First, min(b.Next, a.First)}); before.First < before.Next {
			left = append(left, before)
		}
		if behind := (span{max(b.First, a.Next), b.Next}); behind.First < behind.Next {
			left = append(left, behind)
		}
	}
	return left
}

// contains says whether a place is in one of them.
func (s spans) contains(place uint64) bool {
	_, found := slices.BinarySearchFunc(s, place, func(b span, place uint64) int {
		switch {
		case b.Next <= place:
			return -1
		case b.First > place:
			return 1
		}
		return 0
	})
	return found
}

// end is the first place behind all of them.
func (s spans) end() uint64 {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1].Next
}

// upTo is the first place that is not in them.
func (s spans) upTo() uint64 {
	if len(s) == 0 || s[0].First > 0 {
		return 0
	}
	return s[0].Next
}
