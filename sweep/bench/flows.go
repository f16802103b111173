// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"xsweep/sweep/probe"
)

// MaxFlows is how many flows probes to one target can be of.
const MaxFlows = probe.MaxFlows

// findFlows says what probes to a target differ in: source addresses in turn, then
// identifiers.
func (s *Session) findFlows() ([]probe.Flow, error) {
	sources := s.config.Sources
	if len(sources) == 0 {
		sources = []netip.Addr{s.route.Source}
		if s.config.Flows > 1 {
			others, err := interfaceAddrs(s.route.Interface.Name, s.route.Source)
			if err != nil {
				return nil, err
			}
			sources = append(sources, others...)
		}
	}
	sources = sources[:min(len(sources), s.config.Flows)]
	var flows []probe.Flow
	for i := range s.config.Flows {
		flows = append(flows, probe.Flow{Source: sources[i%len(sources)], IDOffset: uint16(i / len(sources))})
	}
	if len(flows) > 1 {
		s.config.Log.Info(fmt.Sprintf("%d flows: from %d source addresses, each with %d identifiers at most", len(flows), len(sources), (len(flows)-1)/len(sources)+1),
			"flows", len(flows), "sources", len(sources))
	}
	return flows, nil
}

// interfaceAddrs are the IPv4 addresses of an interface but for one.
func interfaceAddrs(name string, but netip.Addr) ([]netip.Addr, error) {
	device, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("find the addresses of %s: %w", name, err)
	}
	addrs, err := device.Addrs()
	if err != nil {
		return nil, fmt.Errorf("list the addresses of %s: %w", name, err)
	}
	var list []netip.Addr
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is4() && p.Addr() != but && !slices.Contains(list, p.Addr()) {
			list = append(list, p.Addr())
		}
	}
	return list, nil
}
