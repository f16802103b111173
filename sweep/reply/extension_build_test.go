// SPDX-License-Identifier: Apache-2.0

package reply

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
)

// This file builds what the parser reads, from the RFCs' figures and with
// nothing of the parser's: no constant, no checksum.

// object is an extension object (RFC 4884, section 8).
func object(class, cType uint8, payload ...[]byte) []byte {
	body := bytes.Join(payload, nil)
	b := binary.BigEndian.AppendUint16(nil, uint16(4+len(body)))
	return append(append(b, class, cType), body...)
}

// word is a 32-bit number.
func word(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// label is an entry of a stack (RFC 3032, section 2.1).
func label(label uint32, class, bottom, ttl uint8) []byte {
	return []byte{byte(label >> 12), byte(label >> 4), byte(label<<4) | class<<1 | bottom, ttl}
}

// stack is a label stack object (RFC 4950, section 5).
func stack(labels ...[]byte) []byte { return object(1, 1, labels...) }

// address5837 is an address sub-object (RFC 5837, section 4.2).
func address5837(text string) []byte {
	a := netip.MustParseAddr(text)
	family := byte(2)
	if a.Is4() {
		family = 1
	}
	return append([]byte{0, family, 0, 0}, a.AsSlice()...)
}

// ifName is a name sub-object (RFC 5837, section 4.3).
func ifName(name string) []byte {
	b := append([]byte{0}, name...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	b[0] = byte(len(b))
	return b
}

// unsummed is a structure that transmits no checksum.
func unsummed(objects ...[]byte) []byte {
	return append([]byte{0x20, 0, 0, 0}, bytes.Join(objects, nil)...)
}

// structure is one with its checksum (RFC 4884, section 7).
func structure(objects ...[]byte) []byte { return sum(unsummed(objects...)) }

// sum puts the right checksum in: the complement of the sum of all 16-bit
// words, with carries added at the end.
func sum(b []byte) []byte {
	b = bytes.Clone(b)
	b[2], b[3] = 0, 0
	var high, low int
	for i, v := range b {
		if i%2 == 0 {
			high += int(v)
		} else {
			low += int(v)
		}
	}
	total := high<<8 + low
	for total > 0xffff {
		total = total%0x10000 + total/0x10000
	}
	binary.BigEndian.PutUint16(b[2:], ^uint16(total))
	return b
}

// message is an ICMP error with a quote of so many bytes, a length attribute,
// and what follows.
func message(icmpType, length uint8, quote int, ext []byte) []byte {
	b := []byte{icmpType, 0, 0, 0, 0, length, 0, 0}
	b = append(b, strings.Repeat("q", quote)...)
	return append(b, ext...)
}

var (
	tunnel = stack(label(16004, 0, 0, 254), label(24001, 5, 1, 255))
	// arrived has everything.
	arrived = object(2, 0b00001111, word(5), address5837("192.0.2.1"), ifName("xe-0/0/1"), word(1500))
	// leaving has an address of the other family, and no more.
	leaving = object(2, 0b10000100, address5837("2001:db8::1"))
	strange = object(247, 9, []byte("private!"))
)

// examples are structures as routers could send them, and what they say.
var examples = []struct {
	name string
	ext  []byte
	want Extensions
	// The text of either column.
	mpls, interfaces string
}{
	{"one label", structure(stack(label(16004, 0, 1, 1))),
		Extensions{MPLS: []Label{{16004, 0, true, 1}}}, "16004/0/1/1", ""},
	{"labels of extreme values", structure(stack(label(0, 0, 0, 0), label(0xfffff, 7, 1, 255))),
		Extensions{MPLS: []Label{{0, 0, false, 0}, {0xfffff, 7, true, 255}}}, "0/0/0/0 1048575/7/1/255", ""},
	{"each bit of a label", structure(stack(label(0x80001, 0, 0, 0x80), label(1, 4, 0, 1), label(2, 1, 0, 2))),
		Extensions{MPLS: []Label{{0x80001, 0, false, 0x80}, {1, 4, false, 1}, {2, 1, false, 2}}},
		"524289/0/0/128 1/4/0/1 2/1/0/2", ""},
	{"a stack without a bottom", structure(stack(label(7, 0, 0, 3))),
		Extensions{MPLS: []Label{{7, 0, false, 3}}}, "7/0/0/3", ""},
	{"an interface with everything", structure(arrived),
		Extensions{Interfaces: []Interface{{Incoming, 5, netip.MustParseAddr("192.0.2.1"), "xe-0/0/1", 1500}}},
		"", "role=incoming index=5 addr=192.0.2.1 name=xe-0/0/1 mtu=1500"},
	{"an interface by its role alone", structure(object(2, 0b01000000)),
		Extensions{Interfaces: []Interface{{Role: SubIncoming}}}, "", "role=sub-incoming"},
	{"by index", structure(object(2, 0b00001000, word(0xffffffff))),
		Extensions{Interfaces: []Interface{{Index: 0xffffffff}}}, "", "role=incoming index=4294967295"},
	{"by address", structure(leaving),
		Extensions{Interfaces: []Interface{{Role: Outgoing, Addr: netip.MustParseAddr("2001:db8::1")}}},
		"", "role=outgoing addr=2001:db8::1"},
	{"by name", structure(object(2, 0b11000010, ifName("ae3"))),
		Extensions{Interfaces: []Interface{{Role: NextHop, Name: "ae3"}}}, "", "role=next-hop name=ae3"},
	{"by MTU", structure(object(2, 0b10000001, word(9000))),
		Extensions{Interfaces: []Interface{{Role: Outgoing, MTU: 9000}}}, "", "role=outgoing mtu=9000"},
	{"index and MTU with nothing between", structure(object(2, 0b00001001, word(3), word(576))),
		Extensions{Interfaces: []Interface{{Index: 3, MTU: 576}}}, "", "role=incoming index=3 mtu=576"},
	{"a name that ends with its word", structure(object(2, 0b00000010, ifName("eth"))),
		Extensions{Interfaces: []Interface{{Name: "eth"}}}, "", "role=incoming name=eth"},
	{"the longest name", structure(object(2, 0b00000010, ifName(strings.Repeat("n", 63)))),
		Extensions{Interfaces: []Interface{{Name: strings.Repeat("n", 63)}}}, "", "role=incoming name=" + strings.Repeat("n", 63)},
	{"a name more padded than need be", structure(object(2, 0b00000010, []byte("\x0ceth0\x00\x00\x00\x00\x00\x00\x00"))),
		Extensions{Interfaces: []Interface{{Name: "eth0"}}}, "", "role=incoming name=eth0"},
	{"an empty name", structure(object(2, 0b00000010, ifName(""))),
		Extensions{Interfaces: []Interface{{}}}, "", "role=incoming"},
	{"a hostile name", structure(object(2, 0b00000010, ifName("a;\x1b[2J\n\x00\"\xff b"))),
		Extensions{Interfaces: []Interface{{Name: "a;\x1b[2J\n\x00\"\xff b"}}},
		"", `role=incoming name="a;\x1b[2J\n\x00\"\xff b"`},
	{"reserved bits", structure(object(2, 0b00111000, word(8))),
		Extensions{Interfaces: []Interface{{Index: 8}}}, "", "role=incoming index=8"},
	{"reserved bytes", sum(append([]byte{0x2f, 0xff, 0, 0}, object(2, 0b00000100, []byte{0, 1, 0xff, 0xff, 192, 0, 2, 9})...)),
		Extensions{Interfaces: []Interface{{Addr: netip.MustParseAddr("192.0.2.9")}}}, "", "role=incoming addr=192.0.2.9"},
	{"data behind an interface", structure(object(2, 0b00001000, word(8), word(0xdeadbeef))),
		Extensions{Interfaces: []Interface{{Index: 8}}}, "", "role=incoming index=8"},
	{"every role", structure(object(2, 0b11000000), object(2, 0b10000000), object(2, 0b01000000), object(2, 0)),
		Extensions{Interfaces: []Interface{{Role: NextHop}, {Role: Outgoing}, {Role: SubIncoming}, {Role: Incoming}}},
		"", "role=next-hop; role=outgoing; role=sub-incoming; role=incoming"},
	{"all together", structure(strange, arrived, tunnel, leaving, strange),
		Extensions{
			MPLS: []Label{{16004, 0, false, 254}, {24001, 5, true, 255}},
			Interfaces: []Interface{{Incoming, 5, netip.MustParseAddr("192.0.2.1"), "xe-0/0/1", 1500},
				{Role: Outgoing, Addr: netip.MustParseAddr("2001:db8::1")}},
		},
		"16004/0/0/254 24001/5/1/255", "role=incoming index=5 addr=192.0.2.1 name=xe-0/0/1 mtu=1500; role=outgoing addr=2001:db8::1"},
	{"no checksum", unsummed(tunnel),
		Extensions{MPLS: []Label{{16004, 0, false, 254}, {24001, 5, true, 255}}}, "16004/0/0/254 24001/5/1/255", ""},
	{"an unknown class", structure(strange), Extensions{}, "", ""},
	{"another type of the MPLS class", structure(object(1, 2, word(1))), Extensions{}, "", ""},
	{"the MPLS type of another class", structure(object(3, 1, word(1))), Extensions{}, "", ""},
	{"an object without payload", structure(object(9, 9)), Extensions{}, "", ""},
}
