// SPDX-License-Identifier: Apache-2.0

package route

import (
	"context"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab/labtest"
	"xsweep/sweep/target"
)

// long bounds waits for the kernel that succeed at once unless something is
// broken.
const long = 20 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// peerNamespace makes another network namespace and returns a handle to
// configure it with. It vanishes with the test.
func peerNamespace(t testing.TB) (netns.NsHandle, *netlink.Handle) {
	t.Helper()
	runtime.LockOSThread()
	here, err := netns.Get()
	must(t, err)
	defer here.Close()
	peer, err := netns.New()
	must(t, err)
	if err := netns.Set(here); err != nil {
		t.Fatal(err) // the thread stays locked and ends with the goroutine
	}
	runtime.UnlockOSThread()
	h, err := netlink.NewHandleAt(peer)
	must(t, err)
	t.Cleanup(func() {
		h.Close()
		peer.Close()
	})
	return peer, h
}

// pair is a veth pair: name here, "peer" in a namespace of its own.
type pair struct {
	link, far netlink.Link
	peer      *netlink.Handle
}

// newPair makes a pair with addresses (empty: none) and waits for carrier.
func newPair(t testing.TB, name, addr, farAddr string) pair {
	t.Helper()
	labtest.Kernel(t)
	ns, h := peerNamespace(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "peer", PeerNamespace: netlink.NsFd(ns)}))
	var p pair
	p.peer = h
	p.link = linkByName(t, name)
	t.Cleanup(func() { _ = netlink.LinkDel(p.link) }) // some tests do it themselves
	var err error
	p.far, err = h.LinkByName("peer")
	must(t, err)
	addAddr(t, p.link, addr)
	if farAddr != "" {
		a, err := netlink.ParseAddr(farAddr)
		must(t, err)
		must(t, h.AddrAdd(p.far, a))
	}
	must(t, h.LinkSetUp(p.far))
	must(t, netlink.LinkSetUp(p.link))
	must(t, WaitCarrier(context.Background(), p.link.Attrs().Index, long))
	return p
}

func linkByName(t testing.TB, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	return l
}

func addAddr(t testing.TB, l netlink.Link, addr string) {
	t.Helper()
	if addr == "" {
		return
	}
	a, err := netlink.ParseAddr(addr)
	must(t, err)
	must(t, netlink.AddrAdd(l, a))
}

// addRoute adds a route; with no link it is one of the given type.
func addRoute(t testing.TB, prefix string, l netlink.Link, gateway string, kind int) {
	t.Helper()
	_, dst, err := net.ParseCIDR(prefix)
	must(t, err)
	r := &netlink.Route{Dst: dst, Type: kind, Gw: net.ParseIP(gateway)}
	if l != nil {
		r.LinkIndex = l.Attrs().Index
	} else {
		// Routes with a link vanish with it, these have to be removed.
		t.Cleanup(func() { must(t, netlink.RouteDel(r)) })
	}
	must(t, netlink.RouteAdd(r))
}

// loopbackUp switches on the loopback interface of the test's namespace.
func loopbackUp(t testing.TB) {
	t.Helper()
	labtest.Kernel(t)
	lo := linkByName(t, "lo")
	must(t, netlink.LinkSetUp(lo))
	t.Cleanup(func() { must(t, netlink.LinkSetDown(lo)) })
	must(t, WaitCarrier(context.Background(), lo.Attrs().Index, long))
}

// newTun makes a device without link layer, which exists until the test ends.
func newTun(t testing.TB, name, addr string) netlink.Link {
	t.Helper()
	labtest.Kernel(t)
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR|unix.O_CLOEXEC, 0)
	if os.IsNotExist(err) && os.Getenv("XSWEEP_KERNEL_TESTS") != "required" {
		labtest.Lacking(t, "/dev/net/tun (module tun)")
	}
	must(t, err)
	t.Cleanup(func() { f.Close() })
	req, err := unix.NewIfreq(name)
	must(t, err)
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	must(t, unix.IoctlIfreq(int(f.Fd()), unix.TUNSETIFF, req))
	l := linkByName(t, name)
	addAddr(t, l, addr)
	must(t, netlink.LinkSetUp(l))
	must(t, WaitCarrier(context.Background(), l.Attrs().Index, long))
	return l
}

// resolve plans for targets, with a timeout that no test relies on.
func resolve(t testing.TB, targets string, edit func(*Request)) (*Plan, error) {
	t.Helper()
	req := request(t, targets)
	req.ResolveTimeout = long
	if edit != nil {
		edit(&req)
	}
	return Resolve(context.Background(), req)
}

func reasonOf(t testing.TB, p *Plan, addr string) Reason {
	t.Helper()
	a, err := target.ParseAddr(addr)
	must(t, err)
	return p.Skips.Reason(a)
}
