// SPDX-License-Identifier: Apache-2.0

package target

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/testrand"
)

// universe is a window of addresses small enough to model a set as one bool an
// address.
type universe struct{ first Addr }

const universeSize = 96

// Both ends of the address space, where arithmetic can wrap, and some place
// else.
var universes = []universe{{0}, {maxAddr - universeSize + 1}, {0x0a0000d0}}

type model [universeSize]bool

// random returns a few random ranges and the model of their union.
func (u universe) random(rng *rand.Rand) ([]Range, model) {
	var m model
	ranges := make([]Range, rng.IntN(12))
	for k := range ranges {
		first := rng.IntN(universeSize)
		length := rng.IntN(10) // 0 is an empty range
		if rng.IntN(8) == 0 {
			length = rng.IntN(universeSize)
		}
		length = min(length, universeSize-first)
		if length == 0 {
			ranges[k] = Range{1, 0}
			continue
		}
		ranges[k] = Range{u.first + Addr(first), u.first + Addr(first+length-1)}
		for j := first; j < first+length; j++ {
			m[j] = true
		}
	}
	return ranges, m
}

// ranges returns the canonical ranges of m.
func (u universe) ranges(m model) []Range {
	var ranges []Range
	for k, in := range m {
		a := u.first + Addr(k)
		switch {
		case in && k > 0 && m[k-1]:
			ranges[len(ranges)-1].Last = a
		case in:
			ranges = append(ranges, Range{a, a})
		}
	}
	return ranges
}

func TestSetAgainstModel(t *testing.T) {
	rng := testrand.New(t)
	for range 5_000 {
		u := universes[rng.IntN(len(universes))]
		ra, ma := u.random(rng)
		rb, mb := u.random(rng)
		a, b := NewSet(ra...), NewSet(rb...)
		var union, intersection, difference model
		for k := range ma {
			union[k] = ma[k] || mb[k]
			intersection[k] = ma[k] && mb[k]
			difference[k] = ma[k] && !mb[k]
		}
		for _, tt := range []struct {
			name string
			got  Set
			want model
		}{
			{"NewSet", a, ma},
			{"Union", a.Union(b), union},
			{"Intersect", a.Intersect(b), intersection},
			{"Subtract", a.Subtract(b), difference},
		} {
			if diff := cmp.Diff(append([]Range{}, u.ranges(tt.want)...), append([]Range{}, tt.got.Ranges()...)); diff != "" {
				t.Fatalf("%s of %v and %v (-want +got):\n%s", tt.name, ra, rb, diff)
			}
			checkRanks(t, u, tt.got, tt.want)
		}
	}
}

// checkRanks compares all that can be asked of s with its model.
func checkRanks(t *testing.T, u universe, s Set, m model) {
	t.Helper()
	var members []Addr
	for k, in := range m {
		a := u.first + Addr(k)
		if rank, found := s.Rank(a); rank != uint64(len(members)) || found != in || s.Contains(a) != in {
			t.Fatalf("%v: Rank(%s) = %d, %v and Contains = %v, want %d, %v", s.Ranges(), a, rank, found, s.Contains(a), len(members), in)
		}
		if in {
			if got := s.At(uint64(len(members))); got != a {
				t.Fatalf("%v: At(%d) = %s, want %s", s.Ranges(), len(members), got, a)
			}
			members = append(members, a)
		}
	}
	if s.Len() != uint64(len(members)) || s.Empty() != (len(members) == 0) {
		t.Fatalf("%v: Len = %d, Empty = %v, want %d addresses", s.Ranges(), s.Len(), s.Empty(), len(members))
	}
	var all []Addr
	for a := range s.All() {
		if len(all) > len(members) {
			break
		}
		all = append(all, a)
	}
	if diff := cmp.Diff(members, all); diff != "" {
		t.Fatalf("%v: All (-want +got):\n%s", s.Ranges(), diff)
	}
}

// TestSetLaws checks identities on sets that are spread over all addresses.
func TestSetLaws(t *testing.T) {
	rng := testrand.New(t)
	random := func() Set {
		ranges := make([]Range, rng.IntN(300))
		for k := range ranges {
			first := Addr(rng.Uint32())
			ranges[k] = Range{first, first + min(maxAddr-first, Addr(rng.Uint32()>>(8+rng.IntN(24))))}
		}
		return NewSet(ranges...)
	}
	all := NewSet(Range{0, maxAddr})
	equal := func(law string, x, y Set) {
		t.Helper()
		if diff := cmp.Diff(x.Ranges(), y.Ranges()); diff != "" || x.Len() != y.Len() {
			t.Fatalf("%s (%d and %d addresses):\n%s", law, x.Len(), y.Len(), diff)
		}
	}
	for range 200 {
		a, b, c := random(), random(), random()
		equal("a + b = b + a", a.Union(b), b.Union(a))
		equal("a * b = b * a", a.Intersect(b), b.Intersect(a))
		equal("a - b - c = a - (b + c)", a.Subtract(b).Subtract(c), a.Subtract(b.Union(c)))
		equal("a * (b + c) = a*b + a*c", a.Intersect(b.Union(c)), a.Intersect(b).Union(a.Intersect(c)))
		equal("all - (a + b) = (all - a) * (all - b)", all.Subtract(a.Union(b)), all.Subtract(a).Intersect(all.Subtract(b)))
		if a.Union(b).Len() != a.Len()+b.Len()-a.Intersect(b).Len() {
			t.Fatal("|a + b| is not |a| + |b| - |a * b|")
		}
		equal("NewSet of the ranges of a = a", NewSet(a.Ranges()...), a)
		if u := a.Union(b); !u.Empty() {
			for range 20 {
				rank := rng.Uint64N(u.Len())
				if got, found := u.Rank(u.At(rank)); got != rank || !found {
					t.Fatalf("Rank(At(%d)) = %d, %v", rank, got, found)
				}
			}
		}
	}
}

func TestSetEnds(t *testing.T) {
	all := NewSet(Range{0, maxAddr})
	if all.Len() != 1<<32 || all.At(1<<32-1) != maxAddr || all.At(0) != 0 {
		t.Errorf("all: Len %d, At of the ends %s and %s", all.Len(), all.At(0), all.At(1<<32-1))
	}
	if rank, found := all.Rank(maxAddr); rank != 1<<32-1 || !found {
		t.Errorf("Rank(%s) = %d, %v", maxAddr, rank, found)
	}
	if got := all.Subtract(all); !got.Empty() || len(got.Ranges()) != 0 {
		t.Errorf("all - all = %v", got.Ranges())
	}
	var none Set
	if none.Len() != 0 || !none.Empty() || none.Contains(0) || len(none.Ranges()) != 0 {
		t.Error("the zero Set is not empty")
	}
	if rank, found := NewSet(Range{10, 19}).Rank(maxAddr); rank != 10 || found {
		t.Errorf("Rank above the set = %d, %v, want 10, false", rank, found)
	}
	for _, s := range []Set{none, all, NewSet(Range{10, 19})} {
		if message := panicOf(func() { s.At(s.Len()) }); message == nil {
			t.Errorf("At(%d) of a set of %d addresses did not panic", s.Len(), s.Len())
		}
	}
	for range NewSet(Range{maxAddr - 3, maxAddr}).All() {
		break // a loop that ends early must not go on
	}
}

func TestSetDoesNotChange(t *testing.T) {
	ranges := []Range{{30, 39}, {10, 19}}
	s := NewSet(ranges...)
	ranges[0] = Range{0, maxAddr}
	view := append(s.Ranges(), Range{50, 59})
	s.Union(NewSet(Range{15, 35})).Subtract(NewSet(Range{12, 13}))
	if diff := cmp.Diff([]Range{{10, 19}, {30, 39}}, s.Ranges()); diff != "" || len(view) != 3 {
		t.Errorf("the set changed:\n%s", diff)
	}
}

// panicOf returns what f panics with, or nil.
func panicOf(f func()) (message any) {
	defer func() { message = recover() }()
	f()
	return nil
}
