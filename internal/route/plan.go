// SPDX-License-Identifier: Apache-2.0

package route

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"xsweep/sweep/target"
)

// MaxOnLink is the number of on-link addresses that one sweep may probe by
// [Raw]. The kernel resolves each of them, and its neighbour table is small (by
// default 1024 entries at most) and shared by the whole machine.
const MaxOnLink = 512

// DefaultResolveTimeout is how long the gateway's link-layer address is waited
// for unless the request says otherwise.
const DefaultResolveTimeout = 3 * time.Second

// Request says what is to be reached, and what the user has already decided.
type Request struct {
	// Targets is what the user named. An address named singly must be
	// reachable, and is meant even if it is a network or broadcast address.
	Targets []target.Target
	// Set is what is to be swept. It must not be empty.
	Set target.Set
	// Interface is the name of the interface to use; empty: choose one.
	Interface string
	// Source is the IPv4 source address of the probes; zero: the kernel's choice
	// for the interface.
	Source netip.Addr
	// MoreSources are other addresses that probes come from, if Source is set.
	MoreSources []netip.Addr
	// GatewayMAC is the link-layer address to send to, in place of the gateway's
	// own: 6 bytes, unicast; nil: ask the neighbour table and the gateway.
	GatewayMAC net.HardwareAddr
	// ResolveTimeout bounds the wait for the gateway's link-layer address; zero:
	// DefaultResolveTimeout.
	ResolveTimeout time.Duration
	// Raw and Packet say that the user insists on that method. At most one.
	Raw    bool
	Packet bool
	// Transmitter is what the user calls it, for errors; empty: packet.
	Transmitter string
}

// sources are the addresses that the user has chosen.
func (r *Request) sources() []netip.Addr {
	if !r.Source.IsValid() {
		return nil
	}
	return append([]netip.Addr{r.Source}, r.MoreSources...)
}

// transmitter is what errors call the one that writes Ethernet frames.
func (r *Request) transmitter() string { return cmp.Or(r.Transmitter, "packet") }

func (r *Request) validate() error {
	if r.Set.Empty() {
		return errors.New("no addresses to find a route for")
	}
	if r.Raw && r.Packet {
		return errors.New("raw and packet transmitter asked for at once: choose one")
	}
	if r.ResolveTimeout < 0 {
		return fmt.Errorf("resolve timeout %v is negative", r.ResolveTimeout)
	}
	for _, a := range r.sources() {
		if !a.Is4() || a.IsUnspecified() || a.IsMulticast() || a == limitedBroadcast.Netip() {
			return fmt.Errorf("source %v is not an IPv4 unicast address", a)
		}
	}
	if m := r.GatewayMAC; m != nil {
		if len(m) != macLen {
			return fmt.Errorf("gateway MAC %v has %d bytes, not %d", m, len(m), macLen)
		}
		if m[0]&1 != 0 || isZero(m) { // IEEE Std 802-2014, clause 8.2: the I/G bit
			return fmt.Errorf("gateway MAC %v is not a unicast address", m)
		}
		if r.Raw {
			return errors.New("the raw transmitter leaves the next hop to the kernel: drop --gateway-mac or use the packet transmitter")
		}
	}
	return nil
}

// macLen is the length of an Ethernet address in bytes.
const macLen = 6

func isZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

// Method is the kind of transmitter that can serve a plan.
type Method uint8

const (
	// Packet sends whole Ethernet frames, all to Plan.NextHop.
	Packet Method = iota + 1
	// Raw sends IP packets and leaves the next hop to the kernel. The socket must
	// be bound to Plan.Interface (SO_BINDTODEVICE), for which the plan was made,
	// unless that is the loopback interface: own addresses belong to others, and
	// the kernel would not find them through it.
	Raw
)

// String returns the transmitter's name on the command line.
func (m Method) String() string {
	switch m {
	case Packet:
		return "packet"
	case Raw:
		return "raw"
	}
	return fmt.Sprintf("method %d", uint8(m))
}

// LinkType is what stands before the IP header on an interface.
type LinkType uint8

const (
	// UnknownLink is a link layer that xsweep does not speak.
	UnknownLink LinkType = iota
	// Ethernet has an Ethernet header and neighbours.
	Ethernet
	// Loopback has an Ethernet header, but delivers to this machine.
	Loopback
	// BareIP has no link layer: tunnels, PPP and the like.
	BareIP
)

// LinkTypeOf classifies a link layer by the netlink library's name for its
// ARPHRD number (linux/if_arp.h).
func LinkTypeOf(encapsulation string) LinkType {
	switch encapsulation {
	case "ether":
		return Ethernet
	case "loopback":
		return Loopback
	case "none", "ppp", "ipip", "gre", "sit", "slip", "cslip", "rawhdlc", "unknown519": // 519: ARPHRD_RAWIP
		return BareIP
	}
	return UnknownLink
}

// String returns the link type in words.
func (t LinkType) String() string {
	switch t {
	case Ethernet:
		return "Ethernet"
	case Loopback:
		return "loopback"
	case BareIP:
		return "bare IP"
	}
	return "unknown link type"
}

// Link is a network interface as it was when the plan was made.
type Link struct {
	Index int
	Name  string
	MTU   int              // in bytes, without the link-layer header
	MAC   net.HardwareAddr // nil without link layer
	Type  LinkType
	// Up says that the interface is switched on, Carrier that it can pass packets
	// as well (RFC 2863: operational status up, or unknown to the driver).
	Up, Carrier bool

	kind string // the kernel's name of the link layer
}

// Plan is the way of all probes of a sweep.
type Plan struct {
	// Interface is where probes leave and replies arrive.
	Interface Link
	// Source is the address that probes are sent from.
	Source netip.Addr
	// Gateway is the one gateway in use, if there is exactly one. It stays zero if
	// NextHop was given and no route names a gateway. It can be an IPv6 address
	// (RFC 8950).
	Gateway netip.Addr
	// NextHop is where every frame goes. It is set if and only if Method is Packet.
	NextHop net.HardwareAddr
	// Method says which kind of transmitter can serve the plan, Why says what
	// decided it, in words for the user.
	Method Method
	Why    string
	// Skips classifies every address of the set.
	Skips Skips
	// Sweepable is the number of addresses of the set that are not skipped, at
	// least one.
	Sweepable uint64
	// OnLink is the number of sweepable addresses that the kernel has to resolve
	// as neighbours, at most MaxOnLink; zero with Packet and without link layer.
	OnLink uint64
	// Many is the number of sweepable addresses that stand for many hosts:
	// broadcast and multicast addresses.
	Many uint64
	// Notes are sentences that the user should see, each without a full stop.
	Notes []string
}
