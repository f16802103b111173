// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Device is a network interface of the calling thread's namespace, as far as
// programs and drivers go.
type Device struct {
	Index    int
	Name     string
	AltNames []string
	// Up says that it is switched on, Carrier that it can pass packets as well
	// (RFC 2863: operational status up, or unknown to the driver).
	Up, Carrier bool
	// Encapsulation is the kernel's name of the link layer: ether, loopback,
	// none, ...
	Encapsulation string
	MTU           int // bytes, without the link-layer header
	// Driver is what the driver calls itself, else the kernel's kind of virtual
	// device; empty if neither is known.
	Driver string
	Queues Queues
	// Bond is the name of the bonding device that this one is a port of; such
	// ports take no XDP program.
	Bond string
	IPv4 []netip.Prefix // addresses with the length of their subnet

	// XDPFeatures are the names of what the driver can do with XDP. They mean
	// nothing if XDPFeaturesErr is set: the kernel did not tell.
	XDPFeatures    []string
	XDPFeaturesErr error
	// XDP is the program that is attached, nil if none is.
	XDP *AttachedXDP
}

// Queues are numbers of queues in use. Combined ones receive and transmit.
type Queues struct{ Combined, Rx, Tx uint32 }

// Transmit is how many of them transmit, at least 1.
func (q Queues) Transmit() int { return max(int(q.Combined+q.Tx), 1) }

// ErrNoXDPFeatures says that the kernel has no way to tell drivers' XDP
// features.
var ErrNoXDPFeatures = errors.New("kernel too old")

// NativeXDP says whether the driver runs XDP programs itself; not if the
// kernel did not tell.
func (d *Device) NativeXDP() bool {
	return d.XDPFeaturesErr == nil && slices.Contains(d.XDPFeatures, "basic")
}

// TakesFrames returns an error that says what is missing if the device does not
// take frames from XDP programs, as far as the kernel tells.
func (d *Device) TakesFrames() error {
	if d.XDPFeaturesErr != nil || slices.Contains(d.XDPFeatures, "ndo-xmit") {
		return nil
	}
	hint := ""
	if d.Driver == "veth" {
		hint = ", for want of a native XDP program or GRO at its peer"
	}
	return fmt.Errorf("%s takes no frames from XDP programs: its driver lacks ndo-xmit%s", d.Name, hint)
}

// FindDevice looks for an interface by its index.
func FindDevice(ifindex int) (Device, error) {
	devices, err := Devices()
	if err != nil {
		return Device{}, err
	}
	for _, d := range devices {
		if d.Index == ifindex {
			return d, nil
		}
	}
	return Device{}, fmt.Errorf("interface %d: %w", ifindex, unix.ENODEV)
}

// Devices lists the network interfaces, ascending by index. It changes
// nothing and needs no privilege, except that an attached program's name is
// only read with CAP_SYS_ADMIN.
func Devices() ([]Device, error) {
	links, err := complete(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	addrs, err := complete(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, unix.AF_INET) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a socket to ask drivers: %w", err)
	}
	defer unix.Close(socket)
	netdev, netdevErr := netlink.GenlFamilyGet("netdev")
	ethtool, ethtoolErr := netlink.GenlFamilyGet("ethtool")

	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	devices := make([]Device, 0, len(links))
	for _, l := range links {
		d := newDevice(l, names)
		if info, err := unix.IoctlGetEthtoolDrvinfo(socket, d.Name); err == nil {
			d.Driver = unix.ByteSliceToString(info.Driver[:])
		}
		for _, a := range addrs {
			if p, ok := prefixOf(a); ok && a.LinkIndex == d.Index {
				d.IPv4 = append(d.IPv4, p)
			}
		}
		if ethtoolErr == nil {
			if q, err := askChannels(ethtool, d.Index); err == nil && q != (Queues{}) {
				d.Queues = q
			}
		}
		switch {
		case errors.Is(netdevErr, unix.ENOENT):
			d.XDPFeaturesErr = ErrNoXDPFeatures
		case netdevErr != nil:
			d.XDPFeaturesErr = netdevErr
		default:
			d.XDPFeatures, d.XDPFeaturesErr = askXDPFeatures(netdev, d.Index)
		}
		if found, ok := FindXDP(d.Index); ok {
			d.XDP = &found
		}
		devices = append(devices, d)
	}
	slices.SortFunc(devices, func(a, b Device) int { return a.Index - b.Index })
	return devices, nil
}

// newDevice takes what the list of links says. names are those of all links,
// by index.
func newDevice(l netlink.Link, names map[int]string) Device {
	const running = unix.IFF_UP | unix.IFF_RUNNING
	a := l.Attrs()
	d := Device{
		Index: a.Index, Name: a.Name, AltNames: a.AltNames, MTU: a.MTU, Encapsulation: a.EncapType,
		Up:      a.RawFlags&unix.IFF_UP != 0,
		Carrier: a.RawFlags&running == running,
		Queues:  Queues{Rx: uint32(a.NumRxQueues), Tx: uint32(a.NumTxQueues)},
	}
	if kind := l.Type(); kind != "device" { // which stands for none
		d.Driver = kind
	}
	if a.Slave != nil && a.Slave.SlaveType() == "bond" {
		d.Bond = names[a.MasterIndex]
	}
	return d
}

func prefixOf(a netlink.Addr) (netip.Prefix, bool) {
	if a.IPNet == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(a.IP)
	bits, _ := a.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), bits), ok
}

// complete calls list again if the kernel says that what it listed changed
// meanwhile. On a machine where that never ends the last answer has to do.
func complete[T any](list func() ([]T, error)) ([]T, error) {
	const attempts = 5
	var v []T
	var err error
	for range attempts {
		if v, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return v, err
		}
	}
	return v, nil
}

// askChannels reads the numbers of queues that a driver uses (kernel,
// Documentation/networking/ethtool-netlink.rst, CHANNELS_GET). Drivers with
// nothing to choose have no answer.
func askChannels(family *netlink.GenlFamily, ifindex int) (Queues, error) {
	header := nl.NewRtAttr(unix.ETHTOOL_A_CHANNELS_HEADER|unix.NLA_F_NESTED, nil)
	header.AddRtAttr(unix.ETHTOOL_A_HEADER_DEV_INDEX, nl.Uint32Attr(uint32(ifindex)))
	attrs, err := askGeneric(family, unix.ETHTOOL_MSG_CHANNELS_GET, header)
	if err != nil {
		return Queues{}, err
	}
	return Queues{
		Combined: attrUint32(attrs[unix.ETHTOOL_A_CHANNELS_COMBINED_COUNT]),
		Rx:       attrUint32(attrs[unix.ETHTOOL_A_CHANNELS_RX_COUNT]),
		Tx:       attrUint32(attrs[unix.ETHTOOL_A_CHANNELS_TX_COUNT]),
	}, nil
}

// The netdev family (kernel, Documentation/netlink/specs/netdev.yaml).
const (
	netdevCmdDevGet    = 1
	netdevAttrIfindex  = 1
	netdevAttrFeatures = 3
)

// xdpFeatureNames are the bits of xdp-act of that specification, from the
// lowest.
var xdpFeatureNames = [...]string{"basic", "redirect", "ndo-xmit", "xsk-zerocopy", "hw-offload", "rx-sg", "ndo-xmit-sg"}

func askXDPFeatures(family *netlink.GenlFamily, ifindex int) ([]string, error) {
	attrs, err := askGeneric(family, netdevCmdDevGet, nl.NewRtAttr(netdevAttrIfindex, nl.Uint32Attr(uint32(ifindex))))
	if err != nil {
		return nil, err
	}
	bits, ok := attrs[netdevAttrFeatures]
	if !ok || len(bits) < 8 {
		return nil, errors.New("the kernel's answer has no features")
	}
	return xdpFeatures(nl.NativeEndian().Uint64(bits)), nil
}

// xdpFeatures names the bits; those that are newer than this program by their
// number.
func xdpFeatures(bits uint64) []string {
	names := []string{}
	for bit := 0; bits>>bit != 0; bit++ {
		switch {
		case bits>>bit&1 == 0:
		case bit < len(xdpFeatureNames):
			names = append(names, xdpFeatureNames[bit])
		default:
			names = append(names, fmt.Sprintf("bit-%d", bit))
		}
	}
	return names
}

// askGeneric sends one request of a generic netlink family and returns the
// attributes of its answer, by type.
func askGeneric(family *netlink.GenlFamily, command uint8, attr *nl.RtAttr) (map[uint16][]byte, error) {
	req := nl.NewNetlinkRequest(int(family.ID), 0)
	req.AddData(&nl.Genlmsg{Command: command, Version: 1})
	req.AddData(attr)
	messages, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return nil, err
	}
	found := map[uint16][]byte{}
	for _, m := range messages {
		if len(m) < nl.SizeofGenlmsg {
			return nil, errors.New("the kernel's answer is short")
		}
		attrs, err := nl.ParseRouteAttr(m[nl.SizeofGenlmsg:])
		if err != nil {
			return nil, err
		}
		for _, a := range attrs {
			found[a.Attr.Type&nl.NLA_TYPE_MASK] = a.Value
		}
	}
	return found, nil
}

func attrUint32(value []byte) uint32 {
	if len(value) < 4 {
		return 0
	}
	return nl.NativeEndian().Uint32(value)
}

func loopbackIndex() (int, error) {
	links, err := complete(netlink.LinkList)
	if err != nil {
		return 0, fmt.Errorf("list interfaces: %w", err)
	}
	for _, l := range links {
		if l.Attrs().RawFlags&unix.IFF_LOOPBACK != 0 {
			return l.Attrs().Index, nil
		}
	}
	return 0, errors.New("find the loopback interface: there is none")
}
