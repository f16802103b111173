// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/testrand"
	"xsweep/sweep/target"
)

// span is the set of n addresses from first on.
func span(first target.Addr, n int) target.Set {
	return target.NewSet(target.Range{First: first, Last: first + target.Addr(n-1)})
}

// Truth must be what Replies says of each address, less what a sweep skips.
func TestTruthAgainstReplies(t *testing.T) {
	r := testrand.New(t)
	for range 200 {
		c := Config{Live: r.Float64(), Loss: r.Float64() * float64(r.IntN(2)), Duplicate: r.Float64(), Seed: r.Uint64()}
		if r.IntN(4) == 0 {
			c = Config{Responder: Kernel, Hops: r.IntN(maxRouters + 1)}
		}
		probes := r.IntN(4)
		base := []target.Addr{0xc6120000, 0xc6134000, 0xc6134300}[r.IntN(3)]
		set := span(base-500+target.Addr(r.IntN(600)), 1+r.IntN(1000))
		var want []target.Addr
		for a := range set.All() {
			if !skipped.Contains(a) && c.Replies(a, probes) > 0 {
				want = append(want, a)
			}
		}
		if diff := cmp.Diff(want, slices.Collect(c.Truth(set, probes))); diff != "" {
			t.Fatalf("%+v, %d probes, %v (-want +got):\n%s", c, probes, set.Ranges(), diff)
		}
	}
}

func TestTruthEdges(t *testing.T) {
	everybody := Config{Live: 1}
	for _, tc := range []struct {
		name   string
		config Config
		set    target.Set
		want   []target.Addr
	}{
		{"own, network, broadcast", everybody, span(0xc6120000, 5), []target.Addr{0xc6120002, 0xc6120004}},
		{"the last address", everybody, span(0xfffffffe, 2), []target.Addr{0xfffffffe}},
		{"loopback", everybody, span(0x7effffff, 3), []target.Addr{0x7effffff}},
		{"nobody lives", Config{}, span(0xf0000000, 1000), nil},
		{"all is lost", Config{Live: 1, Loss: 1}, span(0xf0000000, 1000), nil},
		{"sink", Config{Responder: Sink}, span(0xf0000000, 1000), nil},
		{"kernel, below its prefix", Config{Responder: Kernel}, span(0xc611fffe, 5), []target.Addr{0xc6120002}},
		{"kernel, above its prefix", Config{Responder: Kernel}, span(0xc613fffe, 5), []target.Addr{0xc613fffe, 0xc613ffff}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, slices.Collect(tc.config.Truth(tc.set, 1))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Fractions come out as asked, within five standard deviations, for seeds
// and addresses that are neighbours.
func TestFractions(t *testing.T) {
	const n = 1 << 20
	for _, p := range []float64{0.01, 0.1, 0.5} {
		for seed := range uint64(4) {
			c := Config{Live: p, Seed: seed}
			got := 0
			for range c.Truth(span(0xf0000000, n), 1) {
				got++
			}
			if off := math.Abs(float64(got) - n*p); off > 5*math.Sqrt(n*p*(1-p)) {
				t.Errorf("seed %d: %d of %d live, want about %.0f", seed, got, n, n*p)
			}
		}
	}
	// Two seeds agree on an address only by chance.
	both, c1, c2 := 0, Config{Live: 0.5, Seed: 1}, Config{Live: 0.5, Seed: 2}
	for a := range c1.Truth(span(0xf0000000, n), 1) {
		if c2.Host(a).Live {
			both++
		}
	}
	if off := math.Abs(float64(both) - n/4); off > 5*math.Sqrt(n*3/16) {
		t.Errorf("seeds 1 and 2 share %d of %d hosts, want about %d", both, n, n/4)
	}
}

// Every distance can be told from the TTL by the rule that sweeps use: the
// smallest usual initial value not below it.
func TestHostTTLs(t *testing.T) {
	c := Config{Live: 1}
	count := map[int]int{}
	for a := range span(0xf0000000, 100_000).All() {
		ttl := int(c.Host(a).TTL)
		initial := 32
		for _, v := range []int{255, 128, 64} {
			if v >= ttl && ttl > v-25 {
				initial = v
			}
		}
		if hops := initial - ttl; hops < 0 || hops > 24 {
			t.Fatalf("%v has TTL %d, %d hops from %d", a, ttl, hops, initial)
		}
		count[initial]++
	}
	for initial, percent := range map[int]int{32: 2, 64: 70, 128: 18, 255: 10} {
		if got := count[initial]; got < percent*900 || got > percent*1100 {
			t.Errorf("%d of 100000 hosts start at TTL %d, want about %d %%", got, initial, percent)
		}
	}
}

func BenchmarkTruth(b *testing.B) {
	for _, bc := range []struct {
		name   string
		config Config
	}{
		{"all live", Config{Live: 1}},
		{"one in ten live", Config{Live: 0.1}},
		{"half lost", Config{Live: 1, Loss: 0.5}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			n := 0
			for range bc.config.Truth(span(0, b.N), 3) {
				n++
			}
		})
	}
}
