// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/testrand"
	"xsweep/sweep/target"
)

// randomSkips returns a partition of n ranges with a reason, and gaps between
// them, all from first on.
func randomSkips(r *rand.Rand, n int, first, span target.Addr) partition {
	at := make(map[target.Addr]bool)
	for len(at) < 2*n {
		at[first+target.Addr(r.Uint64N(uint64(span)))] = true
	}
	var p partition
	p.set(0, int32(Send))
	starts := sortedKeys(at)
	for i := 0; i < len(starts); i += 2 {
		p.set(starts[i], int32(1+r.IntN(int(reasonCount)-1)))
		p.set(starts[i+1], int32(Send))
	}
	return p
}

func sortedKeys(m map[target.Addr]bool) []target.Addr {
	var ranges []target.Range
	for a := range m {
		ranges = append(ranges, target.Range{First: a, Last: a})
	}
	var keys []target.Addr
	for a := range target.NewSet(ranges...).All() {
		keys = append(keys, a)
	}
	return keys
}

func TestSkipsReason(t *testing.T) {
	r := testrand.New(t)
	for _, n := range []int{0, 1, 4, maxCompared / 2, maxCompared/2 + 1, 40, 1000} {
		for _, span := range []target.Addr{4096, 1 << 22, 1<<32 - 1} {
			t.Run(fmt.Sprintf("%d ranges in %d", n, span), func(t *testing.T) {
				first := target.Addr(r.Uint64N(1<<32 - uint64(span)))
				p := randomSkips(r, n, first, span)
				s := newSkips(p, target.Set{})
				check := func(a target.Addr) {
					t.Helper()
					if got, want := s.Reason(a), Reason(p.at(a)); got != want {
						t.Fatalf("%v: %v, want %v", a, got, want)
					}
				}
				for _, a := range p.starts {
					check(a - 1) // wraps for 0, which is an address as well
					check(a)
					check(a + 1)
				}
				for k := range bucketCount {
					check(target.Addr(k) << bucketShift)
					check(target.Addr(k)<<bucketShift - 1)
				}
				for range 10000 {
					check(first + target.Addr(r.Uint64N(uint64(span))))
					check(target.Addr(r.Uint32()))
				}
			})
		}
	}
}

func TestSkipsCounts(t *testing.T) {
	var p partition
	p.set(0, int32(Unroutable))
	p.set(100, int32(Send))
	p.set(200, int32(Own))
	p.set(201, int32(Send))
	p.set(300, int32(Unroutable))
	s := newSkips(p, target.NewSet(target.Range{First: 90, Last: 109}, target.Range{First: 150, Last: 250}))
	if diff := cmp.Diff(map[string]uint64{"unroutable": 10, "own": 1}, s.Counts()); diff != "" {
		t.Error(diff)
	}
	if s.Count(Send) != 110 || s.Total() != 11 || s.Count(Network) != 0 || s.Count(reasonCount) != 0 {
		t.Errorf("send %d, total %d", s.Count(Send), s.Total())
	}
	if got, want := s.summary(), "own 1, unroutable 10"; got != want {
		t.Errorf("summary %q, want %q", got, want)
	}
}

func TestSkipsZero(t *testing.T) {
	var s Skips
	if s.Reason(0) != Send || s.Reason(maxAddr) != Send || s.Total() != 0 || len(s.Counts()) != 0 {
		t.Error("the zero Skips skips something")
	}
}

func TestReasonNames(t *testing.T) {
	seen := make(map[string]bool)
	for r := range reasonCount + 1 {
		name := r.String()
		if name == "" || seen[name] {
			t.Errorf("reason %d has the name %q", uint8(r), name)
		}
		seen[name] = true
	}
}

func TestSkipsReasonAllocsAndShares(t *testing.T) {
	r := testrand.New(t)
	for _, n := range []int{4, 1000} {
		p := randomSkips(r, n, 0, maxAddr)
		s := newSkips(p, target.Set{})
		addrs := randomAddrs(r, 0, maxAddr)
		if n := testing.AllocsPerRun(10, func() {
			for _, a := range addrs {
				s.Reason(a)
			}
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for _, a := range addrs {
					if s.Reason(a) != Reason(p.at(a)) {
						t.Errorf("%v is wrong", a)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

func randomAddrs(r *rand.Rand, first, span target.Addr) []target.Addr {
	addrs := make([]target.Addr, 1<<12)
	for i := range addrs {
		addrs[i] = first + target.Addr(r.Uint64N(uint64(span)))
	}
	return addrs
}

// BenchmarkSkipsReason looks up addresses in random order, as a sweep does.
func BenchmarkSkipsReason(b *testing.B) {
	for _, n := range []int{0, 4, 100, 1000} {
		for _, span := range []struct {
			name        string
			first, size target.Addr
		}{{"all", 0, maxAddr}, {"16", 198<<24 | 18<<16, 1 << 16}} {
			b.Run(fmt.Sprintf("ranges=%d/space=%s", n, span.name), func(b *testing.B) {
				r := rand.New(rand.NewPCG(1, 0))
				s := newSkips(randomSkips(r, n, span.first, span.size), target.Set{})
				addrs := randomAddrs(r, span.first, span.size)
				i, sum := 0, Reason(0)
				for b.Loop() {
					sum += s.Reason(addrs[i&(len(addrs)-1)])
					i++
				}
				sink = sum
			})
		}
	}
}

var sink Reason
