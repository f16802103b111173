// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"net/netip"
	"slices"

	"xsweep/sweep/target"
)

// count fills in what the ways come to over the set.
func (b *balance) count() {
	b.by = [onLink + 1]uint64{}
	b.gateways, b.encap = nil, false
	b.sampleHop = none
	used := make([]bool, len(b.snap.hops))
	var behind []int32 // hops whose gateways are in use
	var sampled how
	b.ways.each(b.req.Set, func(r target.Range, v int32) {
		w := unpack(v)
		if w.reason != Send {
			return
		}
		b.by[w.how] += r.Len()
		if !used[w.hop] && (w.how == viaGateway || w.how == unrouted) {
			used[w.hop] = true
			behind = append(behind, w.hop)
		}
		if b.sampleHop == none || sampled == onLink && w.how != onLink {
			b.sample, b.sampleHop, sampled = r.First, w.hop, w.how
		}
	})
	for _, i := range behind {
		h := b.snap.hops[i]
		b.encap = b.encap || h.encap
		if h.gateway.IsValid() && !slices.Contains(b.gateways, h.gateway) {
			b.gateways = append(b.gateways, h.gateway)
		}
	}
}

// method decides which transmitter can serve the sweep, and skips what it
// cannot.
func (b *balance) method(p *Plan) error {
	if b.link.Type != Ethernet {
		p.Method = Raw
		if p.Why = b.link.Name + " has no link layer"; b.link.Type == Loopback {
			p.Why = b.link.Name + " is the loopback interface"
		}
		return nil
	}
	b.adoptGateways()
	behind := b.by[viaGateway] + b.by[unrouted]
	if b.by[onLink] > 0 && b.req.Packet {
		return fmt.Errorf("the %s transmitter cannot resolve neighbours, and there are %d of them on %s (the first is %v): use raw, or sweep on-link addresses in a run of their own",
			b.req.transmitter(), b.by[onLink], b.link.Name, b.firstOnLink())
	}
	// A next hop given by the user, or a gateway that the kernel would not take,
	// is out of reach for raw, and neighbours are for packet.
	onlyPacket := b.by[unrouted] > 0 || behind > 0 && b.req.GatewayMAC != nil
	if onlyPacket && b.req.Raw {
		return fmt.Errorf("the kernel has no route through %s to %d of the addresses, which raw needs: add a route or use the packet transmitter",
			b.link.Name, b.by[unrouted])
	}
	switch {
	case b.by[onLink] > 0 && onlyPacket:
		if err := b.skipOnLink(p, 0, "the others go to a next hop that the kernel has no route for"); err != nil {
			return err
		}
	case b.by[onLink] > MaxOnLink && behind == 0:
		return fmt.Errorf("%d addresses are on-link on %s: on-link sweeps over %d addresses need neighbour resolution of xsweep's own, which is not there yet: sweep parts of at most %d addresses",
			b.by[onLink], b.link.Name, MaxOnLink, MaxOnLink)
	case b.by[onLink] > MaxOnLink:
		if err := b.skipOnLink(p, MaxOnLink, fmt.Sprintf("the kernel's neighbour table bears %d a sweep", MaxOnLink)); err != nil {
			return err
		}
	}
	b.count()

	p.OnLink = b.by[onLink]
	if len(b.gateways) == 1 {
		p.Gateway = b.gateways[0]
	}
	switch {
	case p.OnLink > 0:
		p.Method, p.Why = Raw, fmt.Sprintf("the kernel has to resolve %s", onLinkAddresses(p.OnLink))
		if b.req.GatewayMAC != nil {
			p.Notes = append(p.Notes, "--gateway-mac has no effect: every address is on-link")
		}
	case b.encap:
		p.Method, p.Why = Raw, "a route wraps its packets, which only the kernel can do"
	case len(b.gateways) > 1 && b.req.GatewayMAC == nil:
		p.Method, p.Why = Raw, fmt.Sprintf("%d gateways are in use, and the kernel chooses between them", len(b.gateways))
	case b.req.Raw:
		p.Method, p.Why = Raw, "it was asked for"
	case b.req.GatewayMAC != nil:
		p.Method, p.Why = Packet, fmt.Sprintf("everything goes to the given next hop %v", b.req.GatewayMAC)
	case p.Gateway.IsValid():
		p.Method, p.Why = Packet, fmt.Sprintf("everything goes to the gateway %v", p.Gateway)
	}
	if b.req.Packet && p.Method == Raw {
		return fmt.Errorf("the %s transmitter cannot serve this sweep, since %s: use raw, or give --gateway-mac", b.req.transmitter(), p.Why)
	}
	if p.Method == Raw && b.req.GatewayMAC != nil && p.OnLink == 0 {
		return fmt.Errorf("--gateway-mac cannot be used, since %s", p.Why)
	}
	return nil
}

func onLinkAddresses(n uint64) string {
	if n == 1 {
		return "1 on-link address"
	}
	return fmt.Sprintf("%d on-link addresses", n)
}

// adoptGateways lets probes to the gateways in use go where everything goes:
// they are neighbours, but their link-layer address is known. A gateway alone is
// treated the same way.
func (b *balance) adoptGateways() {
	adopted := b.gateways
	if len(adopted) == 0 && b.by[onLink] == 1 && b.by[viaGateway]+b.by[unrouted] == 0 {
		if a := b.firstOnLink().Netip(); slices.Contains(b.snap.gateways(b.link.Index), a) {
			adopted = []netip.Addr{a}
		}
	}
	var points []valued
	for _, g := range adopted {
		a, ok := target.AddrFrom(g)
		if !ok || !b.req.Set.Contains(a) {
			continue
		}
		if w := unpack(b.ways.at(a)); w.reason != Send || w.how != onLink {
			continue
		}
		i := slices.IndexFunc(b.snap.hops, func(h hop) bool {
			return h.kind == hopUnicast && h.link == b.link.Index && h.gateway == g
		})
		points = append(points, valued{target.Range{First: a, Last: a}, way{how: viaGateway, hop: int32(i)}.pack()})
	}
	if points != nil {
		b.ways = newPartition(sorted(points)).over(b.ways)
		b.count()
	}
}

// firstOnLink returns the lowest on-link address of the set. There is one.
func (b *balance) firstOnLink() target.Addr {
	var first target.Addr
	found := false
	b.ways.each(b.req.Set, func(r target.Range, v int32) {
		if w := unpack(v); !found && w.reason == Send && w.how == onLink {
			first, found = r.First, true
		}
	})
	return first
}

// skipOnLink skips on-link addresses except those that were named singly, of
// which there may be at most limit.
func (b *balance) skipOnLink(p *Plan, limit int, why string) error {
	var kept []valued
	for _, a := range b.named {
		if v := b.ways.at(a); unpack(v).reason == Send && unpack(v).how == onLink {
			kept = append(kept, valued{target.Range{First: a, Last: a}, v})
		}
	}
	if len(kept) > limit {
		return fmt.Errorf("target %v: it is on-link on %s and cannot be resolved as a neighbour in this sweep, since %s: sweep on-link addresses in runs of their own, at most %d each",
			kept[limit].First, b.link.Name, why, MaxOnLink)
	}
	before := b.by[onLink]
	b.ways = newPartition(kept).over(b.ways.mapped(func(v int32) int32 {
		if w := unpack(v); w.reason == Send && w.how == onLink {
			return way{reason: OnLink}.pack()
		}
		return v
	}))
	p.Notes = append(p.Notes, fmt.Sprintf("%s on %s skipped, since %s: sweep them in runs of at most %d",
		onLinkAddresses(before-uint64(len(kept))), b.link.Name, why, MaxOnLink))
	return nil
}
