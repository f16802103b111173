// SPDX-License-Identifier: Apache-2.0

package route

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"

	"xsweep/sweep/target"
)

// Resolve finds the way to the addresses of req.Set. It waits only for the
// gateway's link-layer address, at most req.ResolveTimeout, and needs
// CAP_NET_ADMIN only if that address is not known yet.
//
// Its errors are one line and say what would help: an invalid request, an
// interface that is missing, down, without carrier or without address, a single
// target that cannot be reached, too many on-link addresses, a set of which
// nothing remains, a gateway that does not answer.
func Resolve(ctx context.Context, req Request) (*Plan, error) {
	if err := req.validate(); err != nil {
		return nil, err
	}
	if req.ResolveTimeout == 0 {
		req.ResolveTimeout = DefaultResolveTimeout
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	snap, err := takeSnapshot(req.Interface)
	if err != nil {
		return nil, err
	}
	d, err := decide(snap, req)
	if err != nil {
		return nil, err
	}
	p := d.plan
	if p.Source, err = source(snap, d, req); err != nil {
		return nil, err
	}
	if p.Method != Packet {
		return p, nil
	}
	if p.NextHop = req.GatewayMAC; p.NextHop == nil {
		if p.NextHop, err = resolveNeighbour(ctx, &p.Interface, p.Gateway, req.ResolveTimeout); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// source returns the address to send from, and adds to the plan's notes.
func source(s *snapshot, d *decision, req Request) (netip.Addr, error) {
	link := &d.plan.Interface
	loopback := link.Type == Loopback
	if sources := req.sources(); sources != nil {
		var foreign []netip.Addr
		for _, source := range sources {
			a, _ := target.AddrFrom(source)
			switch {
			case isLoopback(a) && !loopback:
				return netip.Addr{}, fmt.Errorf("source %v cannot be used on %s: loopback addresses never leave the machine", a, link.Name)
			case !isLoopback(a) && s.owner(a) == 0:
				foreign = append(foreign, source)
			}
		}
		switch len(foreign) {
		case 0:
		case 1:
			d.plan.Notes = append(d.plan.Notes, fmt.Sprintf("source %v is not an address of this machine: replies arrive only if the network leads them to %s", foreign[0], link.Name))
		default:
			d.plan.Notes = append(d.plan.Notes, fmt.Sprintf("%d sources, %v among them, are not addresses of this machine: replies arrive only if the network leads them to %s",
				len(foreign), foreign[0], link.Name))
		}
		return req.Source, nil
	}
	if loopback {
		if isLoopback(d.sample) {
			return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
		}
		return d.sample.Netip(), nil
	}

	var options netlink.RouteGetOptions
	if s.forced != 0 {
		options.OifIndex = link.Index
	}
	// An error only means that the kernel has no opinion.
	if routes, err := netlink.RouteGetWithOptions(d.sample.Netip().AsSlice(), &options); err == nil && len(routes) > 0 {
		r := routes[0]
		if r.LinkIndex != link.Index {
			d.plan.Notes = append(d.plan.Notes, fmt.Sprintf("the kernel itself would send to %v through %s, the sweep goes through %s (policy rules or several next hops: see ip route get)",
				d.sample, s.linkName(r.LinkIndex), link.Name))
		} else if a, ok := netip.AddrFromSlice(r.Src); ok {
			// On an interface without address the kernel borrows one from anywhere;
			// that is right only where the route says so.
			if own, _ := target.AddrFrom(a); s.owner(own) == link.Index || a.Unmap() == d.hop.source {
				return a.Unmap(), nil
			}
		}
	}
	if d.hop.source.IsValid() {
		return d.hop.source, nil
	}
	var first netip.Addr
	for _, n := range s.subnets {
		if n.link != link.Index {
			continue
		}
		if n.prefix.Contains(d.plan.Gateway) {
			return n.addr.Netip(), nil
		}
		if !first.IsValid() {
			first = n.addr.Netip()
		}
	}
	if !first.IsValid() {
		return netip.Addr{}, fmt.Errorf("interface %s has no IPv4 address: add one (ip addr add ADDRESS dev %s) or give --source", link.Name, link.Name)
	}
	return first, nil
}
