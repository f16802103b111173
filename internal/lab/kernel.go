// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"xsweep/sweep/probe"
	"xsweep/sweep/reply"
	"xsweep/sweep/target"
)

// This file says what a lab of Linux's own is like from outside: the kernel
// responder, with [Config.Hops] routers before it or none. router.go makes it
// so.
//
//	lab0 -- router 1 -- router 2 -- ... -- router N -- responder
//
// Each router answers echo requests to its address, [Config.Hop], and sends
// its errors from there. The last one has a route of another kind for each of
// the prefixes below; every other address of 198.18.0.0/15 is the responder's,
// N hops away, and what lies outside of it has no route there either.

// What the last router does with some of the targets; without routers they
// are like the others. Linux limits the errors for the first three together,
// whatever its settings: a sender gets 5 at once and then one a second.
var (
	UnreachablePrefix = netip.MustParsePrefix("198.19.64.0/24") // host unreachable: type 3, code 1
	ProhibitedPrefix  = netip.MustParsePrefix("198.19.65.0/24") // administratively prohibited: type 3, code 13
	UnroutedPrefix    = netip.MustParsePrefix("198.19.68.0/24") // no route, network unreachable: type 3, code 0
	BlackholePrefix   = netip.MustParsePrefix("198.19.66.0/24") // silence
	// NarrowPrefix is the responder's, behind a path MTU of [NarrowMTU]: for a
	// longer packet with DF comes fragmentation needed (type 3, code 4), one
	// without arrives in fragments and is answered.
	NarrowPrefix = netip.MustParsePrefix("198.19.67.0/24")
)

// NarrowMTU is the path MTU to [NarrowPrefix], in bytes.
const NarrowMTU = 1280

// routerAddr plus k is the address of router k: 198.19.255.k.
const routerAddr = target.Addr(0xc613ff00)

const (
	maxRouters = 8
	defaultMTU = 1500
	// minMTU is the path MTU to NarrowPrefix, which thus is the smallest.
	minMTU       = NarrowMTU
	maxKernelMTU = 9000
	// maxSimnetMTU leaves a frame, the room before it and the kernel's notes
	// behind it on a page of 4 KiB, as native XDP wants it.
	maxSimnetMTU = 3500
)

// refusals are the routes of the last router to nowhere.
var refusals = []struct {
	prefix netip.Prefix
	kind   int // RTN_*
}{
	{UnreachablePrefix, unix.RTN_UNREACHABLE},
	{ProhibitedPrefix, unix.RTN_PROHIBIT},
	{UnroutedPrefix, unix.RTN_THROW},
	{BlackholePrefix, unix.RTN_BLACKHOLE},
}

// refused are the targets of refusals.
var refused = func() target.Set {
	var spans []target.Range
	for _, r := range refusals {
		span, _ := target.RangeFromPrefix(r.prefix)
		spans = append(spans, span)
	}
	return target.NewSet(spans...)
}()

// Hop is the address from which router k's errors come, the routers being
// numbered from 1 in the order in which probes pass them: 198.19.255.k. Where
// there is no such router it is the zero Addr.
func (c Config) Hop(k int) netip.Addr {
	if k < 1 || k > c.Hops {
		return netip.Addr{}
	}
	return (routerAddr + target.Addr(k)).Netip()
}

// kernelHosts are the addresses that answer echo requests.
func (c Config) kernelHosts() target.Set {
	hosts := target.NewSet(kernelRange)
	if c.Hops == 0 {
		return hosts
	}
	return hosts.Subtract(refused)
}

// kernelHost is what lives at a. Every hop takes one from the TTL of a reply.
func (c Config) kernelHost(a target.Addr) Host {
	if !kernelRange.Contains(a) || c.Hops > 0 && refused.Contains(a) {
		return Host{}
	}
	hops := c.Hops
	switch {
	case c.Hops > 0 && a == GatewayAddr: // router 1 on its link to lab0
		hops = 0
	case a > routerAddr && a <= routerAddr+target.Addr(c.Hops):
		hops = int(a-routerAddr) - 1
	}
	return Host{Live: true, TTL: uint8(kernelTTL - hops)}
}

// kernelTTL is Linux's net.ipv4.ip_default_ttl.
const kernelTTL = 64

// kernelQuote is the longest IP packet with an error in it that Linux sends, in
// bytes (RFC 1812, section 4.3.2.3).
const kernelQuote = 576

// kernelAnswer is what comes back for a probe to a: Linux answers neither
// address mask requests nor, as a router, what it cannot pass on. (That it limits
// some errors is not known here.)
func (c Config) kernelAnswer(a target.Addr, _ int, q question) (answer, int) {
	host := c.kernelHost(a)
	before := kernelTTL - int(host.TTL) // routers
	if !host.Live {
		before = c.Hops
	}
	if !kernelRange.Contains(a) && c.Hops == 0 {
		return answer{}, 0
	}
	if int(q.ttl) <= before && (host.Live || int(q.ttl) < before) {
		return c.routerError(int(q.ttl), q, reply.TimeExceeded, 0), 1
	}
	switch {
	case netipRange(UnreachablePrefix).Contains(a) && !host.Live:
		return c.routerError(c.Hops, q, reply.Unreachable, 1), 1
	case netipRange(ProhibitedPrefix).Contains(a) && !host.Live:
		return c.routerError(c.Hops, q, reply.Unreachable, 13), 1
	case netipRange(BlackholePrefix).Contains(a) && !host.Live:
		return answer{}, 0
	case !host.Live:
		return c.routerError(c.Hops, q, reply.Unreachable, 0), 1
	case netipRange(NarrowPrefix).Contains(a) && c.Hops > 0 && q.df && q.length > NarrowMTU:
		r := c.routerError(c.Hops, q, reply.Unreachable, 4)
		r.mtu = NarrowMTU
		return r, 1
	case q.kind == probe.Mask:
		return answer{}, 0
	}
	r := answer{flaw: flawNone, from: a, ttl: host.TTL, size: q.length - ipLen, tagged: q.hasTag}
	r.kind, _ = reply.KindOf(q.kind.ReplyType())
	return r, 1
}

// routerError is what router k, from 1, sends for a probe.
func (c Config) routerError(k int, q question, kind reply.Kind, code uint8) answer {
	from, _ := target.AddrFrom(c.Hop(k))
	return answer{
		flaw: flawNone, kind: kind, code: code, from: from, ttl: uint8(kernelTTL - (k - 1)), tagged: q.hasTag,
		size: min(icmpLen+q.length, kernelQuote-ipLen), quotedTTL: q.ttl - uint8(k-1),
	}
}

func netipRange(p netip.Prefix) target.Range {
	r, _ := target.RangeFromPrefix(p)
	return r
}

func (c Config) mtu() int {
	if c.MTU == 0 {
		return defaultMTU
	}
	return c.MTU
}

// validateNetwork says what is wrong with MTU or Hops.
func (c Config) validateNetwork() error {
	limit := maxSimnetMTU
	if c.Responder == Kernel {
		limit = maxKernelMTU
	}
	if mtu := c.mtu(); mtu < minMTU || mtu > limit {
		return fmt.Errorf("mtu %d: must be from %d to %d with the %s responder", c.MTU, minMTU, limit, c.Responder)
	}
	if c.Hops != 0 && c.Responder != Kernel {
		return fmt.Errorf("hops %d: the %s responder has no routers: use the kernel responder", c.Hops, c.Responder)
	}
	if c.Hops < 0 || c.Hops > maxRouters {
		return fmt.Errorf("hops %d: must be from 0 to %d", c.Hops, maxRouters)
	}
	return nil
}
