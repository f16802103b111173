// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
)

// within bounds each wait for something that must come.
const within = 20 * time.Second

// startLab makes a lab in the test's namespace. It has one queue, so that
// frames arrive in the order in which they were sent.
func startLab(t *testing.T, c lab.Config) *lab.Lab {
	t.Helper()
	c.InPlace, c.Queues = true, 1
	l, err := lab.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// startUnableLab starts a lab whose lab0 takes no frames from programs, since
// lab1 has neither a program nor GRO.
func startUnableLab(t *testing.T) {
	t.Helper()
	l := startLab(t, lab.Config{Responder: lab.Kernel})
	if err := l.AtResponder(func() error { return lab.SetGRO(lab.ResponderDevice, false) }); err != nil {
		t.Fatal(err)
	}
}

// place runs a function in some network namespace.
type place func(func() error) error

// here is the test's own.
func here(f func() error) error { return f() }

// setLink sets a device at a place up or down.
func setLink(at place, device string, up bool) error {
	return at(func() error {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		if up {
			return netlink.LinkSetUp(link)
		}
		return netlink.LinkSetDown(link)
	})
}

// arrival is an echo request as another decoder reads it.
type arrival struct {
	Ethernet bool // to the right address, from the right one
	Source   string
	Target   string
	HopLimit uint8
	DataLen  int
	Index    uint64
	Attempt  uint8
}

// capture hears the frames that arrive at a device.
type capture struct {
	fd  int
	mac net.HardwareAddr
}

// newCapture listens on a device at a place.
func newCapture(t *testing.T, at place, device string) *capture {
	t.Helper()
	c := &capture{fd: -1}
	err := at(func() (err error) {
		link, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		c.mac = link.HardwareAddr
		const ip = uint16(unix.ETH_P_IP>>8 | unix.ETH_P_IP&0xff<<8)
		if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return errors.Join(
			unix.SetsockoptInt(c.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
			unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 128<<20),
			unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 20_000}),
			unix.Bind(c.fd, &unix.SockaddrLinklayer{Ifindex: link.Index, Protocol: ip}),
		)
	})
	if c.fd >= 0 {
		t.Cleanup(func() { unix.Close(c.fd) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// take waits for n echo requests, and until no more have come for a moment,
// and decodes them. Checksums that are wrong fail the test.
func (c *capture) take(t *testing.T, n int) []arrival {
	t.Helper()
	var arrivals []arrival
	frame := make([]byte, 65536)
	for deadline := time.Now().Add(within); ; {
		length, _, err := unix.Recvfrom(c.fd, frame, 0)
		switch {
		case err == nil:
			if a, ok, err := c.decode(frame[:length]); err != nil {
				t.Fatalf("%v: % x", err, frame[:length])
			} else if ok {
				arrivals = append(arrivals, a)
			}
		case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR):
			t.Fatal(err)
		case len(arrivals) >= n:
			stats, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
			if err != nil || stats.Drops > 0 {
				t.Fatalf("the test's own socket lost frames: %+v, %v", stats, err)
			}
			return arrivals
		case time.Now().After(deadline):
			t.Fatalf("%d of %d frames have arrived", len(arrivals), n)
		}
	}
}

// decode reads one frame; others than echo requests are passed over.
func (c *capture) decode(frame []byte) (a arrival, ok bool, err error) {
	packet := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.NoCopy)
	icmp, ok := packet.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
	if !ok || icmp.TypeCode != layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0) {
		return a, false, nil
	}
	if failure := packet.ErrorLayer(); failure != nil {
		return a, false, failure.Error()
	}
	if err, mismatches := packet.VerifyChecksums(); err != nil || len(mismatches) > 0 {
		return a, false, fmt.Errorf("checksums: %w %v", err, mismatches)
	}
	ethernet := packet.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	ip := packet.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	p := readPayload(icmp.Payload)
	return arrival{
		Ethernet: ethernet.DstMAC.String() == c.mac.String(),
		Source:   ip.SrcIP.String(), Target: ip.DstIP.String(), HopLimit: ip.TTL,
		DataLen: len(icmp.Payload), Index: p.index, Attempt: p.attempt,
	}, true, nil
}
