// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The devices of a chain's hop, and their addresses, which nobody uses: what
// passes the hop keeps those of the ends.
const (
	HopSenderDevice    = "hop0" // at the other end is lab0
	HopResponderDevice = "hop1" // at the other end is lab1
)

var (
	hopSenderMAC    = net.HardwareAddr{0x02, 0x78, 0x73, 0x00, 0x00, 0x03}
	hopResponderMAC = net.HardwareAddr{0x02, 0x78, 0x73, 0x00, 0x00, 0x04}
)

// Chain is a lab with a hop between sender and responder: a third namespace
// with a veth pair to either side. The hop forwards nothing by itself; that is
// for XDP programs that the caller attaches there ([Chain.AtHop]). To both
// ends it is as if they were joined directly.
type Chain struct {
	*Lab
	toSender, toResponder *end
	joined                bool
}

// StartChain makes a chain. When it returns, all devices are up and the
// responder answers what reaches it.
func StartChain(c Config) (*Chain, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("start a lab: %w", err)
	}
	chain := &Chain{Lab: &Lab{config: c, killDelay: defaultKillDelay}}
	if err := chain.start(); err != nil {
		err = fmt.Errorf("start a lab: %w", errors.Join(err, chain.Close()))
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w: needs CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_BPF: run with sudo", err)
		}
		return nil, err
	}
	return chain, nil
}

func (c *Chain) start() error {
	queues := c.config.Queues
	if queues == 0 {
		queues = runtime.NumCPU()
	}
	open := newNamespace
	if c.config.InPlace {
		open = currentNamespace
	}
	var err error
	if c.sender, err = openEnd(open, SenderDevice, !c.config.InPlace); err != nil {
		return err
	}
	if c.responder, err = openEnd(newNamespace, ResponderDevice, true); err != nil {
		return err
	}
	if err := c.openHop(); err != nil {
		return err
	}
	if err := connect(c.sender, c.toSender, queues); err != nil {
		return err
	}
	c.connected = true
	if err := connect(c.toResponder, c.responder, queues); err != nil {
		return err
	}
	c.joined = true
	// Each end's neighbour is the other end: the hop is not seen.
	if err := c.sender.configure(c.responder); err != nil {
		return err
	}
	if err := c.responder.configure(c.sender); err != nil {
		return err
	}
	for _, e := range []*end{c.toSender, c.toResponder} {
		if err := e.configureHop(); err != nil {
			return err
		}
	}
	if err := c.sender.routeAll(GatewayAddr); err != nil {
		return err
	}
	if err := c.respond(); err != nil {
		return err
	}
	return errors.Join(c.sender.waitUp(), c.toSender.waitUp(), c.toResponder.waitUp(), c.responder.waitUp())
}

// openHop makes the two ends in the hop's namespace.
func (c *Chain) openHop() error {
	ns, err := newNamespace()
	if err != nil {
		return err
	}
	if c.toSender, err = newEnd(ns, HopSenderDevice, 0, hopSenderMAC, true); err != nil {
		return err
	}
	var again netns.NsHandle
	err = inNamespace(ns, func() (err error) {
		again, err = netns.Get()
		return err
	})
	if err != nil {
		return fmt.Errorf("open the hop's namespace: %w", err)
	}
	c.toResponder, err = newEnd(again, HopResponderDevice, 0, hopResponderMAC, true)
	return err
}

// configureHop sets a device of the hop up, without an address.
func (e *end) configureHop() error {
	err := inNamespace(e.ns, func() error {
		return errors.Join(apply([]setting{{"ipv6/conf/" + e.device + "/disable_ipv6", "1", true}}), enableGRO(e.device))
	})
	if err != nil {
		return err
	}
	device := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: e.ifindex, Name: e.device}}
	if err := e.rtnl.LinkSetUp(device); err != nil {
		return fmt.Errorf("set %s up: %w", e.device, err)
	}
	return nil
}

// AtHop runs f on a thread in the hop's network namespace, which ends
// afterwards, with the indexes of the hop's devices.
func (c *Chain) AtHop(f func(toSender, toResponder int) error) error {
	return inNamespace(c.toSender.ns, func() error { return f(c.toSender.ifindex, c.toResponder.ifindex) })
}

// Close takes the chain away.
func (c *Chain) Close() error {
	var errs []error
	if c.joined {
		errs = append(errs, c.toResponder.remove())
	}
	errs = append(errs, c.Lab.Close())
	for _, e := range []*end{c.toSender, c.toResponder} {
		if e != nil {
			errs = append(errs, e.close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close the chain: %w", err)
	}
	return nil
}
