// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Settings are what a device is set to, as far as it bears on how fast packets
// pass, and how late. What the kernel or the driver does not tell is left out.
type Settings struct {
	Speed uint32 `json:"speed,omitempty"` // Mbit/s
	// RxRing and TxRing are how many frames the rings of a queue hold.
	RxRing uint32 `json:"rx_ring,omitempty"`
	TxRing uint32 `json:"tx_ring,omitempty"`
	// Offloads tells by the kernel's name whether an offload is on; nil if nobody
	// told.
	Offloads map[string]bool `json:"offloads,omitempty"`
	// Coalescing is how long the device holds interrupts back; nil if the driver
	// does not.
	Coalescing *Coalescing `json:"coalescing,omitempty"`
}

// Coalescing is when a device interrupts: so long after a frame, or behind so
// many of them.
type Coalescing struct {
	RxMicroseconds uint32 `json:"rx_microseconds"`
	RxFrames       uint32 `json:"rx_frames"`
	TxMicroseconds uint32 `json:"tx_microseconds"`
	TxFrames       uint32 `json:"tx_frames"`
	// AdaptiveRx and AdaptiveTx say that the driver changes these by itself.
	AdaptiveRx bool `json:"adaptive_rx"`
	AdaptiveTx bool `json:"adaptive_tx"`
}

// settingOffloads are those that Settings has: they join frames, split them, spare
// the CPU the checksums, or spread what arrives.
var settingOffloads = []string{
	"rx-gro", "rx-gro-hw", "rx-gro-list", "rx-lro", "rx-checksum", "rx-hashing", "rx-ntuple-filter",
	"tx-generic-segmentation", "tx-tcp-segmentation", "tx-checksum-ip-generic", "tx-checksum-ipv4",
}

// ReadSettings reads what a device is set to. It changes nothing and needs no
// privilege (kernel, Documentation/networking/ethtool-netlink.rst).
func ReadSettings(ifindex int) Settings {
	var s Settings
	family, err := netlink.GenlFamilyGet("ethtool")
	if err != nil {
		return s
	}
	if a := askEthtool(family, unix.ETHTOOL_MSG_LINKMODES_GET, ifindex); a != nil {
		if s.Speed = attrUint32(a[unix.ETHTOOL_A_LINKMODES_SPEED]); s.Speed == speedUnknown {
			s.Speed = 0
		}
	}
	if a := askEthtool(family, unix.ETHTOOL_MSG_RINGS_GET, ifindex); a != nil {
		s.RxRing, s.TxRing = attrUint32(a[unix.ETHTOOL_A_RINGS_RX]), attrUint32(a[unix.ETHTOOL_A_RINGS_TX])
	}
	if a := askEthtool(family, unix.ETHTOOL_MSG_COALESCE_GET, ifindex); a != nil {
		flag := func(attr uint16) bool { return len(a[attr]) > 0 && a[attr][0] != 0 }
		s.Coalescing = &Coalescing{
			RxMicroseconds: attrUint32(a[unix.ETHTOOL_A_COALESCE_RX_USECS]), RxFrames: attrUint32(a[unix.ETHTOOL_A_COALESCE_RX_MAX_FRAMES]),
			TxMicroseconds: attrUint32(a[unix.ETHTOOL_A_COALESCE_TX_USECS]), TxFrames: attrUint32(a[unix.ETHTOOL_A_COALESCE_TX_MAX_FRAMES]),
			AdaptiveRx: flag(unix.ETHTOOL_A_COALESCE_USE_ADAPTIVE_RX), AdaptiveTx: flag(unix.ETHTOOL_A_COALESCE_USE_ADAPTIVE_TX),
		}
	}
	if a := askEthtool(family, unix.ETHTOOL_MSG_FEATURES_GET, ifindex); a != nil {
		if on, ok := bitNames(a[unix.ETHTOOL_A_FEATURES_ACTIVE]); ok {
			s.Offloads = map[string]bool{}
			for _, name := range settingOffloads {
				s.Offloads[name] = slices.Contains(on, name)
			}
		}
	}
	return s
}

// speedUnknown is SPEED_UNKNOWN of linux/ethtool.h.
const speedUnknown = 0xffffffff

// askEthtool asks for one kind of setting; nil if there is no answer.
func askEthtool(family *netlink.GenlFamily, command uint8, ifindex int) map[uint16][]byte {
	// The header is attribute 1 of each of these requests.
	header := nl.NewRtAttr(unix.ETHTOOL_A_FEATURES_HEADER|unix.NLA_F_NESTED, nil)
	header.AddRtAttr(unix.ETHTOOL_A_HEADER_DEV_INDEX, nl.Uint32Attr(uint32(ifindex)))
	attrs, err := askGeneric(family, command, header)
	if err != nil {
		return nil
	}
	return attrs
}

// bitNames reads the names of a bit set without a mask, which are those of the
// bits that are set.
func bitNames(set []byte) (names []string, ok bool) {
	attrs, err := nl.ParseRouteAttr(set)
	if err != nil {
		return nil, false
	}
	for _, a := range attrs {
		if a.Attr.Type&nl.NLA_TYPE_MASK != unix.ETHTOOL_A_BITSET_BITS {
			continue
		}
		bits, err := nl.ParseRouteAttr(a.Value)
		if err != nil {
			return nil, false
		}
		ok = true
		for _, bit := range bits {
			fields, err := nl.ParseRouteAttr(bit.Value)
			if err != nil {
				return nil, false
			}
			for _, f := range fields {
				if f.Attr.Type&nl.NLA_TYPE_MASK == unix.ETHTOOL_A_BITSET_BIT_NAME {
					names = append(names, unix.ByteSliceToString(f.Value))
				}
			}
		}
	}
	return names, ok
}

// CPUGovernor is how the kernel chooses the CPUs' frequency: a name, or several
// where CPUs differ; empty where it does not, as in most virtual machines.
func CPUGovernor() string { return governors("/sys/devices/system/cpu") }

func governors(dir string) string {
	paths, _ := filepath.Glob(filepath.Join(dir, "cpu[0-9]*/cpufreq/scaling_governor"))
	var names []string
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if name := strings.TrimSpace(string(text)); err == nil && name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
