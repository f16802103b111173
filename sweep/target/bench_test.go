// SPDX-License-Identifier: Apache-2.0

package target

import (
	"bytes"
	"context"
	"math/rand/v2"
	"runtime"
	"testing"
)

var (
	slash8 = Range{0x0b000000, 0x0bffffff} // 11.0.0.0/8
	all    = Range{0, maxAddr}
)

// exclusions returns count random ranges of 1 to 256 addresses within r.
func exclusions(r Range, count int) Set {
	rng := rand.New(rand.NewPCG(1, uint64(count)))
	ranges := make([]Range, count)
	for k := range ranges {
		first := r.First + Addr(rng.Uint64N(r.Len()))
		ranges[k] = Range{first, first + min(r.Last-first, Addr(rng.IntN(256)))}
	}
	return NewSet(ranges...)
}

// clustered returns all addresses but every second one of a /14: as many ranges
// as the random exclusions make, but nearly all in a few buckets of the index.
func clustered() Set {
	var b setBuilder
	for k := range Addr(100_000) {
		b.add(Range{0x0b000000 + 2*k, 0x0b000000 + 2*k})
	}
	return NewSet(all).Subtract(b.set())
}

var benchmarkSets = []struct {
	name string
	set  func() Set
}{
	{"slash8", func() Set { return NewSet(slash8) }},
	{"slash8-100k-exclusions", func() Set { return NewSet(slash8).Subtract(exclusions(slash8, 100_000)) }},
	{"all-100k-exclusions", func() Set { return NewSet(all).Subtract(exclusions(all, 100_000)) }},
	{"all-100k-clustered", clustered},
	// One above a power of two, where halves of whole bits would walk twice.
	{"slash8-and-one", func() Set { return NewSet(Range{slash8.First, slash8.Last + 1}) }},
}

var sink Addr

// BenchmarkOrderAt measures consecutive indexes, as a sweep asks for them.
func BenchmarkOrderAt(b *testing.B) {
	for _, bm := range benchmarkSets {
		b.Run(bm.name, func(b *testing.B) {
			o := NewOrder(bm.set(), 42)
			b.ReportAllocs()
			i := uint64(0)
			for b.Loop() {
				sink ^= o.At(i)
				if i++; i == o.Len() {
					i = 0
				}
			}
		})
	}
}

// BenchmarkNewOrder reports what an order keeps, in bytes a range.
func BenchmarkNewOrder(b *testing.B) {
	set := NewSet(all).Subtract(exclusions(all, 100_000))
	var o *Order
	b.ReportAllocs()
	for b.Loop() {
		o = NewOrder(set, 42)
	}
	kept := len(o.places.spans)*8 + len(o.places.buckets)*4
	b.ReportMetric(float64(kept)/float64(len(set.Ranges())), "B/range")
	runtime.KeepAlive(o)
}

func BenchmarkNewSet(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	ranges := make([]Range, 1_000_000)
	for k := range ranges {
		a := Addr(rng.Uint32())
		ranges[k] = Range{a, a}
	}
	b.ReportAllocs()
	for b.Loop() {
		NewSet(ranges...)
	}
}

// BenchmarkParseFile measures a file of a million addresses, one a line.
func BenchmarkParseFile(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 3))
	var file []byte
	for range 1_000_000 {
		file = append(Addr(rng.Uint32()).AppendTo(file), '\n')
	}
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		targets, err := ParseFile(context.Background(), nil, "targets.txt", bytes.NewReader(file))
		if err != nil || len(targets) != 1_000_000 {
			b.Fatalf("%d targets, error %v", len(targets), err)
		}
	}
}

func BenchmarkSelect(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 4))
	targets := make([]Target, 1_000_000)
	for k := range targets {
		targets[k].Range = prefixRange(Addr(rng.Uint32()), 24+rng.IntN(9))
	}
	exclude := exclusions(all, 100_000)
	for b.Loop() {
		Select(targets, exclude)
	}
}
