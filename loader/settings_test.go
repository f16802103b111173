// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab/labtest"
)

func setOffload(t *testing.T, ifindex int, name string, on bool) {
	t.Helper()
	family, err := netlink.GenlFamilyGet("ethtool")
	if err != nil {
		t.Fatal(err)
	}
	header := nl.NewRtAttr(unix.ETHTOOL_A_FEATURES_HEADER|unix.NLA_F_NESTED, nil)
	header.AddRtAttr(unix.ETHTOOL_A_HEADER_DEV_INDEX, nl.Uint32Attr(uint32(ifindex)))
	wanted := nl.NewRtAttr(unix.ETHTOOL_A_FEATURES_WANTED|unix.NLA_F_NESTED, nil)
	bit := wanted.AddRtAttr(unix.ETHTOOL_A_BITSET_BITS|unix.NLA_F_NESTED, nil).AddRtAttr(unix.ETHTOOL_A_BITSET_BITS_BIT|unix.NLA_F_NESTED, nil)
	bit.AddRtAttr(unix.ETHTOOL_A_BITSET_BIT_NAME, nl.ZeroTerminated(name))
	if on {
		bit.AddRtAttr(unix.ETHTOOL_A_BITSET_BIT_VALUE, nil)
	}
	req := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_ACK)
	req.AddData(&nl.Genlmsg{Command: unix.ETHTOOL_MSG_FEATURES_SET, Version: 1})
	req.AddData(header)
	req.AddData(wanted)
	if _, err := req.Execute(unix.NETLINK_GENERIC, 0); err != nil {
		t.Fatalf("set %s to %t: %v", name, on, err)
	}
}

// A device's settings are told as they are, also after a change; what there is
// not is left out, and a device that is gone has none.
func TestReadSettings(t *testing.T) {
	labtest.Kernel(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "set0"
	index := addLink(t, &netlink.Veth{LinkAttrs: attrs, PeerName: "set1"}).Attrs().Index
	for _, on := range []bool{true, false} {
		setOffload(t, index, "rx-gro", on)
		s := ReadSettings(index)
		if got, known := s.Offloads["rx-gro"]; !known || got != on {
			t.Errorf("GRO is %t, told as %t (known %t)", on, got, known)
		}
		if !s.Offloads["tx-checksum-ip-generic"] || s.Offloads["rx-lro"] {
			t.Errorf("offloads %v", s.Offloads)
		}
		// veth says 10 Gbit/s, and has neither rings to choose nor interrupts.
		if s.Speed != 10_000 || s.RxRing != 0 || s.Coalescing != nil {
			t.Errorf("speed %d, ring %d, coalescing %v", s.Speed, s.RxRing, s.Coalescing)
		}
	}
	if s := ReadSettings(1 << 20); s.Offloads != nil || s.Speed != 0 {
		t.Errorf("a device that is not there: %+v", s)
	}
}

// CPUs that agree have one governor; where there is none nothing is said.
func TestGovernors(t *testing.T) {
	dir := t.TempDir()
	if got := governors(dir); got != "" {
		t.Errorf("%q", got)
	}
	for name, governor := range map[string]string{"cpu0": "schedutil\n", "cpu1": "performance\n", "cpu10": "schedutil\n"} {
		path := filepath.Join(dir, name, "cpufreq")
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "scaling_governor"), []byte(governor), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := governors(dir); got != "performance, schedutil" {
		t.Errorf("%q", got)
	}
}
