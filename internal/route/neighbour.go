// SPDX-License-Identifier: Apache-2.0

package route

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// usable are the neighbour states whose link-layer address the kernel itself
// would send to (RFC 4861, section 7.3.2, which Linux applies to ARP as well).
const usable = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE | unix.NUD_PERMANENT | unix.NUD_NOARP

// maxSolicits bounds how often resolution is begun again. The kernel gives up
// after three seconds by default, but can be told to do so at once.
const maxSolicits = 16

// errNoAnswer says that the kernel gave up on a neighbour maxSolicits times.
var errNoAnswer = errors.New("resolution failed again and again")

// resolveNeighbour returns the link-layer address of the neighbour at addr: from
// the neighbour table, or by having the kernel ask for it.
func resolveNeighbour(ctx context.Context, link *Link, addr netip.Addr, timeout time.Duration) (net.HardwareAddr, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// Subscribing comes first, or an answer could slip in between.
	socket, err := subscribe(unix.RTNLGRP_NEIGH)
	if err != nil {
		return nil, fmt.Errorf("watch the neighbours of %s: %w", link.Name, err)
	}
	defer socket.close()
	defer context.AfterFunc(ctx, socket.close)() // closing wakes the reader

	r := resolution{socket: socket, link: link, addr: addr}
	mac, err := r.run()
	switch {
	case err == nil:
		return mac, nil
	case errors.Is(err, errNoAnswer) || errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("gateway %v on %s does not answer (%s, %v): check that it is up and on this link, or give its address with --gateway-mac",
			addr, link.Name, r.protocol(), timeout)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("resolve gateway %v on %s: %w", addr, link.Name, ctx.Err())
	case errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("resolve gateway %v on %s: %w: needs CAP_NET_ADMIN: run with sudo, or give --gateway-mac", addr, link.Name, err)
	default:
		return nil, fmt.Errorf("resolve gateway %v on %s: %w", addr, link.Name, err)
	}
}

// resolution is one wait for a neighbour. Questions and notifications share a
// socket, so what the kernel says arrives in the order in which it happened.
type resolution struct {
	socket *socket
	link   *Link
	addr   netip.Addr

	asked, solicited uint32 // sequence numbers of the last requests
	solicits         int
}

func (r *resolution) protocol() string {
	if r.addr.Is4() {
		return "ARP"
	}
	return "neighbour discovery"
}

func (r *resolution) run() (net.HardwareAddr, error) {
	if err := r.ask(); err != nil {
		return nil, err
	}
	for {
		messages, err := r.socket.receive()
		if errors.Is(err, errLost) {
			err = r.ask()
		}
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			mac, err := r.handle(m)
			if mac != nil || err != nil {
				return mac, err
			}
		}
	}
}

// handle takes one message. It returns an address or an error when there is
// nothing more to wait for.
func (r *resolution) handle(m syscall.NetlinkMessage) (net.HardwareAddr, error) {
	switch m.Header.Type {
	case unix.NLMSG_ERROR:
		errno := unix.Errno(-int32(nl.NativeEndian().Uint32(m.Data)))
		switch {
		case m.Header.Seq == r.solicited && errno == 0:
			// The entry can be usable already, without a notification: on devices
			// that need no resolution it is born so.
			return nil, r.ask()
		case m.Header.Seq == r.solicited:
			return nil, errno
		case m.Header.Seq == r.asked && errno == unix.ENOENT:
			return nil, r.solicit()
		case m.Header.Seq == r.asked && errno != 0:
			return nil, errno
		}
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		n, err := netlink.NeighDeserialize(m.Data)
		if err != nil {
			return nil, err
		}
		if a, ok := netip.AddrFromSlice(n.IP); !ok || a != r.addr || n.LinkIndex != r.link.Index || n.Flags&netlink.NTF_PROXY != 0 {
			return nil, nil
		}
		answer := r.asked != 0 && m.Header.Seq == r.asked
		switch {
		case m.Header.Type == unix.RTM_NEWNEIGH && n.State&usable != 0 && len(n.HardwareAddr) == macLen:
			return n.HardwareAddr, nil
		case m.Header.Type == unix.RTM_DELNEIGH, n.State&unix.NUD_FAILED != 0 && (!answer || r.solicits == 0), n.State == unix.NUD_NONE && r.solicits == 0:
			return nil, r.solicit()
		}
	}
	return nil, nil
}

func (r *resolution) family() uint8 {
	if r.addr.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// ask requests the neighbour's entry.
func (r *resolution) ask() error {
	req := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, 0)
	req.AddData(&netlink.Ndmsg{Family: r.family(), Index: uint32(r.link.Index)})
	req.AddData(nl.NewRtAttr(netlink.NDA_DST, r.addr.AsSlice()))
	r.asked = req.Seq
	return r.socket.send(req)
}

// solicit makes the kernel ask for the neighbour's address, as if there were a
// packet for it.
func (r *resolution) solicit() error {
	if r.solicits++; r.solicits > maxSolicits {
		return errNoAnswer
	}
	req := nl.NewNetlinkRequest(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE|unix.NLM_F_ACK)
	req.AddData(&netlink.Ndmsg{Family: r.family(), Index: uint32(r.link.Index), Flags: netlink.NTF_USE})
	req.AddData(nl.NewRtAttr(netlink.NDA_DST, r.addr.AsSlice()))
	r.solicited = req.Seq
	return r.socket.send(req)
}
