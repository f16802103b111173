// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// PoliteRate is the highest load, in probes a second, that is chosen for a user who
// has neither said how much he wants nor that he is authorised.
const PoliteRate = 10_000

// benchmarking is what RFC 2544 (appendix C.2.2) and RFC 6890 set aside for
// benchmarks. Where this machine has no address in it, who knows whose it is.
var benchmarking = netip.MustParsePrefix("198.18.0.0/15")

// Foreign returns the first of the targets that lies outside loopback and link-local
// addresses, the subnets given and, where one of these is of it, the benchmarking
// range: nobody may load it without being asked to.
func Foreign(targets []netip.Addr, own []netip.Prefix) (netip.Addr, bool) {
	for _, a := range targets {
		if !dedicated(a, own) && !a.IsLinkLocalUnicast() && !slices.ContainsFunc(own, func(p netip.Prefix) bool { return p.Contains(a) }) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// Dedicated says whether all targets are this machine itself or addresses of a
// network for benchmarks that it is in, so that no load disturbs anybody else.
func Dedicated(targets []netip.Addr, own []netip.Prefix) bool {
	return !slices.ContainsFunc(targets, func(a netip.Addr) bool { return !dedicated(a, own) })
}

func dedicated(a netip.Addr, own []netip.Prefix) bool {
	return a.IsLoopback() || benchmarking.Contains(a) && slices.ContainsFunc(own, benchmarking.Overlaps)
}

// OwnSubnets are the subnets that this machine has addresses in.
func OwnSubnets() ([]netip.Prefix, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list this machine's addresses: %w", err)
	}
	var own []netip.Prefix
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p.Masked())
		}
	}
	return own, nil
}
