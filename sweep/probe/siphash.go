// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"math/bits"
)

// sipState is SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast
// short-input PRF", 2012) for messages of whole 64-bit words. The C twin is
// bpf/include/siphash.h.
type sipState struct{ v0, v1, v2, v3 uint64 }

func newSip(key [16]byte) sipState {
	k0, k1 := binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])
	return sipState{
		k0 ^ 0x736f6d6570736575,
		k1 ^ 0x646f72616e646f6d,
		k0 ^ 0x6c7967656e657261,
		k1 ^ 0x7465646279746573,
	}
}

func (s sipState) round() sipState {
	s.v0 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 13) ^ s.v0
	s.v0 = bits.RotateLeft64(s.v0, 32)
	s.v2 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 16) ^ s.v2
	s.v0 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 21) ^ s.v0
	s.v2 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 17) ^ s.v2
	s.v2 = bits.RotateLeft64(s.v2, 32)
	return s
}

func (s sipState) word(m uint64) sipState {
	s.v3 ^= m
	s = s.round().round()
	s.v0 ^= m
	return s
}

// sum ends a message of the given length in bytes, a multiple of eight.
func (s sipState) sum(length uint64) uint64 {
	s = s.word(length << 56)
	s.v2 ^= 0xff
	s = s.round().round().round().round()
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3
}
