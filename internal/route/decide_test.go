// SPDX-License-Identifier: Apache-2.0

package route

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"xsweep/sweep/target"
)

// testRoute is a route of a synthetic snapshot.
type testRoute struct {
	prefix string
	table  uint8 // 0: main
	hop    hop
}

func testSnapshot(t *testing.T, addrs map[string]int, routes ...testRoute) *snapshot {
	t.Helper()
	s := &snapshot{links: testLinks()}
	for a, link := range addrs {
		p := netip.MustParsePrefix(a)
		own, _ := target.AddrFrom(p.Addr())
		s.subnets = append(s.subnets, subnet{link, own, p.Masked()})
		routes = append(routes, testRoute{p.Addr().String() + "/32", unix.RT_TABLE_LOCAL, hop{kind: hopLocal, link: link}})
		if link == loIndex {
			routes = append(routes, testRoute{p.Masked().String(), unix.RT_TABLE_LOCAL, hop{kind: hopLocal, link: link}})
		} else {
			routes = append(routes, testRoute{p.Masked().String(), 0, hop{link: link}})
		}
	}
	for _, r := range routes {
		if r.table == 0 {
			r.table = unix.RT_TABLE_MAIN
		}
		p := netip.MustParsePrefix(r.prefix)
		first, _ := target.AddrFrom(p.Addr())
		s.entries = append(s.entries, entry{first: first, bits: uint8(p.Bits()), table: r.table, hop: int32(len(s.hops))})
		s.hops = append(s.hops, r.hop)
	}
	return s
}

func via(link int, gateway string) hop {
	return hop{link: link, gateway: netip.MustParseAddr(gateway)}
}

// request names targets, separated by spaces, and sweeps all of them.
func request(t testing.TB, targets string) Request {
	t.Helper()
	var req Request
	var ranges []target.Range
	for _, text := range strings.Fields(targets) {
		parsed, err := target.Parse(context.Background(), nil, text)
		if err != nil {
			t.Fatal(err)
		}
		req.Targets = append(req.Targets, parsed...)
	}
	for _, p := range req.Targets {
		ranges = append(ranges, p.Range)
	}
	req.Set = target.NewSet(ranges...)
	return req
}

func TestDecide(t *testing.T) {
	lab := map[string]int{"198.18.0.1/30": lab0Index, "127.0.0.1/8": loIndex}
	lan := map[string]int{"198.18.0.1/20": lab0Index, "198.19.0.1/24": lab1Index}
	gw := testRoute{"0.0.0.0/0", 0, via(lab0Index, "198.18.0.2")}
	gw1 := testRoute{"198.19.128.0/17", 0, via(lab1Index, "198.19.0.2")}
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}

	for _, tt := range []struct {
		name    string
		addrs   map[string]int
		routes  []testRoute
		targets string
		forced  int
		edit    func(*Request)
		link    string
		method  Method
		gateway string
		onLink  uint64
		skips   map[string]uint64
		sends   uint64
		note    string // part of the only note
		err     []string
	}{
		{name: "all behind one gateway", addrs: lab, routes: []testRoute{gw}, targets: "198.18.0.0/16",
			link: "lab0", method: Packet, gateway: "198.18.0.2", sends: 65533,
			skips: map[string]uint64{"network": 1, "own": 1, "broadcast": 1}},
		{name: "the gateway alone", addrs: lab, routes: []testRoute{gw}, targets: "198.18.0.2",
			link: "lab0", method: Packet, gateway: "198.18.0.2", sends: 1},
		{name: "a whole /4", addrs: lab, routes: []testRoute{gw}, targets: "240.0.0.0/4",
			link: "lab0", method: Packet, gateway: "198.18.0.2", sends: 1<<28 - 1, skips: map[string]uint64{"broadcast": 1}},
		{name: "raw asked for", addrs: lab, routes: []testRoute{gw}, targets: "198.18.1.0/24", edit: func(r *Request) { r.Raw = true },
			link: "lab0", method: Raw, gateway: "198.18.0.2", sends: 256},
		{name: "two gateways", addrs: lan, routes: []testRoute{gw, {"198.18.128.0/17", 0, via(lab0Index, "198.18.0.3")}}, targets: "198.18.127.0-198.18.128.255",
			link: "lab0", method: Raw, sends: 512},
		{name: "two gateways, packet asked for", addrs: lan, routes: []testRoute{gw, {"198.18.128.0/17", 0, via(lab0Index, "198.18.0.3")}}, targets: "198.18.127.0-198.18.128.255",
			edit: func(r *Request) { r.Packet = true }, err: []string{"packet", "2 gateways", "--gateway-mac"}},
		{name: "two gateways, next hop given", addrs: lan, routes: []testRoute{gw, {"198.18.128.0/17", 0, via(lab0Index, "198.18.0.3")}}, targets: "198.18.127.0-198.18.128.255",
			edit: func(r *Request) { r.GatewayMAC = mac }, link: "lab0", method: Packet, sends: 512},
		{name: "a route that wraps", addrs: lab, routes: []testRoute{{"0.0.0.0/0", 0, hop{link: lab0Index, gateway: netip.MustParseAddr("198.18.0.2"), encap: true}}}, targets: "198.18.1.0/24",
			link: "lab0", method: Raw, gateway: "198.18.0.2", sends: 256},

		{name: "on-link /24", addrs: lan, routes: []testRoute{gw}, targets: "198.18.1.0/24",
			link: "lab0", method: Raw, onLink: 256, sends: 256},
		{name: "on-link, edges of the subnet", addrs: lan, targets: "198.18.0.0/24 198.18.15.254-198.18.15.255",
			link: "lab0", method: Raw, onLink: 255, sends: 255, skips: map[string]uint64{"network": 1, "own": 1, "broadcast": 1}},
		{name: "on-link 512", addrs: lan, routes: []testRoute{gw}, targets: "198.18.2.0/23",
			link: "lab0", method: Raw, onLink: 512, sends: 512},
		{name: "on-link 513", addrs: lan, routes: []testRoute{gw}, targets: "198.18.2.0-198.18.4.0",
			err: []string{"513", "on-link sweeps over 512 addresses need neighbour resolution", "at most 512"}},
		{name: "on-link 512 and more behind the gateway", addrs: lan, routes: []testRoute{gw}, targets: "198.18.14.0-198.18.16.255",
			link: "lab0", method: Raw, gateway: "198.18.0.2", onLink: 511, sends: 767, skips: map[string]uint64{"broadcast": 1}},
		{name: "too many on-link in a wider target", addrs: lan, routes: []testRoute{gw}, targets: "198.18.0.0/16",
			link: "lab0", method: Packet, gateway: "198.18.0.2", sends: 65536 - 4096 + 1, note: "4092 on-link addresses on lab0 skipped",
			skips: map[string]uint64{"network": 1, "own": 1, "broadcast": 1, "on_link": 4092}},
		{name: "too many on-link, one of them named", addrs: lan, routes: []testRoute{gw}, targets: "198.18.0.0/16 198.18.0.77",
			link: "lab0", method: Raw, gateway: "198.18.0.2", onLink: 1, sends: 65536 - 4096 + 2, note: "4091 on-link addresses",
			skips: map[string]uint64{"network": 1, "own": 1, "broadcast": 1, "on_link": 4091}},
		{name: "on-link, packet asked for", addrs: lan, routes: []testRoute{gw}, targets: "198.18.1.7 198.19.128.0/24", edit: func(r *Request) { r.Packet = true },
			err: []string{"1 of them on lab0", "198.18.1.7", "raw"}},
		{name: "on-link, next hop given", addrs: lan, routes: []testRoute{gw}, targets: "198.18.1.7", edit: func(r *Request) { r.GatewayMAC = mac },
			link: "lab0", method: Raw, onLink: 1, sends: 1, note: "no effect"},
		{name: "partly on-link, next hop given", addrs: lan, routes: []testRoute{gw}, targets: "198.18.15.0-198.18.16.255", edit: func(r *Request) { r.GatewayMAC = mac },
			link: "lab0", method: Packet, gateway: "198.18.0.2", sends: 256, skips: map[string]uint64{"on_link": 255, "broadcast": 1}, note: "255 on-link"},
		{name: "named on-link, next hop given", addrs: lan, routes: []testRoute{gw}, targets: "198.18.15.7 198.18.16.0/24", edit: func(r *Request) { r.GatewayMAC = mac },
			err: []string{"198.18.15.7", "on-link"}},
		{name: "multicast", addrs: lab, routes: []testRoute{gw}, targets: "224.0.0.1",
			link: "lab0", method: Raw, onLink: 1, sends: 1},

		{name: "broadcast named singly", addrs: lan, targets: "198.18.15.255",
			link: "lab0", method: Raw, onLink: 1, sends: 1},
		{name: "network named singly", addrs: lan, targets: "198.18.0.0",
			link: "lab0", method: Raw, onLink: 1, sends: 1},
		{name: "a route to broadcast, named singly", addrs: lan, routes: []testRoute{{"198.18.15.255/32", unix.RT_TABLE_LOCAL, hop{kind: hopBroadcast, link: lab0Index}}}, targets: "198.18.15.255",
			link: "lab0", method: Raw, onLink: 1, sends: 1},
		{name: "/31 has no edges", addrs: map[string]int{"198.18.0.0/31": lab0Index}, targets: "198.18.0.0/31",
			link: "lab0", method: Raw, onLink: 1, sends: 1, skips: map[string]uint64{"own": 1}},

		{name: "own address", addrs: lan, routes: []testRoute{gw}, targets: "198.18.0.1 198.18.16.0/24", err: []string{"198.18.0.1", "address of this machine (lab0)"}},
		{name: "own address alone", addrs: lan, routes: []testRoute{gw}, targets: "198.18.0.1", link: "lo", method: Raw, sends: 1},
		{name: "loopback", addrs: lab, routes: []testRoute{gw}, targets: "127.0.0.0/16", link: "lo", method: Raw, sends: 65536},
		{name: "loopback and more", addrs: lab, routes: []testRoute{gw}, targets: "127.0.0.0/16 198.18.1.0/24",
			link: "lab0", method: Packet, gateway: "198.18.0.2", sends: 256, skips: map[string]uint64{"own": 65536}},
		{name: "loopback, packet asked for", addrs: lab, targets: "127.0.0.1", edit: func(r *Request) { r.Packet = true }, err: []string{"lo (loopback)", "raw"}},

		{name: "the other interface", addrs: lan, routes: []testRoute{gw, gw1}, targets: "198.19.0.0/16",
			link: "lab1", method: Raw, gateway: "198.19.0.2", onLink: 252, sends: 253 + 32768, skips: map[string]uint64{"own": 1, "network": 1, "broadcast": 1, "other_interface": 32768 - 256}},
		{name: "named behind the other interface", addrs: lan, routes: []testRoute{gw, gw1}, targets: "198.18.128.0/24 198.19.128.1",
			err: []string{"198.19.128.1", "behind lab1", "uses lab0"}},
		{name: "interface given", addrs: lan, routes: []testRoute{gw, gw1}, targets: "198.19.128.0/24", forced: lab0Index,
			link: "lab0", method: Packet, gateway: "198.18.0.2", sends: 256},
		{name: "interface given without route", addrs: lan, routes: []testRoute{gw, gw1}, targets: "8.8.8.0/24", forced: lab1Index,
			link: "lab1", method: Packet, gateway: "198.19.0.2", sends: 256},
		{name: "interface given without route, raw asked for", addrs: lan, routes: []testRoute{gw, gw1}, targets: "8.8.8.0/24", forced: lab1Index, edit: func(r *Request) { r.Raw = true },
			err: []string{"no route through lab1", "256"}},
		{name: "interface given without gateway", addrs: lan, routes: []testRoute{gw}, targets: "8.8.8.0/24", forced: lab1Index,
			err: []string{"nothing to sweep", "other_interface 256"}},
		{name: "interface and next hop given", addrs: lan, routes: []testRoute{gw}, targets: "8.8.8.0/24 198.19.0.128/25", forced: lab1Index, edit: func(r *Request) { r.GatewayMAC = mac },
			link: "lab1", method: Packet, sends: 256, skips: map[string]uint64{"on_link": 127, "broadcast": 1}, note: "127 on-link"},
		{name: "interface given with two gateways", addrs: lan, routes: []testRoute{gw, gw1, {"198.19.64.0/18", 0, via(lab1Index, "198.19.0.3")}}, targets: "8.8.8.0/24", forced: lab1Index,
			err: []string{"nothing to sweep", "other_interface 256"}},

		{name: "no route", addrs: lan, targets: "8.8.8.8", err: []string{"8.8.8.8", "no route", "--gateway-mac"}},
		{name: "no route for any", addrs: lan, targets: "8.8.8.0/24", err: []string{"nothing to sweep", "256", "unroutable 256"}},
		{name: "unreachable and blackhole", addrs: lan, routes: []testRoute{gw, {"198.18.32.0/24", 0, hop{kind: hopUnreachable}}}, targets: "198.18.32.0/23",
			link: "lab0", method: Packet, gateway: "198.18.0.2", sends: 256, skips: map[string]uint64{"unroutable": 256}},
		{name: "unreachable, named", addrs: lan, routes: []testRoute{gw, {"198.18.32.0/24", 0, hop{kind: hopUnreachable}}}, targets: "198.18.32.9 198.18.32.10 198.18.33.0/24",
			err: []string{"198.18.32.9", "unreachable", "singly, 2 cannot"}},
		{name: "throw falls through to the default table", addrs: lan, routes: []testRoute{{"198.18.32.0/24", 0, hop{kind: hopThrow}}, {"198.18.32.0/25", unix.RT_TABLE_DEFAULT, via(lab0Index, "198.18.0.2")}}, targets: "198.18.32.0/24",
			link: "lab0", method: Packet, gateway: "198.18.0.2", sends: 128, skips: map[string]uint64{"unroutable": 128}},
		{name: "tunnel", addrs: map[string]int{"198.18.0.1/32": tun0Index}, routes: []testRoute{{"198.18.0.0/15", 0, hop{link: tun0Index}}}, targets: "198.18.0.0/20",
			link: "tun0", method: Raw, sends: 4095, skips: map[string]uint64{"own": 1}},
		{name: "tunnel, next hop given", addrs: map[string]int{"198.18.0.1/32": tun0Index}, routes: []testRoute{{"198.18.0.0/15", 0, hop{link: tun0Index}}}, targets: "198.18.0.0/20", edit: func(r *Request) { r.GatewayMAC = mac },
			err: []string{"tun0", "--gateway-mac"}},
		{name: "gateway by IPv6", addrs: lab, routes: []testRoute{{"0.0.0.0/0", 0, via(lab0Index, "fe80::1")}}, targets: "198.18.1.0/24",
			link: "lab0", method: Packet, gateway: "fe80::1", sends: 256},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := testSnapshot(t, tt.addrs, tt.routes...)
			s.forced = tt.forced
			req := request(t, tt.targets)
			if tt.edit != nil {
				tt.edit(&req)
			}
			d, err := decide(s, req)
			if tt.err != nil {
				wantError(t, err, tt.err...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p := d.plan
			gateway := ""
			if p.Gateway.IsValid() {
				gateway = p.Gateway.String()
			}
			if p.Interface.Name != tt.link || p.Method != tt.method || gateway != tt.gateway || p.OnLink != tt.onLink || p.Sweepable != tt.sends || p.Why == "" {
				t.Errorf("%s, %v (%s), gateway %q, %d on-link, %d sweepable; want %s, %v, gateway %q, %d on-link, %d sweepable",
					p.Interface.Name, p.Method, p.Why, gateway, p.OnLink, p.Sweepable, tt.link, tt.method, tt.gateway, tt.onLink, tt.sends)
			}
			if tt.skips == nil {
				tt.skips = map[string]uint64{}
			}
			if diff := cmp.Diff(tt.skips, p.Skips.Counts()); diff != "" {
				t.Errorf("skips (-want +got):\n%s", diff)
			}
			if p.Sweepable+p.Skips.Total() != req.Set.Len() {
				t.Errorf("%d sweepable and %d skipped are not %d", p.Sweepable, p.Skips.Total(), req.Set.Len())
			}
			notes := strings.Join(p.Notes, "\n")
			if (notes == "") != (tt.note == "") || !strings.Contains(notes, tt.note) || len(p.Notes) > 1 {
				t.Errorf("notes %q, want one with %q", p.Notes, tt.note)
			}
			if p.Skips.Reason(d.sample) != Send || !req.Set.Contains(d.sample) {
				t.Errorf("sample %v is not swept", d.sample)
			}
		})
	}
}

// wantError checks that err is one line and has all of the parts.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	t.Log(err)
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not say %q", err, p)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q has several lines", err)
	}
}

func TestDecideNamesTargets(t *testing.T) {
	s := testSnapshot(t, map[string]int{"198.18.0.1/30": lab0Index}, testRoute{"198.18.4.0/24", 0, via(lab0Index, "198.18.0.2")})
	req := request(t, "198.18.4.0/24 198.18.0.1")
	req.Targets[1].Text, req.Targets[1].Where = "own.example", "targets.txt:12"
	_, err := decide(s, req)
	wantError(t, err, "targets.txt:12: target 198.18.0.1 (own.example): ")

	// What an exclusion took out of the set is nobody's business.
	req.Set = req.Set.Subtract(target.NewSet(req.Targets[1].Range))
	if _, err := decide(s, req); err != nil {
		t.Error(err)
	}
}

func TestDecideLinkState(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*Link)
		err  []string
	}{
		{"down", func(l *Link) { l.Up, l.Carrier = false, false }, []string{"lab0 is down", "ip link set lab0 up"}},
		{"no carrier", func(l *Link) { l.Carrier = false }, []string{"lab0 has no carrier"}},
		{"unknown", func(l *Link) { l.Type, l.kind = UnknownLink, "infiniband" }, []string{"lab0", "infiniband"}},
		{"no address", func(l *Link) { l.MAC = nil }, []string{"lab0 has no Ethernet address"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := testSnapshot(t, map[string]int{"198.18.0.1/24": lab0Index})
			tt.edit(&s.links[1])
			_, err := decide(s, request(t, "198.18.0.2"))
			wantError(t, err, tt.err...)
		})
	}
}

func TestRequestValidate(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	for _, tt := range []struct {
		name string
		edit func(*Request)
		err  string // empty: valid
	}{
		{"minimal", func(*Request) {}, ""},
		{"everything", func(r *Request) { r.Source, r.GatewayMAC, r.Packet = netip.MustParseAddr("198.18.0.9"), mac, true }, ""},
		{"empty set", func(r *Request) { r.Set = target.Set{} }, "no addresses"},
		{"both methods", func(r *Request) { r.Raw, r.Packet = true, true }, "choose one"},
		{"negative timeout", func(r *Request) { r.ResolveTimeout = -1 }, "negative"},
		{"IPv6 source", func(r *Request) { r.Source = netip.MustParseAddr("2001:db8::1") }, "2001:db8::1 is not"},
		{"multicast source", func(r *Request) { r.Source = netip.MustParseAddr("224.0.0.1") }, "is not an IPv4 unicast"},
		{"broadcast source", func(r *Request) { r.Source = netip.MustParseAddr("255.255.255.255") }, "is not an IPv4 unicast"},
		{"no source", func(r *Request) { r.Source = netip.MustParseAddr("0.0.0.0") }, "is not an IPv4 unicast"},
		{"long MAC", func(r *Request) { r.GatewayMAC = make([]byte, 8) }, "8 bytes"},
		{"empty MAC", func(r *Request) { r.GatewayMAC = net.HardwareAddr{} }, "0 bytes"},
		{"group MAC", func(r *Request) { r.GatewayMAC = net.HardwareAddr{1, 0, 0x5e, 0, 0, 1} }, "not a unicast"},
		{"zero MAC", func(r *Request) { r.GatewayMAC = make([]byte, 6) }, "not a unicast"},
		{"MAC and raw", func(r *Request) { r.GatewayMAC, r.Raw = mac, true }, "raw transmitter leaves"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := request(t, "198.18.0.0/24")
			tt.edit(&req)
			err := req.validate()
			if tt.err != "" {
				wantError(t, err, tt.err)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}
