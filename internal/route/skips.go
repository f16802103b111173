// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"strings"

	"xsweep/sweep/target"
)

// Reason says why an address is not probed. Zero means that it is.
type Reason uint8

const (
	// Send: the address is probed.
	Send Reason = iota
	// Own is an address of this machine, while another interface is swept.
	Own
	// Network is the first address of an attached subnet, which no host has: it
	// was a form of broadcast once (RFC 1122, section 3.3.6). Prefixes of 31 and
	// 32 bits have neither network nor broadcast address (RFC 3021).
	Network
	// Broadcast is the last address of an attached subnet, an address that a
	// broadcast route names, or 255.255.255.255.
	Broadcast
	// OtherInterface is an address that only another interface leads to.
	OtherInterface
	// Unroutable is an address without route, or with one that says unreachable,
	// prohibited or blackhole.
	Unroutable
	// OnLink is an on-link address that would have to be resolved as a neighbour,
	// which the transmitter in use cannot do, or not for so many.
	OnLink

	reasonCount
)

// NumReasons is how many Reasons there are, Send among them.
const NumReasons = int(reasonCount)

var reasonNames = [reasonCount]string{
	"send", "own", "network", "broadcast", "other_interface", "unroutable", "on_link",
}

// String returns the reason as the summary names it.
func (r Reason) String() string {
	if r < reasonCount {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Skips says for each address of a set whether it is skipped, and why. It never
// changes and may be used by many goroutines; the zero Skips skips nothing. It
// takes a few bytes for each change of reason along the address space.
type Skips struct {
	// reasons[i+1] holds from starts[i], reasons[0] below starts[0].
	starts  []target.Addr
	reasons []Reason
	// bucket[k] is the number of starts at or below k<<bucketShift. It is nil if
	// there are so few starts that comparing with all of them is faster.
	bucket []uint32

	counts [reasonCount]uint64
}

const (
	// maxCompared is the number of starts up to which all are compared.
	maxCompared = 12
	// bucketShift makes 4096 buckets: 16 KiB, half of a usual first-level cache.
	bucketShift = 20
	bucketCount = 1 << (32 - bucketShift)
)

// newSkips returns the skips of p, whose values are Reasons, and counts them
// over set.
func newSkips(p partition, set target.Set) Skips {
	s := Skips{starts: p.starts[1:], reasons: make([]Reason, len(p.values))}
	for i, v := range p.values {
		s.reasons[i] = Reason(v)
	}
	p.each(set, func(r target.Range, v int32) { s.counts[v] += r.Len() })
	if len(s.starts) > maxCompared {
		s.bucket = make([]uint32, bucketCount+1)
		i := 0
		for k := range bucketCount {
			for i < len(s.starts) && s.starts[i] <= target.Addr(k)<<bucketShift {
				i++
			}
			s.bucket[k] = uint32(i)
		}
		s.bucket[bucketCount] = uint32(len(s.starts))
	}
	return s
}

// Reason returns why a is skipped, or Send. The answer holds for the addresses
// of the set that the plan was made for.
func (s *Skips) Reason(a target.Addr) Reason {
	if len(s.reasons) == 0 {
		return Send
	}
	if s.bucket == nil {
		// Addresses come in random order, so every branch that depends on one is
		// mispredicted half of the time; a borrow into bit 63 is not a branch.
		i := uint64(0)
		for _, start := range s.starts {
			i += (uint64(start) - 1 - uint64(a)) >> 63
		}
		return s.reasons[i]
	}
	k := a >> bucketShift
	i, n := s.bucket[k], s.bucket[k+1]-s.bucket[k]
	for n > 0 {
		// Without a branch on a, again. What is left of the range may then be one
		// too many, but only by starts already known to be above a.
		half := (n + 1) / 2
		i += half & uint32(-((uint64(s.starts[i+half-1]) - 1 - uint64(a)) >> 63))
		n -= half
	}
	return s.reasons[i]
}

// Count returns the number of addresses of the set that are skipped for r, or,
// for Send, that are not.
func (s *Skips) Count(r Reason) uint64 {
	if r >= reasonCount {
		return 0
	}
	return s.counts[r]
}

// Total returns the number of addresses of the set that are skipped.
func (s *Skips) Total() uint64 {
	var n uint64
	for r := Send + 1; r < reasonCount; r++ {
		n += s.counts[r]
	}
	return n
}

// Counts returns the number of skipped addresses of the set by the name of the
// reason, without the reasons that do not occur.
func (s *Skips) Counts() map[string]uint64 {
	m := make(map[string]uint64)
	for r := Send + 1; r < reasonCount; r++ {
		if s.counts[r] > 0 {
			m[r.String()] = s.counts[r]
		}
	}
	return m
}

// summary lists the counts, such as "own 1, unroutable 253".
func (s *Skips) summary() string {
	var parts []string
	for r := Send + 1; r < reasonCount; r++ {
		if s.counts[r] > 0 {
			parts = append(parts, fmt.Sprintf("%v %d", r, s.counts[r]))
		}
	}
	return strings.Join(parts, ", ")
}
