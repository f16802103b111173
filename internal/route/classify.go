// SPDX-License-Identifier: Apache-2.0

package route

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"xsweep/sweep/target"
)

// way is how an address would be reached from the chosen interface, or, with a
// reason other than Send, why not. It is packed into the value of a partition.
type way struct {
	reason Reason
	how    how
	hop    int32
}

type how uint8

const (
	direct     how = iota // the kernel delivers it, without a neighbour
	viaGateway            // through the gateway of the hop
	unrouted              // the same, though the kernel has no such route
	onLink                // it is a neighbour
)

func (w way) pack() int32 {
	if w.reason != Send {
		return int32(w.reason)
	}
	return w.hop<<8 | int32(w.how)<<4
}

func unpack(v int32) way {
	return way{reason: Reason(v & 0xf), how: how(v >> 4 & 0xf), hop: v >> 8}
}

func isLoopback(a target.Addr) bool { return loopbackRange.Contains(a) }

// Addresses whose handling no route decides (RFC 1122, section 3.2.1.3).
var (
	thisHost      = target.Range{First: 0, Last: 0}
	loopbackRange = target.Range{First: 127 << 24, Last: 127<<24 | 0xffffff}
	multicast     = target.Range{First: 0xe0000000, Last: 0xefffffff}
)

// tables returns which hop each address takes, by the hops that keep accepts.
func (s *snapshot) tables(keep func(hop) bool) partition {
	table := func(number uint8) partition {
		var entries []entry
		for _, e := range s.entries {
			if e.table == number && keep(s.hops[e.hop]) {
				entries = append(entries, e)
			}
		}
		return flatten(entries).mapped(func(v int32) int32 {
			if v != none && s.hops[v].kind == hopThrow {
				return none
			}
			return v
		})
	}
	return table(unix.RT_TABLE_LOCAL).over(table(unix.RT_TABLE_MAIN)).over(table(unix.RT_TABLE_DEFAULT))
}

// all returns which hop each address takes.
func (s *snapshot) all() partition { return s.tables(func(hop) bool { return true }) }

// through returns which hop each address takes if only link may be used: where
// link has no route the value is none, and routes that refuse stay in force.
func (s *snapshot) through(link int) partition {
	return s.tables(func(h hop) bool { return h.kind != hopUnicast || h.link == link })
}

// edges returns the network and broadcast addresses of attached subnets that are
// not own addresses, with their reasons, and 255.255.255.255.
func (s *snapshot) edges() partition {
	found := map[target.Addr]Reason{limitedBroadcast: Broadcast}
	own := make(map[target.Addr]bool, len(s.subnets))
	for _, n := range s.subnets {
		own[n.addr] = true
	}
	for _, n := range s.subnets {
		// All of 127.0.0.0/8 is this machine's own; it has no network address.
		if l := s.link(n.link); n.prefix.Bits() > 30 || l != nil && l.Type == Loopback {
			continue
		}
		r, _ := target.RangeFromPrefix(n.prefix)
		if !own[r.Last] {
			found[r.Last] = Broadcast
		}
		if _, broadcast := found[r.First]; !broadcast && !own[r.First] {
			found[r.First] = Network
		}
	}
	var points []valued
	for a, r := range found {
		points = append(points, valued{target.Range{First: a, Last: a}, int32(r)})
	}
	return newPartition(sorted(points))
}

func sorted(v []valued) []valued {
	slices.SortFunc(v, func(a, b valued) int {
		if a.First < b.First {
			return -1
		}
		return 1
	})
	return v
}

// singles returns the addresses of set that targets name singly, ascending.
func singles(targets []target.Target, set target.Set) []target.Addr {
	var s []target.Addr
	for _, t := range targets {
		if t.Single() && set.Contains(t.Range.First) {
			s = append(s, t.Range.First)
		}
	}
	slices.Sort(s)
	return slices.Compact(s)
}

// classifier turns hops into ways for one chosen interface.
type classifier struct {
	snap *snapshot
	link *Link // nil: no interface leads anywhere
	// fallback is the hop for addresses that link has no route for, or none.
	fallback int32
}

// way returns how an address with hop h is reached; everywhere is the hop it has
// when every interface counts. named says that the address was named singly.
func (c classifier) way(h, everywhere int32, named bool) way {
	if h == none {
		if c.fallback != none {
			return way{how: unrouted, hop: c.fallback}
		}
		if everywhere != none && c.snap.hops[everywhere].kind == hopUnicast {
			return way{reason: OtherInterface}
		}
		return way{reason: Unroutable}
	}
	hop := c.snap.hops[h]
	onThis := c.link != nil && hop.link == c.link.Index
	switch hop.kind {
	case hopLocal:
		if c.link != nil && c.link.Type == Loopback {
			return way{how: direct, hop: h}
		}
		return way{reason: Own}
	case hopUnreachable:
		return way{reason: Unroutable}
	case hopBroadcast:
		if !named {
			return way{reason: Broadcast}
		}
	}
	switch {
	case !onThis:
		return way{reason: OtherInterface}
	case c.link.Type != Ethernet:
		return way{how: direct, hop: h}
	case hop.gateway.IsValid():
		return way{how: viaGateway, hop: h}
	default:
		return way{how: onLink, hop: h}
	}
}

// ways classifies the whole address space. base is the hops that count,
// everywhere those of all interfaces, and named the addresses named singly.
func (c classifier) ways(base, everywhere partition, named []target.Addr) partition {
	p := combine(base, everywhere, func(h, e int32) int32 { return c.way(h, e, false).pack() })

	// Neither loopback addresses nor "this host" may appear outside, whatever the
	// routes say; multicast goes to groups on the link, not to the gateway.
	loopback := c.link != nil && c.link.Type == Loopback
	own := way{reason: Own}.pack()
	fixed := []valued{{thisHost, own}}
	if !loopback {
		fixed = append(fixed, valued{loopbackRange, own})
	}
	p = newPartition(fixed).over(p)
	if c.link != nil && c.link.Type == Ethernet {
		group := newPartition([]valued{{multicast, 0}})
		p = combine(group, p, func(in, v int32) int32 {
			if w := unpack(v); in != none && w.reason == Send {
				return way{how: onLink, hop: w.hop}.pack()
			}
			return v
		})
	}

	edges := c.snap.edges()
	if loopback {
		edges = newPartition(nil)
	}
	var meant []valued
	for _, a := range named {
		r := Reason(max(edges.at(a), 0))
		if r == Send {
			r = unpack(p.at(a)).reason
		}
		if r != Network && r != Broadcast {
			continue
		}
		w := c.way(base.at(a), everywhere.at(a), true)
		if a == limitedBroadcast && w.reason == Send && w.how != direct {
			w.how = onLink // RFC 919, section 7: never forwarded
		}
		meant = append(meant, valued{target.Range{First: a, Last: a}, w.pack()})
	}
	return newPartition(meant).over(edges.over(p))
}

// gateways returns the distinct gateways of the routes through link.
func (s *snapshot) gateways(link int) []netip.Addr {
	var g []netip.Addr
	for _, h := range s.hops {
		if h.kind == hopUnicast && h.link == link && h.gateway.IsValid() && !slices.Contains(g, h.gateway) {
			g = append(g, h.gateway)
		}
	}
	return g
}
