// SPDX-License-Identifier: Apache-2.0

package route

import (
	"math/rand/v2"
	"slices"
	"testing"

	"xsweep/internal/testrand"
	"xsweep/sweep/target"
)

// The universe of the model tests: small enough to be looked at address by
// address, with both ends of the address space beside it.
const universe = target.Addr(10 << 24)

func universeAddrs() []target.Addr {
	a := []target.Addr{0, 1, 1 << 31, maxAddr - 1, maxAddr, universe - 1, universe + 256}
	for i := range target.Addr(256) {
		a = append(a, universe+i)
	}
	return a
}

// randomEntry returns a route of a random prefix that meets the universe, or
// lies at one end of the address space.
func randomEntry(r *rand.Rand, hops int) entry {
	bits := 23 + r.IntN(10)
	at := universe + target.Addr(r.IntN(256))
	switch r.IntN(12) {
	case 0:
		bits = r.IntN(9)
	case 1:
		at = maxAddr - target.Addr(r.IntN(4))
	case 2:
		at = target.Addr(r.IntN(4))
	}
	first := at &^ target.Addr(uint64(1)<<(32-bits)-1)
	return entry{first: first, metric: uint32(r.IntN(3)), hop: int32(r.IntN(hops)), bits: uint8(bits)}
}

// longest is the model of flatten: the hop of a among entries in their order.
func longest(entries []entry, a target.Addr) int32 {
	best := entry{hop: none}
	for _, e := range entries {
		if a < e.first || a > e.last() {
			continue
		}
		if best.hop == none || e.bits > best.bits || e.bits == best.bits && e.metric < best.metric {
			best = e
		}
	}
	return best.hop
}

func checkPartition(t *testing.T, p partition) {
	t.Helper()
	if len(p.starts) == 0 || p.starts[0] != 0 || len(p.starts) != len(p.values) {
		t.Fatalf("not a partition: %v %v", p.starts, p.values)
	}
	for i := 1; i < len(p.starts); i++ {
		if p.starts[i] <= p.starts[i-1] {
			t.Fatalf("segment %d begins at %v, the one before at %v", i, p.starts[i], p.starts[i-1])
		}
		if p.values[i] == p.values[i-1] {
			t.Fatalf("segments %d and %d have the same value", i-1, i)
		}
	}
}

func TestFlattenModel(t *testing.T) {
	r := testrand.New(t)
	for range 400 {
		var entries []entry
		for range r.IntN(40) {
			entries = append(entries, randomEntry(r, 5))
		}
		p := flatten(slices.Clone(entries))
		checkPartition(t, p)
		for _, a := range universeAddrs() {
			if got, want := p.at(a), longest(entries, a); got != want {
				t.Fatalf("%v: hop %d, model says %d, routes %v", a, got, want, entries)
			}
		}
	}
}

func TestPartitionOver(t *testing.T) {
	r := testrand.New(t)
	random := func() partition {
		var entries []entry
		for range r.IntN(12) {
			entries = append(entries, randomEntry(r, 3))
		}
		return flatten(entries)
	}
	for range 400 {
		top, below := random(), random()
		p := top.over(below)
		checkPartition(t, p)
		for _, a := range universeAddrs() {
			want := top.at(a)
			if want == none {
				want = below.at(a)
			}
			if got := p.at(a); got != want {
				t.Fatalf("%v: %d, want %d", a, got, want)
			}
		}
	}
}

func TestPartitionEach(t *testing.T) {
	r := testrand.New(t)
	for range 400 {
		var entries []entry
		for range r.IntN(20) {
			entries = append(entries, randomEntry(r, 4))
		}
		p := flatten(entries)
		var ranges []target.Range
		for range 1 + r.IntN(6) {
			first := universe + target.Addr(r.IntN(256))
			ranges = append(ranges, target.Range{First: first, Last: first + target.Addr(r.IntN(20))})
		}
		if r.IntN(4) == 0 {
			ranges = append(ranges, target.Range{First: maxAddr - 2, Last: maxAddr}, target.Range{First: 0, Last: 3})
		}
		set := target.NewSet(ranges...)
		var pieces []target.Range
		p.each(set, func(piece target.Range, v int32) {
			if n := len(pieces); n > 0 && piece.First <= pieces[n-1].Last {
				t.Fatalf("%v does not come behind %v", piece, pieces[n-1])
			}
			pieces = append(pieces, piece)
			for a := piece.First; ; a++ {
				if p.at(a) != v || !set.Contains(a) {
					t.Fatalf("%v of %v has value %d, in the set: %v; told %d", a, piece, p.at(a), set.Contains(a), v)
				}
				if a == piece.Last {
					break
				}
			}
		})
		if got := target.NewSet(pieces...); got.Len() != set.Len() {
			t.Fatalf("pieces cover %d addresses of %d", got.Len(), set.Len())
		}
	}
}

// BenchmarkFlatten is a full internet table: a million prefixes by 40 gateways.
func BenchmarkFlatten(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 0))
	entries := make([]entry, 1_000_000)
	for i := range entries {
		bits := 16 + r.IntN(9)
		entries[i] = entry{first: target.Addr(r.Uint32()) &^ target.Addr(1<<(32-bits)-1), bits: uint8(bits), hop: int32(r.IntN(40))}
	}
	work := make([]entry, len(entries))
	for b.Loop() {
		copy(work, entries)
		flatten(work)
	}
}
