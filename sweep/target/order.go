// SPDX-License-Identifier: Apache-2.0

package target

import (
	"fmt"
	"math/bits"
)

// Order is a pseudorandom permutation of the addresses of a set. It is a fixed
// function of the set and the seed, and every index can be evaluated by itself,
// in constant time and without allocation. An Order never changes and may be
// used by many goroutines.
//
// It holds 8 bytes a range of the set and an index of at most 16 bytes a range
// more; the set itself is not kept.
//
// # Definition
//
// Other programs can reproduce the order from this; all arithmetic is modulo
// 2^64 unless said otherwise.
//
// Let n be the size of the set, m = 2^floor(b/2) where b = ceil(log2 n), and
// c = ceil(n / m). A number below m*c is split into left = number mod m and
// right = number div m. Four rounds of an alternating, unbalanced Feistel
// network permute those numbers: rounds 0 and 2 replace left by
// left xor (F(right) mod m), rounds 1 and 3 replace right by
// (right + (F(left) * c div 2^32)) mod c, where F in round r uses key r.
//
//	F(x): h = (x xor key) * 0x9e3779b97f4a7c15
//	      h = (h xor (h >> 32)) * 0xd6e8feb86659fd93
//	      h >> 32
//
// The keys are the first four outputs of SplitMix64 (Steele, Lea and Flood,
// "Fast splittable pseudorandom number generators", OOPSLA 2014) whose state
// begins at the seed. Where the result is n or more, the network is applied to
// it again until it is a rank (cycle walking; Black and Rogaway, "Ciphers with
// arbitrary finite domains", CT-RSA 2002). As m*c - n is below m, that is rare
// for large sets, whatever their size: halves of whole bits would walk twice on
// average where n is just above a power of two, and mispredict as often.
//
// The order scatters probes; it is no cipher, and who sees enough of it could
// work out the seed.
type Order struct {
	keys     [rounds]uint64
	size     uint64
	leftBits uint
	leftMask uint64 // m-1
	rights   uint64 // c
	places   index
}

const rounds = 4

// NewOrder returns the order of set under seed. It takes time in proportion to
// the number of ranges.
func NewOrder(set Set, seed uint64) *Order {
	o := &Order{size: set.Len(), places: newIndex(set)}
	if o.size > 1 {
		o.leftBits = uint(bits.Len64(o.size-1)) / 2
	}
	o.leftMask = 1<<o.leftBits - 1
	o.rights = (o.size + o.leftMask) >> o.leftBits
	for r := range o.keys {
		seed += 0x9e3779b97f4a7c15
		k := seed
		k = (k ^ k>>30) * 0xbf58476d1ce4e5b9
		k = (k ^ k>>27) * 0x94d049bb133111eb
		o.keys[r] = k ^ k>>31
	}
	return o
}

// Len returns the number of addresses, which is the number of indexes.
func (o *Order) Len() uint64 { return o.size }

// Index returns the rank of the address that comes i-th, counting from 0. It
// panics unless i < o.Len().
func (o *Order) Index(i uint64) (rank uint64) {
	if i >= o.size {
		o.panicIndex(i)
	}
	return o.permute(i)
}

// At returns the address that comes i-th, counting from 0. It panics unless
// i < o.Len().
func (o *Order) At(i uint64) Addr {
	if i >= o.size {
		o.panicIndex(i)
	}
	return o.places.at(uint32(o.permute(i)))
}

func (o *Order) panicIndex(i uint64) {
	panic(fmt.Sprintf("target: index %d of an order of %d addresses", i, o.size))
}

func (o *Order) permute(i uint64) uint64 {
	shift := o.leftBits & 63
	for {
		left, right := i&o.leftMask, i>>shift
		left ^= mix(right^o.keys[0]) & o.leftMask
		right = o.rotate(right, mix(left^o.keys[1]))
		left ^= mix(right^o.keys[2]) & o.leftMask
		right = o.rotate(right, mix(left^o.keys[3]))
		i = right<<shift | left
		if i < o.size {
			return i
		}
	}
}

// rotate adds h, scaled from 32 bits to the range of right halves, to right.
func (o *Order) rotate(right, h uint64) uint64 {
	right += h * o.rights >> 32
	if less := right - o.rights; right >= o.rights { // shaped so that it compiles to a conditional move
		right = less
	}
	return right
}

// mix is the round function, applied to the half already combined with the key.
// The multiplier of the first line spreads neighbours furthest apart; that of
// the second is an odd constant with balanced bits.
func mix(h uint64) uint64 {
	h *= 0x9e3779b97f4a7c15
	h = (h ^ h>>32) * 0xd6e8feb86659fd93
	return h >> 32
}
