// SPDX-License-Identifier: Apache-2.0

package route

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"xsweep/sweep/target"
)

// snapshot is what the kernel said about interfaces, addresses and routes.
type snapshot struct {
	links   []Link
	subnets []subnet
	entries []entry
	hops    []hop // what entries point to, each once
	// policy says that there are policy rules other than the standard three.
	policy bool
	// forced is the index of the interface that the user named, or 0.
	forced int
}

// subnet is an address of an interface with the prefix that is attached there.
type subnet struct {
	link   int
	addr   target.Addr
	prefix netip.Prefix
}

// hopKind is what happens to a packet that takes a route.
type hopKind uint8

const (
	hopUnicast     hopKind = iota // it leaves through a link
	hopLocal                      // it is delivered to this machine
	hopBroadcast                  // it leaves as a link-layer broadcast
	hopUnreachable                // it is refused or dropped
	hopThrow                      // the next table decides
)

// hop is where a route leads. Hops are compared with ==.
type hop struct {
	kind    hopKind
	link    int
	gateway netip.Addr // zero: on-link
	source  netip.Addr // preferred source, if the route has one
	// encap says that the route wraps the packet (MPLS, segment routing, BPF),
	// which only the kernel's own output path does.
	encap bool
}

// takeSnapshot asks the kernel. If an interface is named (by name or by an
// alternative name), the first next hop of a route through it counts, else the
// first of all.
func takeSnapshot(name string) (*snapshot, error) {
	var s snapshot
	links, err := consistent(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	for _, l := range links {
		link := newLink(l.Attrs())
		if name != "" && (link.Name == name || slices.Contains(l.Attrs().AltNames, name)) {
			s.forced = link.Index
		}
		s.links = append(s.links, link)
	}
	if name != "" && s.forced == 0 {
		return nil, fmt.Errorf("interface %s does not exist: there are %s", name, s.linkNames())
	}

	addrs, err := consistent(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, unix.AF_INET) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		if n, ok := newSubnet(a); ok {
			s.subnets = append(s.subnets, n)
		}
	}

	rules, err := consistent(func() ([]netlink.Rule, error) { return netlink.RuleList(unix.AF_INET) })
	switch {
	case errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT):
		// A kernel without policy routing.
	case err != nil:
		return nil, fmt.Errorf("list policy rules: %w", err)
	default:
		s.policy = !standardRules(rules)
	}

	_, err = consistent(func() (struct{}, error) { return struct{}{}, s.readRoutes() })
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return &s, nil
}

// consistent calls list again if the kernel says that what it listed changed
// meanwhile. On a machine where that never ends the last answer has to do.
func consistent[T any](list func() (T, error)) (T, error) {
	const attempts = 5
	var v T
	var err error
	for range attempts {
		if v, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return v, err
		}
	}
	return v, nil
}

func newLink(a *netlink.LinkAttrs) Link {
	l := Link{
		Index:   a.Index,
		Name:    a.Name,
		MTU:     a.MTU,
		MAC:     a.HardwareAddr,
		Up:      a.RawFlags&unix.IFF_UP != 0,
		Carrier: a.RawFlags&(unix.IFF_UP|unix.IFF_RUNNING) == unix.IFF_UP|unix.IFF_RUNNING,
		Type:    LinkTypeOf(a.EncapType),
		kind:    a.EncapType,
	}
	if l.Type == BareIP {
		l.MAC = nil
	}
	return l
}

func newSubnet(a netlink.Addr) (subnet, bool) {
	if a.IPNet == nil {
		return subnet{}, false
	}
	n := a.IPNet
	addr, ok := addrFromIP(n.IP)
	if a.Peer != nil { // then the prefix belongs to the peer's address
		n = a.Peer
	}
	prefix, ok2 := prefixFromIPNet(n)
	return subnet{a.LinkIndex, addr, prefix}, ok && ok2
}

func addrFromIP(ip net.IP) (target.Addr, bool) {
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return 0, false
	}
	return target.AddrFrom(a)
}

func prefixFromIPNet(n *net.IPNet) (netip.Prefix, bool) {
	a, ok := addrFromIP(n.IP)
	bits, size := n.Mask.Size()
	if !ok || size != 32 {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a.Netip(), bits).Masked(), true
}

// standardRules reports whether rules are the three that every network namespace
// begins with.
func standardRules(rules []netlink.Rule) bool {
	type standard struct{ priority, table int }
	var got []standard
	for _, r := range rules {
		selects := r.Src != nil && len(r.Src.IP) > 0 || r.Dst != nil && len(r.Dst.IP) > 0 || r.Mark != 0 ||
			r.IifName != "" || r.OifName != "" || r.Tos != 0 || r.Invert || r.UIDRange != nil || r.IPProto != 0 ||
			r.Dport != nil || r.Sport != nil || r.TunID != 0
		if selects {
			return false
		}
		got = append(got, standard{max(r.Priority, 0), r.Table})
	}
	return slices.Equal(got, []standard{{0, unix.RT_TABLE_LOCAL}, {32766, unix.RT_TABLE_MAIN}, {32767, unix.RT_TABLE_DEFAULT}})
}

func (s *snapshot) readRoutes() error {
	s.entries, s.hops = nil, nil
	index := make(map[hop]int32)
	// An unspecified table in the filter means all of them, in one dump.
	filter := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	return netlink.RouteListFilteredIter(unix.AF_INET, filter, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
		switch r.Table {
		case unix.RT_TABLE_LOCAL, unix.RT_TABLE_MAIN, unix.RT_TABLE_DEFAULT:
		default:
			return true
		}
		h, ok := newHop(r, s.forced)
		if !ok || r.Tos != 0 || r.Dst == nil {
			return true
		}
		prefix, ok := prefixFromIPNet(r.Dst)
		if !ok {
			return true
		}
		i, known := index[h]
		if !known {
			i = int32(len(s.hops))
			index[h] = i
			s.hops = append(s.hops, h)
		}
		first, _ := target.AddrFrom(prefix.Addr())
		s.entries = append(s.entries, entry{first, uint32(r.Priority), i, uint8(prefix.Bits()), uint8(r.Table)})
		return true
	})
}

// newHop returns where r leads. It reports false for routes that the kernel
// passes over: those of other types, and those whose interfaces are dead.
func newHop(r netlink.Route, preferred int) (hop, bool) {
	switch r.Type {
	case unix.RTN_UNICAST:
	case unix.RTN_LOCAL:
		return hop{kind: hopLocal, link: r.LinkIndex}, true
	case unix.RTN_BROADCAST:
		return hop{kind: hopBroadcast, link: r.LinkIndex}, true
	case unix.RTN_UNREACHABLE, unix.RTN_BLACKHOLE, unix.RTN_PROHIBIT:
		return hop{kind: hopUnreachable}, true
	case unix.RTN_THROW:
		return hop{kind: hopThrow}, true
	default:
		return hop{}, false
	}
	ways := r.MultiPath
	if len(ways) == 0 {
		ways = []*netlink.NexthopInfo{{LinkIndex: r.LinkIndex, Gw: r.Gw, Via: r.Via, Encap: r.Encap, Flags: r.Flags}}
	}
	ways = slices.DeleteFunc(slices.Clone(ways), func(n *netlink.NexthopInfo) bool {
		return n.Flags&unix.RTNH_F_DEAD != 0
	})
	if len(ways) == 0 {
		return hop{}, false
	}
	way := ways[0]
	for _, n := range ways {
		if n.LinkIndex == preferred {
			way = n
			break
		}
	}
	h := hop{kind: hopUnicast, link: way.LinkIndex, encap: way.Encap != nil}
	if a, ok := netip.AddrFromSlice(way.Gw); ok {
		h.gateway = a.Unmap()
	} else if via, ok := way.Via.(*netlink.Via); ok {
		h.gateway, _ = netip.AddrFromSlice(via.Addr)
	}
	if a, ok := netip.AddrFromSlice(r.Src); ok {
		h.source = a.Unmap()
	}
	return h, true
}

// link returns the interface with this index, or nil.
func (s *snapshot) link(index int) *Link {
	for i := range s.links {
		if s.links[i].Index == index {
			return &s.links[i]
		}
	}
	return nil
}

// linkName returns the name of the interface with this index, or a substitute.
func (s *snapshot) linkName(index int) string {
	if l := s.link(index); l != nil {
		return l.Name
	}
	return fmt.Sprintf("interface %d", index)
}

func (s *snapshot) linkNames() string {
	var names []string
	for _, l := range s.links {
		names = append(names, l.Name)
	}
	slices.Sort(names)
	if len(names) > 16 { // a one-line error, also on a machine with a thousand of them
		names = append(names[:16], fmt.Sprintf("%d more", len(names)-16))
	}
	return strings.Join(names, ", ")
}

// owner returns the interface that has the address a, or 0.
func (s *snapshot) owner(a target.Addr) int {
	for _, n := range s.subnets {
		if n.addr == a {
			return n.link
		}
	}
	return 0
}
