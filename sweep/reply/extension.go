// SPDX-License-Identifier: Apache-2.0

package reply

import "net/netip"

// Extensions are the objects that a router attached to an error message
// (RFC 4884), as far as they are known here.
type Extensions struct {
	// MPLS is the label stack with which the probe arrived (RFC 4950), top first.
	MPLS []Label
	// Interfaces are what the router tells of its own (RFC 5837), in its order.
	Interfaces []Interface
}

// Label is one entry of an MPLS label stack (RFC 4950, section 4; RFC 3032).
type Label struct {
	Label  uint32 // 20 bits
	Class  uint8  // traffic class (RFC 5462), 3 bits
	Bottom bool   // of the stack
	TTL    uint8
}

// Role is what an interface did with the probe (RFC 5837, section 4.1).
type Role uint8

// The roles, as on the wire.
const (
	Incoming    Role = iota // the IP interface on which the probe arrived
	SubIncoming             // the part of it, such as a member of a bundle
	Outgoing                // by which it would have left
	NextHop                 // to which it would have gone
)

// Interface is what a router tells of one of its interfaces (RFC 5837). Zero
// fields were not told.
type Interface struct {
	Role  Role
	Index uint32     // ifIndex (RFC 2863)
	Addr  netip.Addr // IPv4 or IPv6
	Name  string     // as it was sent, at most 63 bytes
	MTU   uint32
}
