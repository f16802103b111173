// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"xsweep/sweep/target"
)

// Locally administered (IEEE 802), so that they can be nobody's. The gateway of
// lab0 has ResponderMAC also where it is a router.
var (
	SenderMAC    = net.HardwareAddr{0x02, 0x78, 0x73, 0x00, 0x00, 0x01}
	ResponderMAC = net.HardwareAddr{0x02, 0x78, 0x73, 0x00, 0x00, 0x02}
)

// carrierWait bounds the wait for a veth pair to come up, which takes
// milliseconds.
const carrierWait = 10 * time.Second

// end is one end of the link.
type end struct {
	ns     netns.NsHandle
	rtnl   *netlink.Handle
	device string
	addr   target.Addr
	mac    net.HardwareAddr
	// own says that the namespace is the lab's, not the caller's.
	own bool
	// ifindex is known once the pair exists.
	ifindex int
}

// newEnd opens netlink in ns, which then belongs to the end.
func newEnd(ns netns.NsHandle, device string, addr target.Addr, mac net.HardwareAddr, own bool) (*end, error) {
	e := &end{ns: ns, device: device, addr: addr, mac: mac, own: own}
	err := inNamespace(ns, func() (err error) {
		e.rtnl, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		ns.Close()
		return nil, fmt.Errorf("open netlink in the lab: %w", err)
	}
	return e, nil
}

func (e *end) close() error {
	e.rtnl.Close()
	return e.ns.Close()
}

// remove takes the veth pair away, unless the command in the lab has; its other
// end goes with it.
func (e *end) remove() error {
	link, err := e.rtnl.LinkByIndex(e.ifindex)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err == nil {
		err = e.rtnl.LinkDel(link)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", e.device, err)
	}
	return nil
}

// refused returns how many frames from this end the other end's rings refused.
func (e *end) refused() (uint64, error) {
	link, err := e.rtnl.LinkByIndex(e.ifindex)
	if err != nil {
		return 0, fmt.Errorf("read the counters of %s: %w", e.device, err)
	}
	return link.Attrs().Statistics.TxDropped, nil
}

// freeIndex returns an unused interface index that is not 2, the one that
// lab1 gets in its empty namespace. If both ends had the same, the kernel would
// take them for one device's and announce their carrier only at its leisure,
// up to a second later.
func (e *end) freeIndex() (int, error) {
	links, err := e.rtnl.LinkList()
	if err != nil {
		return 0, fmt.Errorf("list the devices beside %s: %w", e.device, err)
	}
	index := 3
	for _, link := range links {
		index = max(index, link.Attrs().Index+1)
	}
	return index, nil
}

// connect makes the veth pair between two ends.
func connect(sender, responder *end, queues, mtu int) error {
	index, err := sender.freeIndex()
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Index = index
	attrs.Name = sender.device
	attrs.MTU = mtu // of both ends
	attrs.HardwareAddr = sender.mac
	// Native XDP wants as many receive queues as the peer has transmit queues.
	attrs.NumTxQueues, attrs.NumRxQueues = queues, queues
	veth := netlink.NewVeth(attrs)
	veth.PeerName = responder.device
	veth.PeerHardwareAddr = responder.mac
	veth.PeerNamespace = netlink.NsFd(responder.ns)
	err = sender.rtnl.LinkAdd(veth)
	if errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("make the veth pair %s, %s: %w: only one lab can be in place in a namespace: close the other first", sender.device, responder.device, err)
	}
	if err != nil {
		return fmt.Errorf("make the veth pair %s, %s: %w", sender.device, responder.device, err)
	}
	for _, e := range []*end{sender, responder} {
		link, err := e.rtnl.LinkByName(e.device)
		if err != nil {
			return fmt.Errorf("find %s in the lab: %w", e.device, err)
		}
		e.ifindex = link.Attrs().Index
	}
	return nil
}

// prepare applies the settings of an end, which its namespace shares where it
// is the lab's. The namespace forwards packets or not.
func (e *end) prepare(forwards bool) error {
	settings := []setting{
		{"ipv6/conf/" + e.device + "/disable_ipv6", "1", true},
		{"ipv4/conf/" + e.device + "/rp_filter", "0", false},
	}
	if e.own {
		forward := "0"
		if forwards {
			forward = "1"
		}
		// A new namespace takes over some settings of the machine's.
		settings = append(settings,
			setting{"ipv6/conf/all/disable_ipv6", "1", true},
			setting{"ipv6/conf/default/disable_ipv6", "1", true},
			setting{"ipv4/conf/all/rp_filter", "0", false},
			setting{"ipv4/ip_forward", forward, false},
		)
	}
	return inNamespace(e.ns, func() error {
		return errors.Join(apply(settings), SetGRO(e.device, true))
	})
}

// raise sets the device up. Only then does the kernel look whether its peer
// takes frames from programs: the peer is to be prepared before.
func (e *end) raise() error {
	lo, err := e.rtnl.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo in the lab: %w", err)
	}
	for _, link := range []netlink.Link{lo, e.link()} {
		if err := e.rtnl.LinkSetUp(link); err != nil {
			return fmt.Errorf("set %s up: %w", link.Attrs().Name, err)
		}
	}
	return nil
}

func (e *end) link() netlink.Link {
	return &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: e.ifindex, Name: e.device}}
}

// configure gives an end its address and its only neighbour.
func (e *end) configure(peer *end) error {
	return errors.Join(e.assign(e.addr, LinkBits), e.knows(peer.addr, peer.mac))
}

// assign gives the device an address.
func (e *end) assign(a target.Addr, bits int) error {
	addr := &netlink.Addr{IPNet: ipNet(a, bits)}
	if err := e.rtnl.AddrAdd(e.link(), addr); err != nil {
		return fmt.Errorf("give %s the address %s: %w", e.device, addr.IPNet, err)
	}
	return nil
}

// knows makes an address a neighbour for ever.
func (e *end) knows(a target.Addr, mac net.HardwareAddr) error {
	neighbour := &netlink.Neigh{
		LinkIndex: e.ifindex, Family: unix.AF_INET, State: netlink.NUD_PERMANENT,
		IP: ip(a), HardwareAddr: mac,
	}
	if err := e.rtnl.NeighSet(neighbour); err != nil {
		return fmt.Errorf("set the neighbour %s of %s: %w", neighbour.IP, e.device, err)
	}
	return nil
}

// routeAll sends everything else through a gateway.
func (e *end) routeAll(gateway target.Addr) error {
	route := &netlink.Route{LinkIndex: e.ifindex, Gw: ip(gateway)}
	if err := e.rtnl.RouteAdd(route); err != nil {
		return fmt.Errorf("route everything through %s: %w", gateway, err)
	}
	return nil
}

// routeTo sends what is for one address through a gateway.
func (e *end) routeTo(a, gateway target.Addr) error {
	route := &netlink.Route{LinkIndex: e.ifindex, Dst: ipNet(a, 32), Gw: ip(gateway)}
	if err := e.rtnl.RouteAdd(route); err != nil {
		return fmt.Errorf("route %s through %s: %w", a, gateway, err)
	}
	return nil
}

// answerAll makes Linux answer for all of 198.18.0.0/15, as fast as it can.
func (e *end) answerAll() error {
	lo, err := e.rtnl.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo in the lab: %w", err)
	}
	route := &netlink.Route{
		LinkIndex: lo.Attrs().Index,
		Dst:       ipNet(kernelRange.First, 15),
		Type:      unix.RTN_LOCAL,
		Scope:     netlink.SCOPE_HOST,
		// In the local table it would hide the link's own, longer prefix,
		// and with it the sender.
		Table: unix.RT_TABLE_MAIN,
	}
	if err := e.rtnl.RouteAdd(route); err != nil {
		return fmt.Errorf("make %s local: %w", route.Dst, err)
	}
	return e.unlimitICMP()
}

// unlimitICMP lets the end's namespace send as much ICMP as sysctls allow.
func (e *end) unlimitICMP() error {
	return inNamespace(e.ns, func() error {
		return apply([]setting{
			{"ipv4/icmp_echo_ignore_all", "0", false},
			{"ipv4/icmp_echo_ignore_broadcasts", "0", false},
			{"ipv4/icmp_ratelimit", "0", false},
			// No type is limited at all. With a limit of 0, too, each error
			// would spend what is left of the burst that Linux grants a
			// sender for unreachable routes.
			{"ipv4/icmp_ratemask", "0", false},
			{"ipv4/icmp_msgs_per_sec", "1000000000", true}, // per namespace since Linux 6.13
			{"ipv4/icmp_msgs_burst", "1000000000", true},
		})
	})
}

// waitUp waits until the device can send.
func (e *end) waitUp() error {
	updates := make(chan netlink.LinkUpdate)
	done := make(chan struct{})
	var failure error // written before updates is closed
	err := inNamespace(e.ns, func() error {
		return netlink.LinkSubscribeWithOptions(updates, done, netlink.LinkSubscribeOptions{
			ListExisting:  true,
			ErrorCallback: func(err error) { failure = err },
		})
	})
	if err != nil {
		return fmt.Errorf("watch %s: %w", e.device, err)
	}
	defer func() {
		close(done)
		for range updates { // the sender of updates must not be left waiting
		}
	}()
	timeout := time.NewTimer(carrierWait)
	defer timeout.Stop()
	for {
		select {
		case u, ok := <-updates:
			if !ok {
				return fmt.Errorf("watch %s: %w", e.device, failure)
			}
			if u.Attrs().Index == e.ifindex && u.Attrs().OperState == netlink.OperUp {
				return nil
			}
		case <-timeout.C:
			return fmt.Errorf("wait for %s to come up: nothing within %v", e.device, carrierWait)
		}
	}
}

func ip(a target.Addr) net.IP { return a.Netip().AsSlice() }

func ipNet(a target.Addr, bits int) *net.IPNet {
	return &net.IPNet{IP: ip(a), Mask: net.CIDRMask(bits, 32)}
}
