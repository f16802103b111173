// SPDX-License-Identifier: Apache-2.0

package target

// SpecialRange is a block of addresses that is set aside for one purpose.
type SpecialRange struct {
	Range Range
	// Name is the purpose, as the registry has it.
	Name string
	// RFC is the document and section that made the reservation.
	RFC string
}

// Special is the IANA IPv4 Special-Purpose Address Registry (RFC 6890, updated
// by RFC 8190; every entry, also the terminated and the globally reachable
// ones) and the multicast block (RFC 5771), by first address, wider ranges
// first. Ranges nest but never overlap otherwise. It must not be changed.
//
// [Select] says when these addresses are skipped.
var Special = []SpecialRange{
	special(0, 0, 0, 0, 8, "This network", "RFC 791, section 3.2"),
	special(0, 0, 0, 0, 32, "This host on this network", "RFC 1122, section 3.2.1.3"),
	special(10, 0, 0, 0, 8, "Private-Use", "RFC 1918"),
	special(100, 64, 0, 0, 10, "Shared Address Space", "RFC 6598"),
	special(127, 0, 0, 0, 8, "Loopback", "RFC 1122, section 3.2.1.3"),
	special(169, 254, 0, 0, 16, "Link Local", "RFC 3927"),
	special(172, 16, 0, 0, 12, "Private-Use", "RFC 1918"),
	special(192, 0, 0, 0, 24, "IETF Protocol Assignments", "RFC 6890, section 2.1"),
	special(192, 0, 0, 0, 29, "IPv4 Service Continuity Prefix", "RFC 7335"),
	special(192, 0, 0, 8, 32, "IPv4 dummy address", "RFC 7600"),
	special(192, 0, 0, 9, 32, "Port Control Protocol Anycast", "RFC 7723"),
	special(192, 0, 0, 10, 32, "Traversal Using Relays around NAT Anycast", "RFC 8155"),
	special(192, 0, 0, 170, 32, "NAT64/DNS64 Discovery", "RFC 8880; RFC 7050, section 2.2"),
	special(192, 0, 0, 171, 32, "NAT64/DNS64 Discovery", "RFC 8880; RFC 7050, section 2.2"),
	special(192, 0, 2, 0, 24, "Documentation (TEST-NET-1)", "RFC 5737"),
	special(192, 31, 196, 0, 24, "AS112-v4", "RFC 7535"),
	special(192, 52, 193, 0, 24, "AMT", "RFC 7450"),
	special(192, 88, 99, 0, 24, "Deprecated (6to4 Relay Anycast)", "RFC 7526"),
	special(192, 88, 99, 2, 32, "6a44-relay anycast address", "RFC 6751"),
	special(192, 168, 0, 0, 16, "Private-Use", "RFC 1918"),
	special(192, 175, 48, 0, 24, "Direct Delegation AS112 Service", "RFC 7534"),
	special(198, 18, 0, 0, 15, "Benchmarking", "RFC 2544"),
	special(198, 51, 100, 0, 24, "Documentation (TEST-NET-2)", "RFC 5737"),
	special(203, 0, 113, 0, 24, "Documentation (TEST-NET-3)", "RFC 5737"),
	special(224, 0, 0, 0, 4, "Multicast", "RFC 5771"),
	special(240, 0, 0, 0, 4, "Reserved", "RFC 1112, section 4"),
	special(255, 255, 255, 255, 32, "Limited Broadcast", "RFC 8190; RFC 919, section 7"),
}

func special(a, b, c, d byte, length int, name, rfc string) SpecialRange {
	addr := Addr(a)<<24 | Addr(b)<<16 | Addr(c)<<8 | Addr(d)
	return SpecialRange{prefixRange(addr, length), name, rfc}
}
