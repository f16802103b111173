// SPDX-License-Identifier: Apache-2.0

package lab

import "fmt"

// Chain is a lab with a hop between sender and responder: a third namespace
// with a veth pair to either side. The hop forwards nothing by itself; that is
// for XDP programs that the caller attaches there ([Chain.AtHop]). To both
// ends it is as if they were joined directly.
type Chain struct{ *Lab }

// StartChain makes a chain. When it returns, all devices are up and the
// responder answers what reaches it.
func StartChain(c Config) (*Chain, error) {
	if c.Hops > 0 {
		return nil, fmt.Errorf("start a lab: hops %d: a chain has one of its own, and no routers", c.Hops)
	}
	l, err := launch(c, (*Lab).direct, 1)
	if err != nil {
		return nil, err
	}
	return &Chain{l}, nil
}

// AtHop runs f on a thread in the hop's network namespace, which ends
// afterwards, with the indexes of the hop's devices.
func (c *Chain) AtHop(f func(toSender, toResponder int) error) error {
	h := c.hops[0]
	return inNamespace(h.toSender.ns, func() error { return f(h.toSender.ifindex, h.toResponder.ifindex) })
}
