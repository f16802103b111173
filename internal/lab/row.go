// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netns"
)

// The devices of a hop.
const (
	HopSenderDevice    = "hop0" // at the other end is lab0, or hop1 of the hop before
	HopResponderDevice = "hop1" // at the other end is lab1, or hop0 of the hop behind
)

// hop is a namespace between sender and responder.
type hop struct{ toSender, toResponder *end }

// pair is a veth pair; near is the end on the sender's side.
type pair struct{ near, far *end }

// row is the namespaces of a lab, one behind the other, each joined to the
// next by a veth pair.
type row struct {
	sender, responder *end
	hops              []hop  // from the sender on
	pairs             []pair // those that exist, from the sender on
}

// open makes the namespaces. They are not joined yet.
func (r *row) open(inPlace bool, hops int) error {
	senderNamespace := newNamespace
	if inPlace {
		senderNamespace = currentNamespace
	}
	ns, err := senderNamespace()
	if err != nil {
		return err
	}
	if r.sender, err = newEnd(ns, SenderDevice, SenderAddr, SenderMAC, !inPlace); err != nil {
		return err
	}
	if ns, err = newNamespace(); err != nil {
		return err
	}
	if r.responder, err = newEnd(ns, ResponderDevice, GatewayAddr, ResponderMAC, true); err != nil {
		return err
	}
	for k := range hops {
		if err := r.openHop(k); err != nil {
			return err
		}
	}
	return nil
}

// openHop makes the namespace of the k-th hop, counted from 0.
func (r *row) openHop(k int) error {
	ns, err := newNamespace()
	if err != nil {
		return err
	}
	toSender, err := newEnd(ns, HopSenderDevice, 0, hopMAC(k, 3), true)
	if err != nil {
		return err
	}
	r.hops = append(r.hops, hop{toSender: toSender})
	// Each end closes a descriptor of its own.
	var again netns.NsHandle
	err = inNamespace(ns, func() (err error) {
		again, err = netns.Get()
		return err
	})
	if err != nil {
		return fmt.Errorf("open the namespace of a hop: %w", err)
	}
	r.hops[k].toResponder, err = newEnd(again, HopResponderDevice, 0, hopMAC(k, 4), true)
	return err
}

// hopMAC is locally administered as [SenderMAC] is.
func hopMAC(k int, side byte) net.HardwareAddr {
	return net.HardwareAddr{0x02, 0x78, 0x73, 0x00, byte(k), side}
}

// join makes the veth pairs.
func (r *row) join(queues, mtu int) error {
	near := r.sender
	for _, h := range r.hops {
		if err := r.connect(near, h.toSender, queues, mtu); err != nil {
			return err
		}
		near = h.toResponder
	}
	return r.connect(near, r.responder, queues, mtu)
}

func (r *row) connect(near, far *end, queues, mtu int) error {
	if err := connect(near, far, queues, mtu); err != nil {
		return err
	}
	r.pairs = append(r.pairs, pair{near, far})
	return nil
}

// ends are those of all pairs, from the sender on.
func (r *row) ends() []*end {
	var ends []*end
	for _, p := range r.pairs {
		ends = append(ends, p.near, p.far)
	}
	return ends
}

// raise sets all devices up. Hops forward packets or not.
func (r *row) raise(forward bool) error {
	for _, e := range r.ends() {
		if err := e.prepare(forward && e != r.sender && e != r.responder); err != nil {
			return err
		}
	}
	for _, e := range r.ends() {
		if err := e.raise(); err != nil {
			return err
		}
	}
	return nil
}

// waitUp waits until all devices can send.
func (r *row) waitUp() error {
	for _, e := range r.ends() {
		if err := e.waitUp(); err != nil {
			return err
		}
	}
	return nil
}

// close takes away what there is of the row.
func (r *row) close() error {
	var errs []error
	for _, p := range r.pairs {
		errs = append(errs, p.near.remove())
	}
	ends := []*end{r.sender, r.responder}
	for _, h := range r.hops {
		ends = append(ends, h.toSender, h.toResponder)
	}
	for _, e := range ends {
		if e != nil {
			errs = append(errs, e.close())
		}
	}
	return errors.Join(errs...)
}
