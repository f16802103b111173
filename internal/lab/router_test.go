// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab/labtest"
	"xsweep/sweep/target"
)

// ask is one request as a test sends it.
type ask struct {
	to        string
	ttl       uint8 // 0 stands for 64
	df        bool
	size      int // of the IP packet; 0 stands for 44
	timestamp bool
}

// routerAnswer is what came of one.
type routerAnswer struct {
	From       string
	Type, Code uint8
	TTL        uint8
	MTU        int    // with which fragmentation is needed
	Size       int    // of the IP packet, where it is a reply
	Quoted     string // the target, where it is an error
}

// asker sends requests into a lab in place, and hears what comes back.
type asker struct {
	t        *testing.T
	fd       int
	sequence uint16
	heard    map[uint16][]routerAnswer // by sequence number
}

func newAsker(t *testing.T) *asker {
	t.Helper()
	fd, err := packetSocket(unix.ETH_P_IP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return &asker{t: t, fd: fd, heard: map[uint16][]routerAnswer{}}
}

// frame is a request with this test's id and a sequence number.
func (q ask) frame(sequence uint16) []byte {
	to, _ := target.AddrFrom(netip.MustParseAddr(q.to))
	f := make([]byte, 14+max(q.size, 44))
	copy(f, echoRequest(to, 0x4c41<<16|uint32(sequence)))
	header, message := f[14:34], f[34:]
	binary.BigEndian.PutUint16(header[2:], uint16(len(f)-14))
	binary.BigEndian.PutUint16(header[4:], sequence) // what tells its fragments from others
	if q.df {
		header[6] = 0x40
	}
	if q.ttl > 0 {
		header[8] = q.ttl
	}
	if q.timestamp {
		message[0] = 13
	}
	checksumHeader(header)
	message[2], message[3] = 0, 0
	var sum uint32 // the messages here are longer than those that checksumMessage takes
	for k := 0; k < len(message)-1; k += 2 {
		sum += uint32(binary.BigEndian.Uint16(message[k:]))
	}
	if len(message)%2 == 1 {
		sum += uint32(message[len(message)-1]) << 8
	}
	for sum>>16 > 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(message[2:], ^uint16(sum))
	return f
}

func (a *asker) send(q ask) (sequence uint16) {
	a.t.Helper()
	a.sequence++
	if _, err := unix.Write(a.fd, q.frame(a.sequence)); err != nil {
		a.t.Fatalf("send to %s: %v", q.to, err)
	}
	return a.sequence
}

// answers returns what has come for a request once at least n answers have.
func (a *asker) answers(sequence uint16, n int) []routerAnswer {
	a.t.Helper()
	buf := make([]byte, 16<<10)
	for deadline := time.Now().Add(patience); len(a.heard[sequence]) < n; {
		if time.Now().After(deadline) {
			a.t.Fatalf("%d answers are missing", n-len(a.heard[sequence]))
		}
		got, _, err := unix.Recvfrom(a.fd, buf, 0)
		switch {
		case err == nil:
			if of, x, ok := parseAnswer(buf[:got]); ok {
				a.heard[of] = append(a.heard[of], x)
			}
		case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR):
			a.t.Fatal(err)
		}
	}
	return a.heard[sequence]
}

// expect asks and compares the only routerAnswer.
func (a *asker) expect(q ask, want routerAnswer) {
	a.t.Helper()
	got := a.answers(a.send(q), 1)
	if diff := cmp.Diff([]routerAnswer{want}, got); diff != "" {
		a.t.Errorf("%+v (-want +got):\n%s", q, diff)
	}
}

// parseAnswer reads a frame that is to have an IPv4 header of 20 bytes, no
// fragment, and right checksums.
func parseAnswer(f []byte) (sequence uint16, a routerAnswer, ok bool) {
	if len(f) < 42 || f[12] != 8 || f[13] != 0 || f[14] != 0x45 || f[23] != 1 {
		return 0, routerAnswer{}, false
	}
	size := int(binary.BigEndian.Uint16(f[16:]))
	if size+14 > len(f) || binary.BigEndian.Uint16(f[20:])&0x3fff != 0 || sum(f[14:34]) != 0xffff {
		return 0, routerAnswer{}, false
	}
	message := f[34 : 14+size]
	a = routerAnswer{From: addrAt(f[26:]), Type: message[0], Code: message[1], TTL: f[22]}
	switch a.Type {
	case 0, 14:
		a.Size = size
	case 3, 11:
		quoted := message[8:]
		if len(quoted) < 28 || quoted[0] != 0x45 {
			return 0, routerAnswer{}, false
		}
		if a.Type == 3 && a.Code == 4 {
			a.MTU = int(binary.BigEndian.Uint16(message[6:]))
		}
		a.Quoted = addrAt(quoted[16:])
		message = quoted[20:]
	}
	if binary.BigEndian.Uint16(message[4:]) != 0x4c41 {
		return 0, routerAnswer{}, false
	}
	return binary.BigEndian.Uint16(message[6:]), a, true
}

func addrAt(b []byte) string { return netip.AddrFrom4([4]byte(b)).String() }

// Each router and the responder routerAnswer as Linux does, from the right address
// and as far away as they are.
func TestRouters(t *testing.T) {
	for _, hops := range []int{1, 3, maxRouters} {
		t.Run(fmt.Sprint(hops), func(t *testing.T) {
			c := Config{Responder: Kernel, Hops: hops, InPlace: true}
			start(t, c)
			a := newAsker(t)
			n := uint8(hops)
			const host, last = "198.18.77.77", "198.19.255.255"
			for k := range n {
				router := routerAnswer{From: fmt.Sprintf("198.19.255.%d", k+1), TTL: 64 - k}
				if got := c.Hop(int(k + 1)).String(); got != router.From {
					t.Errorf("hop %d is %s, want %s", k+1, got, router.From)
				}
				reply := router
				reply.Size = 44
				a.expect(ask{to: router.From, ttl: k + 1}, reply)
				router.Type, router.Quoted = 11, host
				a.expect(ask{to: host, ttl: k + 1}, router)
				if k+1 < n { // later the route's kind comes first
					router.Quoted = "198.19.64.1"
					a.expect(ask{to: router.Quoted, ttl: k + 1}, router)
				}
			}
			for _, k := range []int{0, hops + 1} {
				if got := c.Hop(k); got.IsValid() {
					t.Errorf("hop %d is %s", k, got)
				}
			}
			for _, to := range []string{host, last, "198.18.0.4", "198.19.63.255", "198.19.69.0", fmt.Sprintf("198.19.255.%d", hops+1)} {
				a.expect(ask{to: to, ttl: n + 1}, routerAnswer{From: to, TTL: 64 - n, Size: 44})
			}
			a.expect(ask{to: "198.18.0.2", ttl: 1}, routerAnswer{From: "198.18.0.2", TTL: 64, Size: 44})
			a.expect(ask{to: host, timestamp: true}, routerAnswer{From: host, Type: 14, TTL: 64 - n, Size: 40})

			border := routerAnswer{From: c.Hop(hops).String(), Type: 3, TTL: 65 - n}
			for _, refusal := range []struct {
				to   string
				code uint8
			}{{"198.19.64.255", 1}, {"198.19.65.0", 13}, {"198.19.68.255", 0}, {"198.20.0.0", 0}} {
				want := border
				want.Code, want.Quoted = refusal.code, refusal.to
				a.expect(ask{to: refusal.to, ttl: n}, want)
			}
			silent := a.send(ask{to: "198.19.66.77"})
			a.expect(ask{to: host}, routerAnswer{From: host, TTL: 64 - n, Size: 44})
			if got := a.answers(silent, 0); len(got) > 0 {
				t.Errorf("from the blackhole came %+v", got)
			}
		})
	}
}

// Packets that do not fit come back with the MTU that they must fit in, or
// arrive in fragments, as their senders ask.
func TestNarrowPath(t *testing.T) {
	for _, mtu := range []int{0, minMTU, maxKernelMTU} {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) {
			c := Config{Responder: Kernel, Hops: 3, MTU: mtu, InPlace: true}
			l := start(t, c)
			a := newAsker(t)
			const narrow, wide = "198.19.67.67", "198.18.77.77"
			size := c.mtu()
			a.expect(ask{to: wide, df: true, size: size}, routerAnswer{From: wide, TTL: 61, Size: size})
			a.expect(ask{to: narrow, df: true, size: NarrowMTU}, routerAnswer{From: narrow, TTL: 61, Size: NarrowMTU})
			if got := reassembled(t, l); got != 0 {
				t.Errorf("the responder put %d packets together before one was too big", got)
			}
			if size == NarrowMTU {
				return
			}
			tooBig := routerAnswer{From: "198.19.255.3", Type: 3, Code: 4, TTL: 62, MTU: NarrowMTU, Quoted: narrow}
			for range 20 { // of these there is no limit
				a.expect(ask{to: narrow, df: true, size: NarrowMTU + 1}, tooBig)
			}
			a.expect(ask{to: narrow, df: true, size: size}, tooBig)
			for range 20 {
				a.expect(ask{to: narrow, size: size}, routerAnswer{From: narrow, TTL: 61, Size: size})
			}
			if got := reassembled(t, l); got != 20 {
				t.Errorf("the responder put %d packets together, want 20", got)
			}
		})
	}
}

// reassembled is the number of packets that the responder has made of
// fragments (RFC 4293: ipReasmOKs).
func reassembled(t *testing.T, l *Lab) (count int) {
	t.Helper()
	err := l.AtResponder(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		lines := strings.Split(string(text), "\n")
		k := slices.Index(strings.Fields(lines[0]), "ReasmOKs")
		if k < 0 {
			return errors.New("no ReasmOKs in /proc/net/snmp")
		}
		_, err = fmt.Sscan(strings.Fields(lines[1])[k], &count)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// Errors that Linux lets us have without limit come for each probe, and leave
// what it grants for the others untouched.
func TestRouterLimits(t *testing.T) {
	c := Config{Responder: Kernel, Hops: 2, InPlace: true}
	start(t, c)
	a := newAsker(t)
	for k := range 300 {
		hop := uint8(1 + k%2)
		want := routerAnswer{From: c.Hop(int(hop)).String(), Type: 11, TTL: 65 - hop, Quoted: "198.18.77.77"}
		a.expect(ask{to: want.Quoted, ttl: hop}, want)
	}
	var sequences []uint16
	for range 5 {
		sequences = append(sequences, a.send(ask{to: "198.19.64.1"}))
	}
	for _, s := range sequences {
		a.answers(s, 1)
	}
}

// Behind routers, too, those routerAnswer who the truth says do, with the TTL that
// Host says.
func TestRoutersAgainstTruth(t *testing.T) {
	c := Config{Responder: Kernel, Hops: 4, InPlace: true}
	start(t, c)
	// A few at a time, so that every ring has room for them. The burst of
	// errors does not matter: exchange listens to replies.
	for _, set := range []target.Set{
		span(kernelRange.First, 150),
		span(0xc6134000-50, 100), // 198.19.64.0 and what is before
		span(0xc6134200-100, 150),
		span(0xc6134300-50, 100), // the narrow path
		span(0xc6134400-50, 100),
		span(0xc6134500-50, 100),
		span(0xc613ff00-20, 40), // the routers
		span(kernelRange.Last-100, 150),
	} {
		set = set.Subtract(skipped)
		want := map[target.Addr]heard{}
		for x := range c.Truth(set, 1) {
			want[x] = heard{1, c.Host(x).TTL}
		}
		replies, _, err := exchange(set, 1, func() (int, bool) { return len(want), true })
		if err != nil {
			t.Errorf("%v: %v", set.Ranges(), err)
		}
		if diff := cmp.Diff(want, replies, cmp.AllowUnexported(heard{})); diff != "" {
			t.Errorf("%v (-want +got):\n%s", set.Ranges(), diff)
		}
	}
}

// Devices take packets as long as the lab's MTU, also where programs sit at
// both ends.
func TestMTU(t *testing.T) {
	for _, c := range []Config{{Live: 1}, {Live: 1, MTU: minMTU}, {Live: 1, MTU: maxSimnetMTU}, {Responder: Kernel, MTU: maxKernelMTU}} {
		t.Run(fmt.Sprintf("%v %d", c.Responder, c.MTU), func(t *testing.T) {
			c.InPlace = true
			start(t, c)
			if c.Responder == Simnet {
				attachPass(t, "native")
			}
			device, err := net.InterfaceByName(SenderDevice)
			if err != nil {
				t.Fatal(err)
			}
			if device.MTU != c.mtu() {
				t.Errorf("%s has MTU %d, want %d", SenderDevice, device.MTU, c.mtu())
			}
			a := newAsker(t)
			const host = "198.18.77.77"
			want := routerAnswer{From: host, TTL: c.Host(0xc6124d4d).TTL, Size: c.mtu()}
			a.expect(ask{to: host, df: true, size: c.mtu()}, want)
			if _, err := unix.Write(a.fd, ask{to: host, size: c.mtu() + 1}.frame(0)); !errors.Is(err, unix.EMSGSIZE) {
				t.Errorf("one byte more: %v, want EMSGSIZE", err)
			}
		})
	}
}

// Whatever the number of routers, a lab takes away its devices, descriptors
// and namespaces.
func TestRoutersLeaveNothing(t *testing.T) {
	labtest.Kernel(t)
	once := func() int {
		l, err := Start(Config{Responder: Kernel, Hops: maxRouters, InPlace: true})
		if err != nil {
			t.Fatal(err)
		}
		namespaces := map[string]bool{}
		for _, e := range l.ends() {
			if e == l.sender {
				continue
			}
			err := inNamespace(e.ns, func() error {
				name, err := os.Readlink("/proc/thread-self/ns/net")
				namespaces[name] = true
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if len(namespaces) != maxRouters+1 {
			t.Errorf("%d namespaces for %d routers and a responder", len(namespaces), maxRouters)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := net.InterfaceByName(SenderDevice); err == nil {
			t.Errorf("%s is left", SenderDevice)
		}
		for name := range namespaces {
			assertUnused(t, name)
		}
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(open)
	}
	first := once() // which opens what the runtime keeps
	for range 2 {
		if now := once(); now > first {
			t.Errorf("%d descriptors are open after a lab, %d after the one before", now, first)
		}
	}
}
