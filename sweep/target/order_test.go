// SPDX-License-Identifier: Apache-2.0

package target

import (
	"math"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/testrand"
)

// firstN returns the set of n addresses from 0 on, where address and rank agree.
func firstN(n uint64) Set {
	if n == 0 {
		return Set{}
	}
	return NewSet(Range{0, Addr(n - 1)})
}

func checkBijection(t *testing.T, n, seed uint64) {
	t.Helper()
	o := NewOrder(firstN(n), seed)
	seen := make([]bool, n)
	for i := range n {
		rank := o.Index(i)
		if rank >= n || seen[rank] {
			t.Fatalf("n = %d, seed %d: index %d has rank %d, out of range or again", n, seed, i, rank)
		}
		seen[rank] = true
	}
	if o.Len() != n || panicOf(func() { o.Index(n) }) == nil || panicOf(func() { o.At(n) }) == nil {
		t.Fatalf("n = %d: Len = %d, or index %d did not panic", n, o.Len(), n)
	}
}

func TestOrderIsBijection(t *testing.T) {
	rng := testrand.New(t)
	for n := range uint64(5_001) {
		checkBijection(t, n, rng.Uint64())
	}
	for range 30 {
		checkBijection(t, rng.Uint64N(1<<20)+1, rng.Uint64())
	}
	for shift := 13; shift <= 20; shift++ {
		for n := uint64(1<<shift - 1); n <= 1<<shift+1; n++ {
			checkBijection(t, n, rng.Uint64())
		}
	}
}

// inverse returns the index of rank, by undoing the rounds.
func (o *Order) inverse(rank uint64) uint64 {
	m, c := o.leftMask+1, o.rights
	for {
		left, right := rank%m, rank/m
		right = (right + c - mix(left^o.keys[3])*c>>32) % c
		left ^= mix(right^o.keys[2]) % m
		right = (right + c - mix(left^o.keys[1])*c>>32) % c
		left ^= mix(right^o.keys[0]) % m
		rank = right*m + left
		if rank < o.size {
			return rank
		}
	}
}

// TestOrderHasInverse covers the sizes that cannot be walked through.
func TestOrderHasInverse(t *testing.T) {
	rng := testrand.New(t)
	sizes := []uint64{1 << 32, 1<<32 - 1, 1<<32 - 1<<16, 1<<31 + 1, 1 << 31, 1<<31 - 1, 1<<24 + 1}
	for range 20 {
		sizes = append(sizes, 1<<20+rng.Uint64N(1<<32-1<<20))
	}
	for _, n := range sizes {
		seed := rng.Uint64()
		o := NewOrder(firstN(n), seed)
		samples := []uint64{0, 1, 2, n / 2, n - 2, n - 1}
		for range 5_000 {
			samples = append(samples, rng.Uint64N(n))
		}
		for _, i := range samples {
			rank := o.Index(i)
			if rank >= n || o.inverse(rank) != i || uint64(o.At(i)) != rank {
				t.Fatalf("n = %d, seed %d: index %d has rank %d, which has index %d", n, seed, i, rank, o.inverse(rank))
			}
			if o.Index(o.inverse(i)) != i {
				t.Fatalf("n = %d, seed %d: rank %d is reached by no index", n, seed, i)
			}
		}
	}
}

func TestOrderCoversSet(t *testing.T) {
	rng := testrand.New(t)
	for range 500 {
		u := universes[rng.IntN(len(universes))]
		ranges, _ := u.random(rng)
		set := NewSet(ranges...)
		o := NewOrder(set, rng.Uint64())
		var addrs []Range
		for i := range o.Len() {
			a := o.At(i)
			if want := set.At(o.Index(i)); a != want {
				t.Fatalf("%v: At(%d) = %s, want %s", set.Ranges(), i, a, want)
			}
			addrs = append(addrs, Range{a, a})
		}
		if diff := cmp.Diff(set.Ranges(), NewSet(addrs...).Ranges()); diff != "" || o.Len() != set.Len() {
			t.Fatalf("%v (-want +got):\n%s", set.Ranges(), diff)
		}
	}
}

// TestIndexAgreesWithSet compares the two ways from rank to address on sets of
// many ranges, also at the ends of every range.
func TestIndexAgreesWithSet(t *testing.T) {
	rng := testrand.New(t)
	sets := map[string]Set{
		"scattered": NewSet(all).Subtract(exclusions(all, 5_000)),
		"clustered": clustered(),
		"dense":     NewSet(slash8).Subtract(exclusions(slash8, 100_000)),
	}
	single := make([]Range, 10_000)
	for k := range single {
		a := Addr(rng.Uint32())
		single[k] = Range{a, a}
	}
	sets["single addresses"] = NewSet(single...)
	for name, set := range sets {
		x := newIndex(set)
		if n, most := len(x.buckets), 4*len(set.Ranges())+1; n > most {
			t.Errorf("%s: %d buckets for %d ranges", name, n, len(set.Ranges()))
		}
		check := func(rank uint64) {
			if got, want := x.at(uint32(rank)), set.At(rank); got != want {
				t.Fatalf("%s: rank %d is at %s, want %s", name, rank, got, want)
			}
		}
		for _, first := range set.before {
			check(uint64(first))
			check((uint64(first) + set.Len() - 1) % set.Len())
		}
		for range 20_000 {
			check(rng.Uint64N(set.Len()))
		}
	}
}

// TestOrderIsStateless evaluates indexes out of order and from several
// goroutines at once.
func TestOrderIsStateless(t *testing.T) {
	rng := testrand.New(t)
	seed := rng.Uint64()
	set := NewSet(slash8).Subtract(exclusions(slash8, 1_000))
	o := NewOrder(set, seed)
	const n = 20_000
	want := make([]Addr, n)
	for i := range want {
		want[i] = o.At(uint64(i))
	}
	var wait sync.WaitGroup
	for range 4 {
		indexes := rng.Perm(n)
		wait.Go(func() {
			again := NewOrder(set, seed)
			for _, i := range indexes {
				if a, b := o.At(uint64(i)), again.At(uint64(i)); a != want[i] || b != want[i] {
					t.Errorf("seed %d: index %d is at %s and %s, want %s", seed, i, a, b, want[i])
					return
				}
			}
		})
	}
	wait.Wait()
}

// TestOrderGolden pins the order for all time: sweeps are resumed, and shards
// shared out, between versions and machines. The values come from a separate
// program written after the definition in the doc comment of Order.
func TestOrderGolden(t *testing.T) {
	for _, tt := range []struct {
		n, seed uint64
		want    []uint64 // ranks of the indexes 0, 1, 2, 3, 4, n/2 and n-1
	}{
		{10, 0, []uint64{8, 1, 2, 0, 6, 3, 9}},
		{256, 42, []uint64{40, 80, 140, 216, 220, 144, 203}},
		{1000, 42, []uint64{164, 513, 459, 338, 74, 118, 780}},
		{1 << 24, 42, []uint64{9343179, 8401807, 15302105, 14674047, 15815473, 5379635, 15466321}},
		{1<<24 + 1, 42, []uint64{9343179, 8405903, 15302105, 14674047, 15819569, 5379635, 8799296}},
		{3702258432, math.MaxUint64, []uint64{3546010393, 2533045298, 3459426953, 2031830535, 1404308495, 974983218, 1427012880}},
		{1 << 32, 0, []uint64{2383922644, 1508704362, 2527458720, 576599261, 2698143731, 1526886094, 2199047511}},
		{1 << 32, 42, []uint64{1693097293, 2751732927, 106569306, 2563794440, 259629967, 1226145479, 330099929}},
	} {
		o := NewOrder(firstN(tt.n), tt.seed)
		var got []uint64
		for _, i := range []uint64{0, 1, 2, 3, 4, tt.n / 2, tt.n - 1} {
			got = append(got, o.Index(i))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("n = %d, seed %d (-want +got):\n%s", tt.n, tt.seed, diff)
		}
	}
	o := NewOrder(NewSet(Range{0xc0000200, 0xc000027f}, Range{0xcb007100, 0xcb00717f}), 42)
	var got []string
	for i := range uint64(5) { // ranks as for n = 256
		got = append(got, o.At(i).String())
	}
	want := []string{"192.0.2.40", "192.0.2.80", "203.0.113.12", "203.0.113.88", "203.0.113.92"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

// TestOrderScatters looks at the windows of 1000 consecutive probes of a /8: no
// network should feel a burst, and the probes should fall as balls thrown into
// the 65,536 networks /24 at random: six of them in one network in one window
// out of 10^9, and two in one network neither too often nor too seldom.
func TestOrderScatters(t *testing.T) {
	const window, windows, most = 1000, 1000, 5
	for _, set := range []Set{
		NewSet(slash8),
		NewSet(Range{slash8.First, slash8.Last - 12_345}),
	} {
		for _, seed := range []uint64{0, 1, 42} {
			o := NewOrder(set, seed)
			inWindow := make(map[Addr]int, window)
			again := 0
			for i := range uint64(window * windows) {
				if i >= window { // the window slides
					inWindow[o.At(i-window)>>8]--
				}
				network := o.At(i) >> 8
				if inWindow[network]++; inWindow[network] > most {
					t.Fatalf("seed %d: %d of the %d probes up to %d go to %s/24", seed, inWindow[network], window, i, network<<8)
				}
				if inWindow[network] > 1 {
					again++
				}
			}
			// A probe finds one of the last 999 in its network with probability
			// 1 - (1 - 2^-16)^999 = 0.0151; the bounds are six deviations off.
			mean := float64(again) / (window * windows)
			if mean < 0.0140 || mean > 0.0163 {
				t.Errorf("seed %d: a probe shares its /24 with an earlier one of its window with frequency %.4f, want 0.0151", seed, mean)
			}
		}
	}
}

// TestOrderIsEven counts neighbours in the order: how far apart two probes are
// that follow each other should be as good as random.
func TestOrderIsEven(t *testing.T) {
	const cells, perCell = 256, 400
	chiSquare := func(counts []int) float64 {
		sum := 0.0
		for _, n := range counts {
			d := float64(n) - perCell
			sum += d * d / perCell
		}
		return sum
	}
	// 255 degrees of freedom: mean 255, standard deviation 22.6. The bounds are
	// over seven deviations off; seeds are fixed, so a pass stays a pass.
	const low, high = 100, 430
	count := func(name string, cell func(k uint64) uint64) {
		counts := make([]int, cells)
		for k := range uint64(cells * perCell) {
			counts[cell(k)]++
		}
		if x := chiSquare(counts); x < low || x > high {
			t.Errorf("%s: chi-square %.0f, want about %d", name, x, cells-1)
		}
	}
	for _, seed := range []uint64{0, 1, 42} {
		o := NewOrder(NewSet(slash8), seed)
		count("high bits", func(k uint64) uint64 { return o.Index(k) >> 16 })
		count("low bits", func(k uint64) uint64 { return o.Index(k) & 255 })
		count("distance, high bits", func(k uint64) uint64 { return (o.Index(k+1) - o.Index(k)) >> 16 & 255 })
		count("distance, low bits", func(k uint64) uint64 { return (o.Index(k+1) - o.Index(k)) & 255 })
		count("distance over a row of left halves", func(k uint64) uint64 { return (o.Index(k+1<<12) - o.Index(k)) >> 16 & 255 })
	}
	small := firstN(cells)
	count("first index of a /24 over seeds", func(k uint64) uint64 { return NewOrder(small, k).Index(0) })
	count("second index of a /24 over seeds", func(k uint64) uint64 { return NewOrder(small, k).Index(1) })
}

func TestSeedsAreUnrelated(t *testing.T) {
	const n = 1 << 16
	a := NewOrder(firstN(n), 1)
	for _, seed := range []uint64{0, 2, 3, 1 << 63, math.MaxUint64} {
		b := NewOrder(firstN(n), seed)
		same := 0
		for i := range uint64(n) {
			if a.Index(i) == b.Index(i) {
				same++
			}
		}
		if same > 10 { // one is to be expected
			t.Errorf("seeds 1 and %d agree at %d of %d indexes", seed, same, n)
		}
	}
}

func TestOrderAllocatesNothing(t *testing.T) {
	o := NewOrder(NewSet(slash8).Subtract(exclusions(slash8, 1_000)), 42)
	i := uint64(0)
	if n := testing.AllocsPerRun(1_000, func() { sink ^= o.At(i); i++ }); n != 0 {
		t.Errorf("At: %v allocations", n)
	}
}
