// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// MaxFlows is how many flows a template can have.
const MaxFlows = 256

// Flow is what probes to one target can differ in for those who spread packets on
// their way: ICMP has no ports, so that is the source address, and for some the
// identifier.
type Flow struct {
	// Source is the IPv4 address that probes come from.
	Source netip.Addr
	// IDOffset is added to the cookie's first 16 bits, which stand in the identifier,
	// modulo 2^16 and in their byte order (docs/wire-format.md).
	IDOffset uint16
}

// flow is a Flow as a template needs it.
type flow struct {
	source   uint32 // little-endian word of the packet's bytes
	idOffset uint16
	sum      uint64 // what makes the shape's sum of the IP header that of this source
}

// newFlow makes a flow of a template whose shapes have a source.
func newFlow(f Flow, shaped uint32) flow {
	source := f.Source.As4()
	word := binary.LittleEndian.Uint32(source[:])
	return flow{source: word, idOffset: f.IDOffset, sum: uint64(word) + uint64(^shaped)}
}

// cookie is the cookie of a flow's probe to a target.
func (f flow) cookie(a Authenticator, target uint32) uint32 {
	return OffsetCookie(a.cookie(f.source, target), f.idOffset)
}

// OffsetCookie is a cookie whose identifier has moved by an offset.
func OffsetCookie(cookie uint32, offset uint16) uint32 {
	return cookie&0xffff0000 | uint32(uint16(cookie)+offset)
}

func (c TemplateConfig) validateFlows() error {
	if len(c.Flows) > MaxFlows {
		return fmt.Errorf("probe: %d flows: at most %d", len(c.Flows), MaxFlows)
	}
	seen := map[Flow]bool{}
	for _, f := range c.Flows {
		if !f.Source.Is4() || seen[f] {
			return fmt.Errorf("probe: flow from %v with the identifier offset %d: must come from an IPv4 address, each flow once", f.Source, f.IDOffset)
		}
		seen[f] = true
	}
	if len(c.Flows) > 0 && c.Flows[0] != (Flow{Source: c.Source}) {
		return fmt.Errorf("probe: the first flow comes from %v with the identifier offset %d: must be that of the source %v, without offset",
			c.Flows[0].Source, c.Flows[0].IDOffset, c.Source)
	}
	return nil
}
