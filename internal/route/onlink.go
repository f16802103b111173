// SPDX-License-Identifier: Apache-2.0

package route

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// AdoptNeighbour makes a plan for raw whose only target is a neighbour on an
// Ethernet interface one for packet: its link-layer address is found as a
// gateway's is. Of other plans it changes nothing.
func (p *Plan) AdoptNeighbour(ctx context.Context, target netip.Addr) error {
	if p.Method != Raw || p.Interface.Type != Ethernet || p.OnLink != 1 || p.Sweepable != 1 {
		return nil
	}
	mac, err := resolveNeighbour(ctx, &p.Interface, target, DefaultResolveTimeout)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return err
		}
		return fmt.Errorf("%v is a neighbour on %s, and its Ethernet address was not found: check that it is up and on this link", target, p.Interface.Name)
	}
	p.Method, p.NextHop, p.Gateway = Packet, mac, target
	p.Why, p.OnLink = fmt.Sprintf("%v is the only target, and a neighbour", target), 0
	return nil
}
