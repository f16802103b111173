// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"math/rand/v2"
	"runtime"
	"time"

	"xsweep/sweep/target"
)

const (
	orderRounds = 9
	// orderSteps is how many addresses of an order are asked for in a round,
	// one after the other as a sweep does it.
	orderSteps     = 4 << 20
	exclusionCount = 100_000
	// orderCopies is how many equal orders are held at once to weigh one: what
	// else is allocated meanwhile does not show then.
	orderCopies = 1000
)

// order measures the time of an address and the memory of an order.
func (b *bench) order() ([]row, error) {
	block := target.NewSet(prefix("11.0.0.0/8"))
	plain := target.NewOrder(block, 1)
	excluded := target.NewOrder(block.Subtract(exclusions(block.Ranges()[0])), 1)
	var plainTime, excludedTime series
	for range orderRounds {
		plainTime = append(plainTime, perAddress(plain))
		excludedTime = append(excludedTime, perAddress(excluded))
	}

	half := target.NewSet(prefix("0.0.0.0/1"))
	var small, large, perRange series
	for range 3 {
		// Whole bytes: what else the process holds adds thousandths.
		small = append(small, math.Round(weigh(orderCopies, func() any { return target.NewOrder(block, 1) })))
		large = append(large, math.Round(weigh(orderCopies, func() any { return target.NewOrder(half, 1) })))
		ranges := 0
		bytes := weigh(1, func() any {
			set := block.Subtract(exclusions(block.Ranges()[0]))
			ranges = len(set.Ranges())
			return []any{set, target.NewOrder(set, 1)}
		})
		perRange = append(perRange, bytes/float64(ranges))
	}
	sameSize := newRow("order: memory for a /1", "B", large).against("for a /8", small)
	sameSize.Goal = &goal{OfRatio: true, Bound: 1}
	return []row{
		newRow("order: address of a /8", "ns", plainTime).atMost(25, 0),
		newRow("order: with 100,000 exclusions", "ns", excludedTime).atMost(45, 0),
		newRow("order: set and order, a range", "B", perRange),
		sameSize,
	}, nil
}

// exclusions are random ranges of 1 to 256 addresses within r. Some touch or
// overlap.
func exclusions(r target.Range) target.Set {
	random := rand.New(rand.NewPCG(1, exclusionCount))
	ranges := make([]target.Range, exclusionCount)
	for k := range ranges {
		first := r.First + target.Addr(random.Uint64N(r.Len()))
		ranges[k] = target.Range{First: first, Last: first + min(r.Last-first, target.Addr(random.IntN(256)))}
	}
	return target.NewSet(ranges...)
}

// perAddress is the mean time of one address, in nanoseconds.
func perAddress(o *target.Order) float64 {
	var sum target.Addr
	start := time.Now()
	for i := range uint64(orderSteps) {
		sum ^= o.At(i)
	}
	elapsed := time.Since(start)
	runtime.KeepAlive(sum) // or the compiler could leave it all out
	return nanoseconds(elapsed) / orderSteps
}

// weigh is how many bytes of heap one of what make makes takes.
func weigh(copies int, make_ func() any) float64 {
	held := make([]any, copies)
	before := heap()
	for k := range held {
		held[k] = make_()
	}
	after := heap()
	runtime.KeepAlive(held)
	return max(float64(after)-float64(before), 0) / float64(copies)
}

// heap is how many bytes of heap are in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
