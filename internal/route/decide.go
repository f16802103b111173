// SPDX-License-Identifier: Apache-2.0

package route

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"xsweep/sweep/target"
)

// decision is a plan without what only the kernel can tell: the source address
// and the next hop.
type decision struct {
	plan *Plan
	// sample is a sweepable address, one behind the gateway if there is any, and
	// hop is its route.
	sample target.Addr
	hop    hop
}

// decide makes a plan from what the kernel said. It has no side effects.
func decide(s *snapshot, req Request) (*decision, error) {
	named := singles(req.Targets, req.Set)
	everywhere := s.all()
	link, err := s.choose(everywhere, req, named)
	if err != nil {
		return nil, err
	}
	c := classifier{snap: s, link: link, fallback: none}
	base := everywhere
	if s.forced != 0 {
		base = s.through(link.Index)
		s.hops = slices.Clone(s.hops)
		c.fallback = s.addFallback(link, req)
	}
	b := &balance{req: req, snap: s, link: link, named: named, ways: c.ways(base, everywhere, named)}
	if err := b.checkNamed(base, everywhere); err != nil {
		return nil, err
	}
	plan := &Plan{}
	if link != nil {
		plan.Interface = *link
		b.count()
		if err := b.method(plan); err != nil {
			return nil, err
		}
	}
	if s.policy {
		plan.Notes = append(plan.Notes, "policy rules other than the standard three are not followed: the main table decides (see ip rule)")
	}
	plan.Skips = newSkips(b.ways.mapped(func(v int32) int32 { return int32(unpack(v).reason) }), req.Set)
	plan.Sweepable = plan.Skips.Count(Send)
	plan.Many = b.many(everywhere)
	if plan.Sweepable == 0 {
		return nil, fmt.Errorf("nothing to sweep: all %d addresses are skipped (%s)%s",
			req.Set.Len(), plan.Skips.summary(), s.hint(&plan.Skips))
	}
	return &decision{plan, b.sample, s.hops[b.sampleHop]}, nil
}

// choose returns the interface to use, or nil if none leads anywhere.
func (s *snapshot) choose(everywhere partition, req Request, named []target.Addr) (*Link, error) {
	link := s.link(s.forced)
	if link == nil && s.allLocal(everywhere, req.Set) {
		i := slices.IndexFunc(s.links, func(l Link) bool { return l.Type == Loopback })
		if i < 0 {
			return nil, errors.New("no loopback interface here to reach own addresses with")
		}
		link = &s.links[i]
	}
	if link == nil {
		link = s.link(s.busiest(everywhere, req.Set, named))
	}
	if link == nil {
		return nil, nil
	}
	switch {
	case !link.Up:
		return nil, fmt.Errorf("interface %s is down: ip link set %s up", link.Name, link.Name)
	case !link.Carrier:
		return nil, fmt.Errorf("interface %s has no carrier: check the cable, or the other end of the link", link.Name)
	case link.Type == UnknownLink:
		return nil, fmt.Errorf("interface %s: link layer %q is not supported: use an Ethernet or IP interface", link.Name, link.kind)
	case link.Type == Ethernet && len(link.MAC) != macLen:
		return nil, fmt.Errorf("interface %s has no Ethernet address: set one with ip link", link.Name)
	case link.Type != Ethernet && req.GatewayMAC != nil:
		return nil, fmt.Errorf("interface %s has no next hops (%v): drop --gateway-mac", link.Name, link.Type)
	case link.Type != Ethernet && req.Packet:
		return nil, fmt.Errorf("interface %s (%v) cannot be served by the %s transmitter: use raw", link.Name, link.Type, req.transmitter())
	}
	return link, nil
}

// allLocal reports whether this machine itself has every address of set.
func (s *snapshot) allLocal(everywhere partition, set target.Set) bool {
	local := newPartition([]valued{{loopbackRange, 1}}).over(everywhere.mapped(func(h int32) int32 {
		if h != none && s.hops[h].kind == hopLocal {
			return 1
		}
		return 0
	}))
	all := true
	local.each(set, func(_ target.Range, v int32) { all = all && v == 1 })
	return all
}

// busiest returns the index of the interface that leads to most addresses of
// set, the lowest of several, or 0. Broadcast routes count only if nothing else
// does, and only for addresses that were named.
func (s *snapshot) busiest(everywhere partition, set target.Set, named []target.Addr) int {
	counts := make(map[int]uint64)
	everywhere.each(set, func(r target.Range, h int32) {
		if h != none && s.hops[h].kind == hopUnicast {
			counts[s.hops[h].link] += r.Len()
		}
	})
	if len(counts) == 0 {
		for _, a := range named {
			if h := everywhere.at(a); h != none && s.hops[h].kind == hopBroadcast {
				counts[s.hops[h].link]++
			}
		}
	}
	best := 0
	for link, n := range counts {
		if best == 0 || n > counts[best] || n == counts[best] && link < best {
			best = link
		}
	}
	return best
}

// addFallback adds the hop for addresses that the forced interface has no route
// for, and returns it, or none. With several gateways there is no saying which
// of them is meant, unless the user gave the next hop.
func (s *snapshot) addFallback(link *Link, req Request) int32 {
	if link.Type != Ethernet {
		return none
	}
	h := hop{kind: hopUnicast, link: link.Index}
	gateways := s.gateways(link.Index)
	if len(gateways) == 1 {
		h.gateway = gateways[0]
	} else if req.GatewayMAC == nil {
		return none
	}
	s.hops = append(s.hops, h)
	return int32(len(s.hops) - 1)
}

// balance weighs the ways of a set against what the transmitters can do.
type balance struct {
	req   Request
	snap  *snapshot
	link  *Link
	named []target.Addr
	ways  partition

	// What count finds.
	by        [onLink + 1]uint64 // sweepable addresses
	gateways  []netip.Addr       // in use
	encap     bool               // some route wraps packets
	sample    target.Addr
	sampleHop int32
}

// many counts the sweepable addresses that stand for many hosts. A broadcast
// address is swept only if it was named.
func (b *balance) many(everywhere partition) (n uint64) {
	edges := b.snap.edges()
	for _, a := range b.named {
		h := everywhere.at(a)
		broadcast := Reason(max(edges.at(a), 0)) == Broadcast || h != none && b.snap.hops[h].kind == hopBroadcast
		if broadcast && unpack(b.ways.at(a)).reason == Send {
			n++
		}
	}
	b.ways.each(b.req.Set.Intersect(target.NewSet(multicast)), func(r target.Range, v int32) {
		if unpack(v).reason == Send {
			n += r.Len()
		}
	})
	return n
}

// checkNamed returns an error if an address that was named singly is skipped.
func (b *balance) checkNamed(base, everywhere partition) error {
	failed := 0
	var first target.Target
	for _, t := range b.req.Targets {
		if a := t.Range.First; t.Single() && unpack(b.ways.at(a)).reason != Send && b.req.Set.Contains(a) {
			if failed == 0 {
				first = t
			}
			failed++
		}
	}
	if failed == 0 {
		return nil
	}
	a := first.Range.First
	var why string
	switch reason := unpack(b.ways.at(a)).reason; reason {
	case Own:
		why = "it is an address of this machine"
		if n := b.snap.owner(a); n != 0 {
			why += " (" + b.snap.linkName(n) + ")"
		}
		why += ": sweep own addresses in a run of their own"
	case OtherInterface:
		why = "it is behind another interface"
		if h := everywhere.at(a); h != none {
			why = fmt.Sprintf("it is behind %s", b.snap.linkName(b.snap.hops[h].link))
		}
		why += fmt.Sprintf(", and this sweep uses %s: sweep it in a run of its own", b.link.Name)
	default:
		why = "there is no route to it"
		if h := base.at(a); h != none && b.snap.hops[h].kind == hopUnreachable {
			why = "its route says unreachable, prohibited or blackhole: see ip route"
		} else {
			why += b.snap.routeHint()
		}
	}
	if failed > 1 {
		why += fmt.Sprintf(" (of the targets named singly, %d cannot be reached)", failed)
	}
	return fmt.Errorf("%s: %s", describe(first), why)
}

// describe names a target in an error.
func describe(t target.Target) string {
	d := "target " + t.Range.First.String()
	if t.Text != "" && t.Text != t.Range.First.String() {
		d += " (" + t.Text + ")"
	}
	if t.Where != "" {
		d = t.Where + ": " + d
	}
	return d
}

// hint says what helps against skips that leave nothing.
func (s *snapshot) hint(skips *Skips) string {
	switch {
	case skips.Count(Unroutable) > 0:
		return s.routeHint()
	case skips.Count(OtherInterface) > 0 && s.forced != 0:
		return ": use another --interface, or give --gateway-mac"
	}
	return ""
}

// routeHint says what helps against missing routes.
func (s *snapshot) routeHint() string {
	for _, l := range s.links {
		if !l.Up && l.Type != Loopback {
			return fmt.Sprintf(": add a route (interface %s is down), or give --interface and --gateway-mac", l.Name)
		}
	}
	return ": add a route, or give --interface and --gateway-mac"
}
