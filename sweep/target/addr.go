// SPDX-License-Identifier: Apache-2.0

package target

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
)

// Addr is an IPv4 address as a number in host byte order: 192.0.2.1 is
// 0xc0000201, so addresses compare and count as one expects.
type Addr uint32

// maxAddr is 255.255.255.255.
const maxAddr = Addr(1<<32 - 1)

// ParseAddr reads an address in dotted decimal notation, four octets and
// nothing else. It refuses leading zeros, which some programs take for octal.
func ParseAddr(text string) (Addr, error) {
	a, ok := scanAddr(text)
	if !ok {
		return 0, fmt.Errorf("address %s: %w", quote(text), explainAddr(text))
	}
	return a, nil
}

// AddrFrom converts a. It reports false unless a is an IPv4 address or an
// IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2).
func AddrFrom(a netip.Addr) (Addr, bool) {
	a = a.Unmap()
	if !a.Is4() {
		return 0, false
	}
	b := a.As4()
	return Addr(binary.BigEndian.Uint32(b[:])), true
}

// Netip returns a as the standard library's address type.
func (a Addr) Netip() netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(a))
	return netip.AddrFrom4(b)
}

// String returns a in dotted decimal notation.
func (a Addr) String() string {
	var b [len("255.255.255.255")]byte
	return string(a.AppendTo(b[:0]))
}

// AppendTo appends what String returns to b. It allocates only if b is too
// short.
func (a Addr) AppendTo(b []byte) []byte {
	b = appendOctet(b, byte(a>>24))
	b = append(b, '.')
	b = appendOctet(b, byte(a>>16))
	b = append(b, '.')
	b = appendOctet(b, byte(a>>8))
	b = append(b, '.')
	return appendOctet(b, byte(a))
}

func appendOctet(b []byte, v byte) []byte {
	if v >= 100 {
		return append(b, '0'+v/100, '0'+v/10%10, '0'+v%10)
	}
	if v >= 10 {
		return append(b, '0'+v/10, '0'+v%10)
	}
	return append(b, '0'+v)
}

// Range is the addresses First to Last, both included. A Range whose First is
// above its Last is empty; the zero Range is the one address 0.0.0.0.
type Range struct{ First, Last Addr }

// RangeFromPrefix returns the addresses of p, whose host bits do not matter. It
// reports false unless p is a valid IPv4 prefix.
func RangeFromPrefix(p netip.Prefix) (Range, bool) {
	if !p.IsValid() || !p.Addr().Is4() {
		return Range{}, false
	}
	a, _ := AddrFrom(p.Addr())
	return prefixRange(a, p.Bits()), true
}

// prefixRange returns the addresses that share the first length bits of a.
func prefixRange(a Addr, length int) Range {
	hostMask := Addr(uint64(1)<<(32-length) - 1)
	return Range{a &^ hostMask, a | hostMask}
}

// Len returns the number of addresses in r, at most 2^32.
func (r Range) Len() uint64 {
	if r.First > r.Last {
		return 0
	}
	return uint64(r.Last-r.First) + 1
}

// Contains reports whether a is in r.
func (r Range) Contains(a Addr) bool { return r.First <= a && a <= r.Last }

// covers reports whether all of o, which must not be empty, is in r.
func (r Range) covers(o Range) bool { return r.First <= o.First && o.Last <= r.Last }

// intersect returns what r and o share; it may be empty.
func (r Range) intersect(o Range) Range {
	return Range{max(r.First, o.First), min(r.Last, o.Last)}
}

// String returns r in the shortest form that [Parse] reads back: one address, a
// prefix where r is one, else first-last.
func (r Range) String() string {
	b := make([]byte, 0, len("255.255.255.255-255.255.255.255"))
	b = r.First.AppendTo(b)
	n := r.Len()
	switch {
	case n == 1:
	case n != 0 && n&(n-1) == 0 && uint64(r.First)&(n-1) == 0:
		b = append(b, '/')
		b = strconv.AppendInt(b, int64(32-bits.TrailingZeros64(n)), 10)
	default:
		b = append(b, '-')
		b = r.Last.AppendTo(b)
	}
	return string(b)
}
