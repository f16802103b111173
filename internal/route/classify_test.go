// SPDX-License-Identifier: Apache-2.0

package route

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"xsweep/internal/testrand"
	"xsweep/sweep/target"
)

const (
	loIndex   = 1
	lab0Index = 2
	lab1Index = 3
	tun0Index = 4
)

func testLinks() []Link {
	mac := func(last byte) []byte { return []byte{2, 0, 0, 0, 0, last} }
	return []Link{
		{Index: loIndex, Name: "lo", Type: Loopback, Up: true, Carrier: true},
		{Index: lab0Index, Name: "lab0", Type: Ethernet, MAC: mac(0), Up: true, Carrier: true},
		{Index: lab1Index, Name: "lab1", Type: Ethernet, MAC: mac(1), Up: true, Carrier: true},
		{Index: tun0Index, Name: "tun0", Type: BareIP, Up: true, Carrier: true},
	}
}

// randomSnapshot returns routes of all kinds in and around the universe.
func randomSnapshot(r *rand.Rand) *snapshot {
	s := &snapshot{links: testLinks(), hops: []hop{
		{kind: hopLocal, link: lab0Index},
		{kind: hopBroadcast, link: lab0Index},
		{kind: hopBroadcast, link: lab1Index},
		{kind: hopUnreachable},
		{kind: hopThrow},
		{kind: hopUnicast, link: lab0Index},
		{kind: hopUnicast, link: lab0Index, gateway: (universe + 7).Netip()},
		{kind: hopUnicast, link: lab0Index, gateway: (universe + 200).Netip()},
		{kind: hopUnicast, link: lab1Index},
		{kind: hopUnicast, link: lab1Index, gateway: (universe + 9).Netip()},
		{kind: hopUnicast, link: tun0Index},
	}}
	for range r.IntN(4) {
		a := universe + target.Addr(r.IntN(256))
		p := netip.PrefixFrom(a.Netip(), 24+r.IntN(9)).Masked()
		link := lab0Index + r.IntN(2)
		s.subnets = append(s.subnets, subnet{link, a, p})
		// The kernel's own route for the address, which comes before any other.
		s.entries = append(s.entries, entry{first: a, bits: 32, table: unix.RT_TABLE_LOCAL})
	}
	for range r.IntN(25) {
		e := randomEntry(r, len(s.hops))
		e.table = []uint8{unix.RT_TABLE_LOCAL, unix.RT_TABLE_MAIN, unix.RT_TABLE_MAIN, unix.RT_TABLE_DEFAULT}[r.IntN(4)]
		s.entries = append(s.entries, e)
	}
	return s
}

// modelHop looks a up in the three tables.
func modelHop(s *snapshot, a target.Addr, only int) *hop {
	for _, table := range []uint8{unix.RT_TABLE_LOCAL, unix.RT_TABLE_MAIN, unix.RT_TABLE_DEFAULT} {
		var entries []entry
		for _, e := range s.entries {
			if h := s.hops[e.hop]; e.table == table && (only == 0 || h.kind != hopUnicast || h.link == only) {
				entries = append(entries, e)
			}
		}
		if h := longest(entries, a); h != none && s.hops[h].kind != hopThrow {
			return &s.hops[h]
		}
	}
	return nil
}

// modelWay says what becomes of one address, by the rules as they are written.
func modelWay(s *snapshot, link *Link, forced bool, fallback int32, a target.Addr, named bool) (Reason, how) {
	loopback := link.Type == Loopback
	for _, n := range s.subnets {
		if n.addr == a && !loopback {
			return Own, 0
		}
	}
	if a == 0 || a>>24 == 127 && !loopback {
		return Own, 0
	}
	only := 0
	if forced {
		only = link.Index
	}
	h := modelHop(s, a, only)
	if !loopback && !named {
		for _, n := range s.subnets {
			r, _ := target.RangeFromPrefix(n.prefix)
			if r.Len() > 2 && a == r.Last || a == maxAddr {
				return Broadcast, 0
			}
		}
		for _, n := range s.subnets {
			if r, _ := target.RangeFromPrefix(n.prefix); r.Len() > 2 && a == r.First {
				return Network, 0
			}
		}
		if a == maxAddr {
			return Broadcast, 0
		}
	}
	if h == nil {
		switch everywhere := modelHop(s, a, 0); {
		case fallback != none && a == maxAddr:
			return Send, onLink
		case fallback != none:
			return Send, unrouted
		case everywhere != nil && everywhere.kind == hopUnicast:
			return OtherInterface, 0
		}
		return Unroutable, 0
	}
	switch {
	case h.kind == hopLocal && loopback:
		return Send, direct
	case h.kind == hopLocal:
		return Own, 0
	case h.kind == hopUnreachable:
		return Unroutable, 0
	case h.kind == hopBroadcast && !named:
		return Broadcast, 0
	case h.link != link.Index:
		return OtherInterface, 0
	case link.Type != Ethernet:
		return Send, direct
	case h.gateway.IsValid() && a != maxAddr:
		return Send, viaGateway
	}
	return Send, onLink
}

func TestClassifyModel(t *testing.T) {
	r := testrand.New(t)
	for range 600 {
		s := randomSnapshot(r)
		link := &s.links[r.IntN(len(s.links))]
		forced := r.IntN(2) == 0
		c := classifier{snap: s, link: link, fallback: none}
		everywhere := s.all()
		base := everywhere
		if forced {
			base = s.through(link.Index)
			if link.Type == Ethernet && r.IntN(2) == 0 {
				s.hops = append(s.hops, hop{kind: hopUnicast, link: link.Index, gateway: (universe + 1).Netip()})
				c.fallback = int32(len(s.hops) - 1)
			}
		}
		var named []target.Addr
		for _, a := range universeAddrs() {
			if r.IntN(10) == 0 {
				named = append(named, a)
			}
		}
		slices.Sort(named)
		p := c.ways(base, everywhere, named)
		for _, a := range universeAddrs() {
			w := unpack(p.at(a))
			reason, how := modelWay(s, link, forced, c.fallback, a, slices.Contains(named, a))
			if w.reason != reason || reason == Send && w.how != how {
				t.Fatalf("%v by %s, forced %v, named %v: %v %d, model says %v %d\nroutes %v\nhops %v\nsubnets %v",
					a, link.Name, forced, slices.Contains(named, a), w.reason, w.how, reason, how, s.entries, s.hops, s.subnets)
			}
		}
	}
}

func TestClassifySpecial(t *testing.T) {
	s := &snapshot{links: testLinks(), hops: []hop{{kind: hopUnicast, link: lab0Index, gateway: netip.MustParseAddr("198.18.0.2")}}}
	s.entries = []entry{{table: unix.RT_TABLE_MAIN}} // a default route
	c := classifier{snap: s, link: &s.links[1], fallback: none}
	p := c.ways(s.all(), s.all(), nil)
	for _, tt := range []struct {
		addr   string
		reason Reason
		how    how
	}{
		{"0.0.0.0", Own, 0},
		{"0.0.0.1", Send, viaGateway},
		{"126.255.255.255", Send, viaGateway},
		{"127.0.0.0", Own, 0},
		{"127.255.255.255", Own, 0},
		{"128.0.0.0", Send, viaGateway},
		{"223.255.255.255", Send, viaGateway},
		{"224.0.0.0", Send, onLink},
		{"239.255.255.255", Send, onLink},
		{"240.0.0.0", Send, viaGateway},
		{"255.255.255.254", Send, viaGateway},
		{"255.255.255.255", Broadcast, 0},
	} {
		a, _ := target.ParseAddr(tt.addr)
		if w := unpack(p.at(a)); w.reason != tt.reason || w.how != tt.how && w.reason == Send {
			t.Errorf("%s: %v %d, want %v %d", tt.addr, w.reason, w.how, tt.reason, tt.how)
		}
	}
}

func TestWayPack(t *testing.T) {
	for r := Send; r < reasonCount; r++ {
		if got := unpack(way{reason: r}.pack()).reason; got != r {
			t.Errorf("%v became %v", r, got)
		}
	}
	for h := direct; h <= onLink; h++ {
		w := way{how: h, hop: 12345}
		if got := unpack(w.pack()); got != w {
			t.Errorf("%v became %v", w, got)
		}
	}
}
