// SPDX-License-Identifier: Apache-2.0

package route

import (
	"context"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab/labtest"
)

// waitState waits until the interface is in a state.
func waitState(t testing.TB, l netlink.Link, want LinkState) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	w, err := openWatch(ctx, l.Attrs().Index)
	must(t, err)
	defer w.close()
	for {
		state, err := w.next()
		must(t, err)
		if state == want {
			return
		}
	}
}

func wantEvent(t *testing.T, events <-chan LinkEvent, want LinkState) {
	t.Helper()
	select {
	case e, ok := <-events:
		if !ok || e.Err != nil || e.State != want {
			t.Fatalf("event %v (%v), error %v, want %v", e.State, ok, e.Err, want)
		}
	case <-time.After(long):
		t.Fatalf("no event, want %v", want)
	}
}

func wantClosed(t *testing.T, events <-chan LinkEvent) {
	t.Helper()
	select {
	case e, ok := <-events:
		if ok {
			t.Fatalf("event %v, want none", e.State)
		}
	case <-time.After(long):
		t.Fatal("the channel is not closed")
	}
}

func TestWatchLink(t *testing.T) {
	p := newPair(t, "lab0", "", "")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events, err := WatchLink(ctx, p.link.Attrs().Index)
	must(t, err)
	must(t, netlink.LinkSetMTU(p.link, 1400)) // an update that is no change of state
	must(t, p.peer.LinkSetDown(p.far))
	wantEvent(t, events, LinkNoCarrier)
	must(t, p.peer.LinkSetUp(p.far))
	wantEvent(t, events, LinkUp)
	must(t, netlink.LinkSetDown(p.link))
	wantEvent(t, events, LinkDown)
	must(t, netlink.LinkDel(p.link))
	wantEvent(t, events, LinkRemoved)
	wantClosed(t, events)
}

func TestWatchLinkEndsWithContext(t *testing.T) {
	p := newPair(t, "lab0", "", "")
	ctx, cancel := context.WithCancel(context.Background())
	events, err := WatchLink(ctx, p.link.Attrs().Index)
	must(t, err)
	cancel()
	wantClosed(t, events)
}

func TestWatchLinkMissing(t *testing.T) {
	labtest.Kernel(t)
	events, err := WatchLink(context.Background(), 999999)
	must(t, err)
	wantEvent(t, events, LinkRemoved)
	wantClosed(t, events)
}

// A bridge announces in its own way that a port leaves it; the port stays.
func TestWatchLinkBridgePort(t *testing.T) {
	p := newPair(t, "lab0", "", "")
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "bridge0"
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(bridge); errors.Is(err, unix.EOPNOTSUPP) && os.Getenv("XSWEEP_KERNEL_TESTS") != "required" {
		labtest.Lacking(t, "a kernel with bridges (module bridge)")
	} else {
		must(t, err)
	}
	t.Cleanup(func() { must(t, netlink.LinkDel(bridge)) })
	must(t, netlink.LinkSetMaster(p.link, bridge))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events, err := WatchLink(ctx, p.link.Attrs().Index)
	must(t, err)
	must(t, netlink.LinkSetNoMaster(p.link))
	must(t, netlink.LinkSetDown(p.link))
	wantEvent(t, events, LinkDown)
}

// More updates than the socket holds, while nobody reads: the last state counts.
func TestWatchLinkOverrun(t *testing.T) {
	p := newPair(t, "lab0", "", "")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w, err := openWatch(ctx, p.link.Attrs().Index)
	must(t, err)
	defer w.close()
	must(t, w.socket.conn.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) // the kernel's minimum
	}))
	must(t, err)
	for range 16 {
		must(t, netlink.LinkSetDown(p.link))
		must(t, netlink.LinkSetUp(p.link))
	}
	must(t, netlink.LinkSetDown(p.link))
	waitState(t, p.link, LinkDown)
	asked := w.asked
	var last LinkState
	for w.asked == asked || last != LinkDown {
		last, err = w.next()
		must(t, err)
	}
}

func TestWaitCarrier(t *testing.T) {
	p := newPair(t, "lab0", "", "") // which itself waits for it
	index := p.link.Attrs().Index
	must(t, p.peer.LinkSetDown(p.far))
	waitState(t, p.link, LinkNoCarrier)
	wantError(t, WaitCarrier(context.Background(), index, 10*time.Millisecond), "no carrier", "10ms")
	must(t, netlink.LinkSetDown(p.link))
	wantError(t, WaitCarrier(context.Background(), index, 10*time.Millisecond), "state is down")

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := WaitCarrier(ctx, index, long); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}

	done := make(chan error, 1)
	go func() { done <- WaitCarrier(context.Background(), index, long) }()
	must(t, netlink.LinkSetUp(p.link))
	must(t, p.peer.LinkSetUp(p.far))
	must(t, <-done)

	go func() { done <- WaitCarrier(context.Background(), index, long) }()
	<-done
	must(t, netlink.LinkDel(p.link))
	wantError(t, WaitCarrier(context.Background(), index, long), "does not exist")
}

func TestWaitCarrierLoopback(t *testing.T) {
	loopbackUp(t)
	must(t, WaitCarrier(context.Background(), linkByName(t, "lo").Attrs().Index, long))
}

func TestReadCounters(t *testing.T) {
	p := newPair(t, "lab0", "198.18.0.1/30", "198.18.0.2/30")
	index := p.link.Attrs().Index
	before, err := ReadCounters(index)
	must(t, err)
	// Resolving the far end sends and receives one ARP packet each, at least.
	addRoute(t, "0.0.0.0/0", p.link, "198.18.0.2", unix.RTN_UNICAST)
	_, err = resolve(t, "198.18.1.0/24", nil)
	must(t, err)
	after, err := ReadCounters(index)
	must(t, err)
	if after.TxPackets <= before.TxPackets || after.RxPackets <= before.RxPackets || after.TxBytes < before.TxBytes+28 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	_, err = ReadCounters(999999)
	wantError(t, err, "interface 999999")
}

// Nothing may stay open: sockets and goroutines end with the call or context.
func TestNothingLeaks(t *testing.T) {
	behindGateway(t)
	loopbackUp(t)
	use := func() {
		_, err := resolve(t, "198.18.1.0/24", nil)
		must(t, err)
		_, err = resolve(t, "198.18.0.1", nil)
		must(t, err)
		must(t, WaitCarrier(context.Background(), linkByName(t, "lab0").Attrs().Index, long))
		ctx, cancel := context.WithCancel(context.Background())
		events, err := WatchLink(ctx, linkByName(t, "lab0").Attrs().Index)
		must(t, err)
		cancel()
		wantClosed(t, events)
	}
	use()
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	for range 10 {
		use()
	}
	if n := openFiles(t); n > files {
		t.Errorf("%d open files, %d before", n, files)
	}
	// A goroutine that has closed its channel may still be on its way out.
	for deadline := time.Now().Add(long); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
		}
	}
}

func openFiles(t testing.TB) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(d)
}
