// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab/labtest"
)

// addLink makes a device that goes with the test.
func addLink(t *testing.T, l netlink.Link) netlink.Link {
	t.Helper()
	if err := netlink.LinkAdd(l); err != nil {
		t.Fatalf("make %s: %v", l.Attrs().Name, err)
	}
	made, err := netlink.LinkByName(l.Attrs().Name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netlink.LinkDel(made) })
	return made
}

func device(t *testing.T, name string) Device {
	t.Helper()
	devices, err := Devices()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		if d.Name == name {
			return d
		}
	}
	t.Fatalf("no %s among %+v", name, devices)
	return Device{}
}

func setChannels(t *testing.T, ifindex int, q Queues) {
	t.Helper()
	family, err := netlink.GenlFamilyGet("ethtool")
	if err != nil {
		t.Fatal(err)
	}
	header := nl.NewRtAttr(unix.ETHTOOL_A_CHANNELS_HEADER|unix.NLA_F_NESTED, nil)
	header.AddRtAttr(unix.ETHTOOL_A_HEADER_DEV_INDEX, nl.Uint32Attr(uint32(ifindex)))
	req := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_ACK)
	req.AddData(&nl.Genlmsg{Command: unix.ETHTOOL_MSG_CHANNELS_SET, Version: 1})
	req.AddData(header)
	req.AddData(nl.NewRtAttr(unix.ETHTOOL_A_CHANNELS_RX_COUNT, nl.Uint32Attr(q.Rx)))
	req.AddData(nl.NewRtAttr(unix.ETHTOOL_A_CHANNELS_TX_COUNT, nl.Uint32Attr(q.Tx)))
	if _, err := req.Execute(unix.NETLINK_GENERIC, 0); err != nil {
		t.Fatalf("use other numbers of queues: %v", err)
	}
}

func TestDevices(t *testing.T) {
	labtest.Kernel(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = "doc0", 1400
	attrs.NumRxQueues, attrs.NumTxQueues = 3, 2
	veth := addLink(t, &netlink.Veth{LinkAttrs: attrs, PeerName: "doc1", PeerNumRxQueues: 2, PeerNumTxQueues: 3})
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(198, 18, 7, 1), Mask: net.CIDRMask(30, 32)}}
	if err := errors.Join(netlink.AddrAdd(veth, addr), netlink.LinkSetUp(veth), netlink.LinkAddAltName(veth, "doctor-zero")); err != nil {
		t.Fatal(err)
	}

	got := device(t, "doc0")
	if got.XDPFeaturesErr != nil && (!errors.Is(got.XDPFeaturesErr, ErrNoXDPFeatures) || !releaseBefore(KernelRelease(), "6.3")) {
		t.Errorf("no XDP features on kernel %s: %v", KernelRelease(), got.XDPFeaturesErr)
	}
	if got.XDPFeaturesErr == nil && !slices.Contains(got.XDPFeatures, "redirect") {
		t.Errorf("veth has XDP features %q, want redirect among them", got.XDPFeatures)
	}
	if got.XDPFeaturesErr == nil && !got.NativeXDP() {
		t.Error("veth has no native XDP")
	}
	got.XDPFeatures, got.XDPFeaturesErr = nil, nil
	want := Device{
		Index: veth.Attrs().Index, Name: "doc0", AltNames: []string{"doctor-zero"}, MTU: 1400,
		Up: true, Carrier: false, // the other end is down
		Encapsulation: "ether", Driver: "veth", Queues: Queues{Rx: 3, Tx: 2},
		IPv4: []netip.Prefix{netip.MustParsePrefix("198.18.7.1/30")},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("doc0 (-want +got):\n%s", diff)
	}

	// Queues that exist are not always in use.
	setChannels(t, got.Index, Queues{Rx: 1, Tx: 2})
	if q := device(t, "doc0").Queues; q != (Queues{Rx: 1, Tx: 2}) {
		t.Errorf("after a change doc0 has the queues %+v, want 1 rx, 2 tx", q)
	}

	peer, err := netlink.LinkByName("doc1")
	if err != nil {
		t.Fatal(err)
	}
	updates, done := make(chan netlink.LinkUpdate, 64), make(chan struct{})
	defer close(done)
	if err := errors.Join(netlink.LinkSubscribe(updates, done), netlink.LinkSetUp(peer)); err != nil {
		t.Fatal(err)
	}
	// The kernel tells of carrier up to a second later.
	patience := time.After(20 * time.Second)
	for d := device(t, "doc0"); !d.Carrier; d = device(t, "doc0") {
		select {
		case <-updates:
		case <-patience:
			t.Fatalf("both ends are up, but doc0 is %+v", d)
		}
	}
}

func TestDevicesLoopback(t *testing.T) {
	lo := device(t, "lo")
	if lo.Encapsulation != "loopback" || lo.Driver != "" || lo.NativeXDP() || lo.XDP != nil || lo.Queues != (Queues{Rx: 1, Tx: 1}) {
		t.Errorf("lo is %+v", lo)
	}
}

func TestDevicesAttached(t *testing.T) {
	labtest.Kernel(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "doc2"
	veth := addLink(t, &netlink.Veth{LinkAttrs: attrs, PeerName: "doc3"})
	spec := &ebpf.ProgramSpec{Name: "neighbour", Type: ebpf.XDP, Instructions: returnTwo, License: "GPL"}
	program, err := ebpf.NewProgram(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	l, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: veth.Attrs().Index, Flags: link.XDPGenericMode})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if d := device(t, "doc2"); d.XDP == nil || d.XDP.Name != "neighbour" || d.XDP.ID == 0 {
		t.Errorf("doc2 has the program %v, want neighbour", d.XDP)
	}
	if d := device(t, "doc3"); d.XDP != nil {
		t.Errorf("doc3 has the program %v, want none", d.XDP)
	}
}

// Ports of a bond are known by what the list of links says of them.
func TestNewDeviceBondPort(t *testing.T) {
	names := map[int]string{1: "lo", 7: "bond0", 9: "br0"}
	for _, tc := range []struct {
		name   string
		master int
		slave  netlink.LinkSlave
		want   string
	}{
		{"none", 0, nil, ""},
		{"bond", 7, &netlink.BondSlave{}, "bond0"},
		{"another master", 9, &netlink.VrfSlave{}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			attrs := netlink.LinkAttrs{Index: 3, Name: "eth7", MasterIndex: tc.master, Slave: tc.slave}
			if got := newDevice(&netlink.Device{LinkAttrs: attrs}, names).Bond; got != tc.want {
				t.Errorf("port of %q, want %q", got, tc.want)
			}
		})
	}
}

func TestXDPFeatureNames(t *testing.T) {
	for _, tc := range []struct {
		bits uint64
		want []string
	}{
		{0, []string{}},
		{1, []string{"basic"}},
		{0b111, []string{"basic", "redirect", "ndo-xmit"}},
		{0x7f, []string{"basic", "redirect", "ndo-xmit", "xsk-zerocopy", "hw-offload", "rx-sg", "ndo-xmit-sg"}},
		{1<<63 | 1<<7, []string{"bit-7", "bit-63"}},
	} {
		if diff := cmp.Diff(tc.want, xdpFeatures(tc.bits)); diff != "" {
			t.Errorf("%#x (-want +got):\n%s", tc.bits, diff)
		}
	}
}
