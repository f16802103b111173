// SPDX-License-Identifier: Apache-2.0

package route

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// behindGateway makes lab0, a /30 with everything else behind its far end.
func behindGateway(t testing.TB) pair {
	p := newPair(t, "lab0", "198.18.0.1/30", "198.18.0.2/30")
	addRoute(t, "0.0.0.0/0", p.link, "198.18.0.2", unix.RTN_UNICAST)
	return p
}

func TestResolveGateway(t *testing.T) {
	p := behindGateway(t)
	plan, err := resolve(t, "198.18.0.0/16", nil)
	must(t, err)
	i := plan.Interface
	if i.Name != "lab0" || i.Index != p.link.Attrs().Index || i.MTU != 1500 || i.Type != Ethernet || !i.Carrier || !bytes.Equal(i.MAC, linkByName(t, "lab0").Attrs().HardwareAddr) {
		t.Errorf("interface %+v", i)
	}
	if plan.Source != netip.MustParseAddr("198.18.0.1") || plan.Gateway != netip.MustParseAddr("198.18.0.2") || plan.Method != Packet {
		t.Errorf("source %v, gateway %v, %v", plan.Source, plan.Gateway, plan.Method)
	}
	if !bytes.Equal(plan.NextHop, p.far.Attrs().HardwareAddr) {
		t.Errorf("next hop %v, the far end is %v", plan.NextHop, p.far.Attrs().HardwareAddr)
	}
	if diff := cmp.Diff(map[string]uint64{"network": 1, "own": 1, "broadcast": 1}, plan.Skips.Counts()); diff != "" {
		t.Error(diff)
	}
	for addr, want := range map[string]Reason{"198.18.0.0": Network, "198.18.0.1": Own, "198.18.0.2": Send, "198.18.0.3": Broadcast, "198.18.0.4": Send} {
		if got := reasonOf(t, plan, addr); got != want {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	}
	if len(plan.Notes) != 0 {
		t.Errorf("notes %q", plan.Notes)
	}
	// The second time the neighbour table has it.
	again, err := resolve(t, "198.18.0.0/16", func(r *Request) { r.Interface, r.Packet = "lab0", true })
	must(t, err)
	if !bytes.Equal(again.NextHop, plan.NextHop) || again.Sweepable != plan.Sweepable {
		t.Errorf("again: next hop %v, %d sweepable", again.NextHop, again.Sweepable)
	}
}

func TestResolveGatewayByIPv6(t *testing.T) {
	p := newPair(t, "lab0", "198.18.0.1/32", "")
	for _, end := range []struct {
		add  func(netlink.Link, *netlink.Addr) error
		link netlink.Link
		addr string
	}{{netlink.AddrAdd, p.link, "2001:db8::1/64"}, {p.peer.AddrAdd, p.far, "2001:db8::2/64"}} {
		a, err := netlink.ParseAddr(end.addr)
		must(t, err)
		a.Flags = unix.IFA_F_NODAD // usable at once
		must(t, end.add(end.link, a))
	}
	_, dst, _ := net.ParseCIDR("0.0.0.0/0")
	must(t, netlink.RouteAdd(&netlink.Route{Dst: dst, LinkIndex: p.link.Attrs().Index, Via: &netlink.Via{AddrFamily: unix.AF_INET6, Addr: net.ParseIP("2001:db8::2")}}))
	plan, err := resolve(t, "198.18.1.0/24", nil)
	must(t, err)
	if !bytes.Equal(plan.NextHop, p.far.Attrs().HardwareAddr) || plan.Gateway != netip.MustParseAddr("2001:db8::2") || plan.Source != netip.MustParseAddr("198.18.0.1") {
		t.Errorf("source %v, gateway %v, next hop %v, the far end is %v", plan.Source, plan.Gateway, plan.NextHop, p.far.Attrs().HardwareAddr)
	}
}

func TestResolveSilentGateway(t *testing.T) {
	p := newPair(t, "lab0", "198.18.0.1/30", "")
	addRoute(t, "0.0.0.0/0", p.link, "198.18.0.2", unix.RTN_UNICAST)
	_, err := resolve(t, "198.18.1.0/24", func(r *Request) { r.ResolveTimeout = 50 * time.Millisecond })
	wantError(t, err, "198.18.0.2", "lab0", "does not answer", "50ms", "--gateway-mac")

	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel) // whenever: before or while it waits
	req := request(t, "198.18.1.0/24")
	req.ResolveTimeout = long
	if _, err := Resolve(ctx, req); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}

	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	plan, err := resolve(t, "198.18.1.0/24", func(r *Request) { r.GatewayMAC = mac })
	must(t, err)
	if !bytes.Equal(plan.NextHop, mac) || plan.Method != Packet {
		t.Errorf("next hop %v, %v", plan.NextHop, plan.Method)
	}
	plan, err = resolve(t, "198.18.1.0/24", func(r *Request) { r.Raw = true })
	must(t, err)
	if plan.NextHop != nil || plan.Method != Raw {
		t.Errorf("next hop %v, %v", plan.NextHop, plan.Method)
	}
}

// A gateway that comes up while it is waited for, after the kernel has given up.
func TestResolveLateGateway(t *testing.T) {
	p := newPair(t, "lab0", "198.18.0.1/30", "")
	addRoute(t, "0.0.0.0/0", p.link, "198.18.0.2", unix.RTN_UNICAST)
	// The kernel gives up after three of these; a second each is its default.
	must(t, os.WriteFile("/proc/sys/net/ipv4/neigh/lab0/retrans_time_ms", []byte("20"), 0))
	updates := make(chan netlink.NeighUpdate, 64)
	done := make(chan struct{})
	must(t, netlink.NeighSubscribe(updates, done))
	type result struct {
		plan *Plan
		err  error
	}
	results := make(chan result, 1)
	req := request(t, "198.18.1.0/24")
	req.ResolveTimeout = long
	go func() {
		plan, err := Resolve(context.Background(), req)
		results <- result{plan, err}
	}()
	failed := false
	for u := range updates {
		if u.State == netlink.NUD_FAILED && !failed {
			failed = true
			a, err := netlink.ParseAddr("198.18.0.2/30")
			must(t, err)
			must(t, p.peer.AddrAdd(p.far, a))
			close(done)
		}
	}
	r := <-results
	must(t, r.err)
	if !bytes.Equal(r.plan.NextHop, p.far.Attrs().HardwareAddr) {
		t.Errorf("next hop %v", r.plan.NextHop)
	}
}

func TestResolvePermanentNeighbour(t *testing.T) {
	p := newPair(t, "lab0", "198.18.0.1/30", "")
	addRoute(t, "0.0.0.0/0", p.link, "198.18.0.2", unix.RTN_UNICAST)
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 7}
	must(t, netlink.NeighAdd(&netlink.Neigh{LinkIndex: p.link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: net.IPv4(198, 18, 0, 2), HardwareAddr: mac}))
	plan, err := resolve(t, "198.18.0.2", nil)
	must(t, err)
	if !bytes.Equal(plan.NextHop, mac) || plan.Gateway != netip.MustParseAddr("198.18.0.2") || plan.Method != Packet {
		t.Errorf("%v to %v by %v", plan.Method, plan.Gateway, plan.NextHop)
	}
}

func TestResolveTwoInterfaces(t *testing.T) {
	a := newPair(t, "lab0", "198.18.0.1/30", "198.18.0.2/30")
	b := newPair(t, "lab1", "198.19.0.1/30", "198.19.0.2/30")
	addRoute(t, "0.0.0.0/0", a.link, "198.18.0.2", unix.RTN_UNICAST)
	addRoute(t, "198.19.0.0/16", b.link, "198.19.0.2", unix.RTN_UNICAST)

	plan, err := resolve(t, "198.18.0.0/16 198.19.0.0/17", nil)
	must(t, err)
	if plan.Interface.Name != "lab0" || plan.Skips.Count(OtherInterface) != 32768-3 {
		t.Errorf("%s, skips %v", plan.Interface.Name, plan.Skips.Counts())
	}
	plan, err = resolve(t, "198.19.1.0/24", nil)
	must(t, err)
	if plan.Interface.Name != "lab1" || plan.Source != netip.MustParseAddr("198.19.0.1") || !bytes.Equal(plan.NextHop, b.far.Attrs().HardwareAddr) {
		t.Errorf("%s, source %v, next hop %v", plan.Interface.Name, plan.Source, plan.NextHop)
	}
	// The interface that only leads to one network is made to carry all.
	plan, err = resolve(t, "240.0.0.0/24", func(r *Request) { r.Interface = "lab1" })
	must(t, err)
	if plan.Interface.Name != "lab1" || plan.Source != netip.MustParseAddr("198.19.0.1") || plan.Gateway != netip.MustParseAddr("198.19.0.2") || plan.Sweepable != 256 || len(plan.Notes) != 0 {
		t.Errorf("%s, source %v, gateway %v, %d sweepable, notes %q", plan.Interface.Name, plan.Source, plan.Gateway, plan.Sweepable, plan.Notes)
	}
	_, err = resolve(t, "198.18.1.0/24 198.19.1.1 198.19.0.1", nil)
	wantError(t, err, "198.19.1.1", "behind lab1", "uses lab0")
}

func TestResolveUnroutable(t *testing.T) {
	p := newPair(t, "lab0", "198.18.0.1/30", "198.18.0.2/30")
	addRoute(t, "198.18.0.0/16", p.link, "198.18.0.2", unix.RTN_UNICAST)
	addRoute(t, "198.18.32.0/24", nil, "", unix.RTN_UNREACHABLE)
	addRoute(t, "198.18.33.0/24", nil, "", unix.RTN_BLACKHOLE)
	addRoute(t, "198.18.34.0/24", nil, "", unix.RTN_PROHIBIT)
	addRoute(t, "198.18.35.0/24", nil, "", unix.RTN_THROW)
	plan, err := resolve(t, "198.18.32.0/20 198.19.0.0/24", nil)
	must(t, err)
	if diff := cmp.Diff(map[string]uint64{"unroutable": 5 * 256}, plan.Skips.Counts()); diff != "" {
		t.Error(diff)
	}
	_, err = resolve(t, "198.18.33.7", nil)
	wantError(t, err, "198.18.33.7", "blackhole")
	_, err = resolve(t, "198.19.0.1", nil)
	wantError(t, err, "198.19.0.1", "no route")
	_, err = resolve(t, "198.19.0.0/24", nil)
	wantError(t, err, "nothing to sweep", "unroutable 256")
}

func TestResolveSubnets(t *testing.T) {
	for _, tt := range []struct {
		addr, targets string
		skips         map[string]uint64
		onLink        uint64
	}{
		{"198.18.0.1/30", "198.18.0.0/30", map[string]uint64{"network": 1, "own": 1, "broadcast": 1}, 1},
		{"198.18.0.1/31", "198.18.0.0/31", map[string]uint64{"own": 1}, 1},
		{"198.18.0.1/24", "198.18.0.0/24", map[string]uint64{"network": 1, "own": 1, "broadcast": 1}, 253},
		{"198.18.0.1/24", "198.18.0.0/24 198.18.0.255 198.18.0.0", map[string]uint64{"own": 1}, 255},
		{"198.18.0.1/23", "198.18.0.0/23", map[string]uint64{"network": 1, "own": 1, "broadcast": 1}, 509},
		{"198.18.0.1/20", "198.18.4.0/23", map[string]uint64{}, 512},
	} {
		t.Run(tt.addr+" "+tt.targets, func(t *testing.T) {
			newPair(t, "lab0", tt.addr, "")
			plan, err := resolve(t, tt.targets, nil)
			must(t, err)
			if diff := cmp.Diff(tt.skips, plan.Skips.Counts()); diff != "" || plan.OnLink != tt.onLink || plan.Method != Raw || plan.NextHop != nil {
				t.Errorf("%d on-link, want %d; %v; next hop %v; skips:\n%s", plan.OnLink, tt.onLink, plan.Method, plan.NextHop, diff)
			}
			if plan.Source != netip.MustParseAddr("198.18.0.1") {
				t.Errorf("source %v", plan.Source)
			}
		})
	}
	t.Run("too many", func(t *testing.T) {
		newPair(t, "lab0", "198.18.0.1/20", "")
		_, err := resolve(t, "198.18.4.0/23 198.18.6.0", nil)
		wantError(t, err, "513 addresses are on-link on lab0", "at most 512")
	})
}

func TestResolveOwn(t *testing.T) {
	behindGateway(t)
	loopbackUp(t)
	_, err := resolve(t, "198.18.1.0/24 198.18.0.1", nil)
	wantError(t, err, "198.18.0.1", "address of this machine (lab0)")
	plan, err := resolve(t, "198.18.0.1", nil)
	must(t, err)
	if plan.Interface.Name != "lo" || plan.Source != netip.MustParseAddr("198.18.0.1") || plan.Method != Raw || plan.Skips.Total() != 0 {
		t.Errorf("%s, source %v, %v, skips %v", plan.Interface.Name, plan.Source, plan.Method, plan.Skips.Counts())
	}
}

func TestResolveLoopback(t *testing.T) {
	loopbackUp(t)
	plan, err := resolve(t, "127.0.0.0/16", nil)
	must(t, err)
	if plan.Interface.Name != "lo" || plan.Interface.Type != Loopback || plan.Source != netip.MustParseAddr("127.0.0.1") || plan.Method != Raw || plan.Sweepable != 65536 {
		t.Errorf("%+v, source %v, %v, %d sweepable", plan.Interface, plan.Source, plan.Method, plan.Sweepable)
	}
	plan, err = resolve(t, "127.0.0.0/8", func(r *Request) { r.Interface = "lo" })
	must(t, err)
	if plan.Sweepable != 1<<24-1 || reasonOf(t, plan, "127.255.255.255") != Broadcast {
		t.Errorf("%d sweepable, skips %v", plan.Sweepable, plan.Skips.Counts())
	}
}

func TestResolveTunnel(t *testing.T) {
	l := newTun(t, "tun0", "198.18.0.1/32")
	addRoute(t, "198.18.0.0/15", l, "", unix.RTN_UNICAST)
	plan, err := resolve(t, "198.18.0.0/16", nil)
	must(t, err)
	if plan.Interface.Type != BareIP || plan.Interface.MAC != nil || plan.Method != Raw || plan.OnLink != 0 || plan.Source != netip.MustParseAddr("198.18.0.1") {
		t.Errorf("%+v, source %v, %v, %d on-link", plan.Interface, plan.Source, plan.Method, plan.OnLink)
	}
	if diff := cmp.Diff(map[string]uint64{"own": 1}, plan.Skips.Counts()); diff != "" {
		t.Error(diff)
	}
	_, err = resolve(t, "198.18.1.0/24", func(r *Request) { r.Packet = true })
	wantError(t, err, "tun0", "bare IP", "use raw")
}

func TestResolveInterfaceState(t *testing.T) {
	p := behindGateway(t)
	_, err := resolve(t, "198.18.1.0/24", func(r *Request) { r.Interface = "eth9" })
	wantError(t, err, "interface eth9 does not exist", "there are lab0, lo")

	must(t, p.peer.LinkSetDown(p.far))
	waitState(t, p.link, LinkNoCarrier)
	_, err = resolve(t, "198.18.1.0/24", nil)
	wantError(t, err, "lab0 has no carrier")

	must(t, netlink.LinkSetDown(p.link))
	_, err = resolve(t, "198.18.1.0/24", func(r *Request) { r.Interface = "lab0" })
	wantError(t, err, "lab0 is down", "ip link set lab0 up")
	_, err = resolve(t, "198.18.1.0/24", nil)
	wantError(t, err, "nothing to sweep", "lab0 is down")
	_, err = resolve(t, "127.0.0.1", nil)
	wantError(t, err, "lo is down")
}

func TestResolveSource(t *testing.T) {
	p := behindGateway(t)
	addAddr(t, p.link, "198.18.8.1/24")
	plan, err := resolve(t, "198.18.1.0/24", func(r *Request) { r.Source = netip.MustParseAddr("198.18.8.1") })
	must(t, err)
	if plan.Source != netip.MustParseAddr("198.18.8.1") || len(plan.Notes) != 0 {
		t.Errorf("source %v, notes %q", plan.Source, plan.Notes)
	}
	plan, err = resolve(t, "198.18.1.0/24", func(r *Request) { r.Source = netip.MustParseAddr("198.18.9.9") })
	must(t, err)
	if plan.Source != netip.MustParseAddr("198.18.9.9") || len(plan.Notes) != 1 {
		t.Errorf("source %v, notes %q", plan.Source, plan.Notes)
	}
	_, err = resolve(t, "198.18.1.0/24", func(r *Request) { r.Source = netip.MustParseAddr("127.0.0.1") })
	wantError(t, err, "127.0.0.1", "lab0")

	// A route can prefer one of several sources.
	_, dst, _ := net.ParseCIDR("198.18.64.0/18")
	must(t, netlink.RouteAdd(&netlink.Route{Dst: dst, LinkIndex: p.link.Attrs().Index, Gw: net.IPv4(198, 18, 0, 2), Src: net.IPv4(198, 18, 8, 1)}))
	plan, err = resolve(t, "198.18.64.0/24", nil)
	must(t, err)
	if plan.Source != netip.MustParseAddr("198.18.8.1") {
		t.Errorf("preferred source: %v", plan.Source)
	}
}

func TestResolveWithoutAddress(t *testing.T) {
	newPair(t, "lab1", "198.19.0.1/30", "") // an address that the kernel could borrow
	p := newPair(t, "lab0", "", "")
	addRoute(t, "198.18.0.0/16", p.link, "", unix.RTN_UNICAST)
	_, err := resolve(t, "198.18.1.0/24", nil)
	wantError(t, err, "lab0 has no IPv4 address", "--source")
	plan, err := resolve(t, "198.18.1.0/24", func(r *Request) { r.Source = netip.MustParseAddr("198.19.0.1") })
	must(t, err)
	if plan.Source != netip.MustParseAddr("198.19.0.1") {
		t.Errorf("source %v", plan.Source)
	}
}

func TestResolvePolicyRules(t *testing.T) {
	p := behindGateway(t)
	addRoute(t, "198.18.0.0/16", p.link, "198.18.0.2", unix.RTN_UNICAST)
	other := newPair(t, "lab1", "198.19.0.1/30", "198.19.0.2/30")
	_, all, _ := net.ParseCIDR("0.0.0.0/0")
	must(t, netlink.RouteAdd(&netlink.Route{Dst: all, LinkIndex: other.link.Attrs().Index, Gw: net.IPv4(198, 19, 0, 2), Table: 100}))
	rule := netlink.NewRule()
	rule.Priority, rule.Table, rule.Family = 100, 100, unix.AF_INET
	must(t, netlink.RuleAdd(rule))
	t.Cleanup(func() { must(t, netlink.RuleDel(rule)) })
	plan, err := resolve(t, "198.18.1.0/24", nil)
	must(t, err)
	notes := strings.Join(plan.Notes, "\n")
	if plan.Interface.Name != "lab0" || !strings.Contains(notes, "policy rules other than") || !strings.Contains(notes, "through lab1") {
		t.Errorf("%s, notes %q", plan.Interface.Name, plan.Notes)
	}
}

func TestResolveMultipath(t *testing.T) {
	a := newPair(t, "lab0", "198.18.0.1/30", "198.18.0.2/30")
	b := newPair(t, "lab1", "198.19.0.1/30", "198.19.0.2/30")
	_, dst, _ := net.ParseCIDR("240.0.0.0/8")
	must(t, netlink.RouteAdd(&netlink.Route{Dst: dst, MultiPath: []*netlink.NexthopInfo{
		{LinkIndex: a.link.Attrs().Index, Gw: net.IPv4(198, 18, 0, 2)},
		{LinkIndex: b.link.Attrs().Index, Gw: net.IPv4(198, 19, 0, 2)},
	}}))
	for name, gateway := range map[string]string{"": "198.18.0.2", "lab0": "198.18.0.2", "lab1": "198.19.0.2"} {
		plan, err := resolve(t, "240.0.0.0/16", func(r *Request) { r.Interface = name })
		must(t, err)
		if plan.Gateway != netip.MustParseAddr(gateway) || plan.Method != Packet || plan.Sweepable != 65536 {
			t.Errorf("%q: gateway %v, %v, %d sweepable", name, plan.Gateway, plan.Method, plan.Sweepable)
		}
	}
}
