// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"xsweep/sweep/target"
)

// routed makes a router of each hop. Links between routers have no prefix of
// their own, so that no target is a network or broadcast address of the lab's
// inside: a router's only address stands at its end towards the sender, and
// its neighbours are routes to single addresses.
func (l *Lab) routed() error {
	gateway := l.hops[0].toSender
	// So that a gateway of lab0 is always the same.
	gateway.mac = ResponderMAC
	if err := gateway.rtnl.LinkSetHardwareAddr(gateway.link(), gateway.mac); err != nil {
		return fmt.Errorf("give %s the address %s: %w", gateway.device, gateway.mac, err)
	}
	if err := l.raise(true); err != nil {
		return err
	}
	if err := l.sender.assign(SenderAddr, LinkBits); err != nil {
		return err
	}
	if err := gateway.assign(GatewayAddr, LinkBits); err != nil {
		return err
	}
	if err := l.sender.knows(GatewayAddr, gateway.mac); err != nil {
		return err
	}
	if err := l.sender.routeAll(GatewayAddr); err != nil {
		return err
	}
	for k, p := range l.pairs {
		if err := p.routeBack(k + 1); err != nil {
			return err
		}
	}
	for k, h := range l.hops {
		if err := h.toSender.unlimitICMP(); err != nil {
			return err
		}
		if err := l.pairs[k+1].routeOn(k+2, k+1 == len(l.hops)); err != nil {
			return err
		}
	}
	return nil
}

// routeBack makes the far end of a pair number k in the row, and lets it reach
// the sender through the near end. The route's source is that of the errors.
func (p pair) routeBack(k int) error {
	own := routerAddr + target.Addr(k)
	if err := p.far.assign(own, 32); err != nil {
		return err
	}
	if err := p.far.knows(SenderAddr, p.near.mac); err != nil {
		return err
	}
	return p.far.route(&netlink.Route{
		LinkIndex: p.far.ifindex, Dst: ipNet(SenderAddr, 32), Src: ip(own), Scope: netlink.SCOPE_LINK,
	})
}

// routeOn sends what passes the near end's namespace on to the far end, which
// has number k in the row. The last router knows more of the targets.
func (p pair) routeOn(k int, last bool) error {
	next := routerAddr + target.Addr(k)
	if err := p.near.knows(next, p.far.mac); err != nil {
		return err
	}
	on := netlink.Route{LinkIndex: p.near.ifindex, Gw: ip(next), Flags: unix.RTNH_F_ONLINK}
	if !last {
		return p.near.route(&on)
	}
	on.Dst = ipNet(kernelRange.First, 15)
	if err := p.near.route(&on); err != nil {
		return err
	}
	narrow := on
	narrow.Dst = prefixNet(NarrowPrefix)
	narrow.MTU, narrow.MTULock = NarrowMTU, true
	if err := p.near.route(&narrow); err != nil {
		return err
	}
	for _, r := range refusals {
		if err := p.near.route(&netlink.Route{Dst: prefixNet(r.prefix), Type: r.kind}); err != nil {
			return err
		}
	}
	return nil
}

func (e *end) route(r *netlink.Route) error {
	if err := e.rtnl.RouteAdd(r); err != nil {
		return fmt.Errorf("add the route %s: %w", r, err)
	}
	return nil
}

func prefixNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}
