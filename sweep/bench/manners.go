// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"net"
	"net/netip"
)

// PoliteRate is the highest load, in probes a second, for targets that the user
// has not said to be authorised to load.
const PoliteRate = 10_000

// benchmarking is what RFC 2544 (appendix C.2.2) and RFC 6890 set aside for
// benchmarks.
var benchmarking = netip.MustParsePrefix("198.18.0.0/15")

// Foreign returns the first of the targets that lies outside loopback, link-local
// and benchmarking addresses and the subnets given.
func Foreign(targets []netip.Addr, own []netip.Prefix) (netip.Addr, bool) {
	for _, a := range targets {
		if !familiar(a, own) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

func familiar(a netip.Addr, own []netip.Prefix) bool {
	if a.IsLoopback() || a.IsLinkLocalUnicast() || benchmarking.Contains(a) {
		return true
	}
	for _, p := range own {
		if p.Contains(a) {
			return true
		}
	}
	return false
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
