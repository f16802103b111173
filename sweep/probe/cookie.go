// SPDX-License-Identifier: Apache-2.0

package probe

import "encoding/binary"

// Authenticator makes cookies and tags with the key of one sweep.
type Authenticator struct{ start sipState }

// NewAuthenticator takes the sweep's key: 128 random bits.
func NewAuthenticator(key [16]byte) Authenticator {
	return Authenticator{newSip(key)}
}

// Cookie is what stands in the identifier and sequence number of a probe, as
// a little-endian word: 32 bits of SipHash-2-4 over source and target as they
// stand in the packet.
func (a Authenticator) Cookie(source, target [4]byte) uint32 {
	return a.cookie(binary.LittleEndian.Uint32(source[:]), binary.LittleEndian.Uint32(target[:]))
}

// cookie takes the addresses as little-endian words of their packet bytes.
func (a Authenticator) cookie(source, target uint32) uint32 {
	return uint32(a.start.word(uint64(target)<<32 | uint64(source)).sum(8))
}

// Tag authenticates the payload: 32 bits of SipHash-2-4 over the send time
// and the word of index and attempt.
func (a Authenticator) Tag(sentNS, indexAttempt uint64) uint32 {
	return uint32(a.start.word(sentNS).word(indexAttempt).sum(16))
}

// How much of the payload's second word the attempt and the index take, and
// where the run stands in it: PROBE_ATTEMPT_BITS, PROBE_INDEX_BITS and
// PROBE_RUN_SHIFT of bpf/include/cookie.h.
const (
	attemptBits = 8
	indexBits   = 40
	runShift    = indexBits + attemptBits
)

// IndexAttempt packs index and attempt of a sweep's first run into the payload's
// second word.
func IndexAttempt(index uint64, attempt uint8) uint64 {
	return index<<attemptBits | uint64(attempt)
}

// Word is the payload's second word: run, index and attempt.
func (p Probe) Word() uint64 { return uint64(p.Run)<<runShift | IndexAttempt(p.Index, p.Attempt) }

// SplitWord undoes Word.
func SplitWord(word uint64) (run uint16, index uint64, attempt uint8) {
	return uint16(word >> runShift), word >> attemptBits & MaxIndex, uint8(word)
}
