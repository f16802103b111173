// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab/labtest"
	"xsweep/loader"
)

// device is a network device of the test's own namespace.
type device struct {
	name  string
	index int
}

// vethPair makes two devices that are each other's wire, and takes them away
// with the test.
func vethPair(t testing.TB) (here, there device) {
	t.Helper()
	labtest.Kernel(t)
	here.name, there.name = "here0", "there0"
	attributes := netlink.NewLinkAttrs()
	attributes.Name = here.name
	pair := &netlink.Veth{LinkAttrs: attributes, PeerName: there.name}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netlink.LinkDel(pair); err != nil {
			t.Error(err)
		}
	})
	for _, d := range []*device{&here, &there} {
		l, err := netlink.LinkByName(d.name)
		if err != nil {
			t.Fatal(err)
		}
		d.index = l.Attrs().Index
		if err := netlink.LinkSetUp(l); err != nil {
			t.Fatal(err)
		}
	}
	return here, there
}

// loopback is the namespace's lo: a device whose driver has no XDP.
func loopback(t testing.TB) device {
	t.Helper()
	labtest.Kernel(t)
	l, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	return device{"lo", l.Attrs().Index}
}

// attached says which mode the kernel says the device's program runs in, and
// the program's id.
func attached(t testing.TB, d device) (loader.XDPMode, uint32, bool) {
	t.Helper()
	l, err := netlink.LinkByIndex(d.index)
	if err != nil {
		t.Fatal(err)
	}
	xdp := l.Attrs().Xdp
	if xdp == nil || !xdp.Attached {
		return 0, 0, false
	}
	mode, ok := map[uint32]loader.XDPMode{
		nl.XDP_ATTACHED_DRV: loader.Native, nl.XDP_ATTACHED_SKB: loader.Generic,
	}[xdp.AttachMode]
	if !ok {
		t.Fatalf("%s: attach mode %d", d.name, xdp.AttachMode)
	}
	return mode, xdp.ProgId, true
}

func programID(t testing.TB, p *ebpf.Program) uint32 {
	t.Helper()
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, ok := info.ID()
	if !ok {
		t.Fatal("the kernel gives programs no ids")
	}
	return uint32(id)
}

func TestAttach(t *testing.T) {
	for _, test := range []struct {
		device    string
		ask, want loader.XDPMode
		fails     error
	}{
		{"veth", loader.Auto, loader.Native, nil},
		{"veth", loader.Native, loader.Native, nil},
		{"veth", loader.Generic, loader.Generic, nil},
		{"lo", loader.Auto, loader.Generic, nil},
		{"lo", loader.Generic, loader.Generic, nil},
		{"lo", loader.Native, 0, unix.EOPNOTSUPP},
	} {
		t.Run(fmt.Sprintf("%s %v", test.device, test.ask), func(t *testing.T) {
			f := load(t, defaultConfig())
			var d device
			if test.device == "lo" {
				d = loopback(t)
			} else {
				d, _ = vethPair(t)
			}
			got, err := f.Attach(d.name, d.index, test.ask)
			if test.fails != nil {
				if !errors.Is(err, test.fails) || !strings.Contains(err.Error(), "--xdp generic") || !strings.Contains(err.Error(), d.name) {
					t.Errorf("got %v: should be %v, name the device and offer --xdp generic", err, test.fails)
				}
				if _, id, ok := attached(t, d); ok {
					t.Errorf("a failed attach left program %d", id)
				}
				return
			}
			if err != nil || got != test.want {
				t.Fatalf("got %v, %v", got, err)
			}
			mode, id, ok := attached(t, d)
			if !ok || mode != test.want || id != programID(t, f.Program()) {
				t.Errorf("the device has program %d in %v mode (attached %t), not %d in %v mode", id, mode, ok, programID(t, f.Program()), test.want)
			}
			found, ok := loader.FindXDP(d.index)
			if want := (loader.AttachedXDP{ID: id, Name: "xsweep_reply"}); !ok || found != want {
				t.Errorf("found %+v, want %+v", found, want)
			}
			if _, err := f.Attach(d.name, d.index, test.ask); err == nil {
				t.Error("attached twice")
			}
			if err := f.Detach(); err != nil {
				t.Error(err)
			}
			if _, id, ok := attached(t, d); ok {
				t.Errorf("program %d is there after Detach", id)
			}
			if found, ok := loader.FindXDP(d.index); ok {
				t.Errorf("found %+v after Detach", found)
			}
		})
	}
}

// foreign is somebody else's XDP program: it passes everything.
func foreign(t testing.TB) *ebpf.Program {
	t.Helper()
	labtest.Kernel(t)
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "somebodys", Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// A device that has a program keeps it, whoever put it there in whatever way
// and mode, and the error says which it is.
func TestOccupied(t *testing.T) {
	f := load(t, defaultConfig())
	other := foreign(t)
	byLink := func(flags link.XDPAttachFlags) func(testing.TB, device) {
		return func(t testing.TB, d device) {
			l, err := link.AttachXDP(link.XDPOptions{Program: other, Interface: d.index, Flags: flags})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}
	}
	byNetlink := func(flags int) func(testing.TB, device) {
		return func(t testing.TB, d device) {
			l, err := netlink.LinkByIndex(d.index)
			if err != nil {
				t.Fatal(err)
			}
			if err := netlink.LinkSetXdpFdWithFlags(l, other.FD(), flags); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, there := range []struct {
		name   string
		attach func(testing.TB, device)
	}{
		{"native link", byLink(link.XDPDriverMode)},
		{"generic link", byLink(link.XDPGenericMode)},
		{"native by netlink", byNetlink(int(link.XDPDriverMode))},
		{"generic by netlink", byNetlink(int(link.XDPGenericMode))},
	} {
		for _, ask := range []loader.XDPMode{loader.Auto, loader.Native, loader.Generic} {
			t.Run(fmt.Sprintf("%s, %v", there.name, ask), func(t *testing.T) {
				d, _ := vethPair(t)
				there.attach(t, d)
				checkOccupied(t, f, d, ask, other, "somebodys")
			})
		}
	}
	t.Run("lo", func(t *testing.T) {
		d := loopback(t)
		byLink(link.XDPGenericMode)(t, d)
		for _, ask := range []loader.XDPMode{loader.Auto, loader.Generic} {
			checkOccupied(t, f, d, ask, other, "somebodys")
		}
	})
}

func checkOccupied(t testing.TB, f *filter, d device, ask loader.XDPMode, owner *ebpf.Program, name string) {
	t.Helper()
	mode, err := f.Attach(d.name, d.index, ask)
	if !errors.Is(err, loader.ErrOccupied) {
		t.Fatalf("got %v, %v", mode, err)
	}
	for _, part := range []string{d.name, fmt.Sprintf("id %d, %s", programID(t, owner), name)} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if _, id, ok := attached(t, d); !ok || id != programID(t, owner) {
		t.Errorf("the device has program %d, not %d", id, programID(t, owner))
	}
}

// Two filters at once: each on its own device, with its own counters; a
// device that one has, the other cannot have.
func TestTwoFilters(t *testing.T) {
	a, b := load(t, defaultConfig()), load(t, defaultConfig())
	here, there := vethPair(t)
	if _, err := a.Attach(here.name, here.index, loader.Auto); err != nil {
		t.Fatal(err)
	}
	checkOccupied(t, b, here, loader.Auto, a.Program(), "xsweep_reply")
	if _, err := b.Attach(there.name, there.index, loader.Generic); err != nil {
		t.Fatal(err)
	}
	was, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	frame := newAnswerer(t, defaultConfig()).reply(t, echo{slash16.lo, 1, 1, 1, 64})
	a.execute(t, frame)
	now, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if now.Verdicts[loader.First] != was.Verdicts[loader.First] {
		t.Error("a reply that one filter saw, both counted")
	}
	b.execute(t, frame)
	for i, f := range []*filter{a, b} {
		s, err := f.Stats()
		if err != nil {
			t.Fatal(err)
		}
		if s.Verdicts[loader.First] != 1 || len(f.drain(t)) != 1 {
			t.Errorf("filter %d: one reply, verdicts %v", i, s.Verdicts)
		}
	}
	if err := a.Detach(); err != nil {
		t.Fatal(err)
	}
	if _, id, ok := attached(t, there); !ok || id != programID(t, b.Program()) {
		t.Error("detaching one filter took the other off")
	}
}

func TestNoSuchDevice(t *testing.T) {
	f := load(t, defaultConfig())
	for _, mode := range []loader.XDPMode{loader.Auto, loader.Native, loader.Generic} {
		_, err := f.Attach("gone0", 1<<30, mode)
		if !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), "gone0") {
			t.Errorf("%v: got %v", mode, err)
		}
	}
	if found, ok := loader.FindXDP(1 << 30); ok {
		t.Errorf("found %+v", found)
	}
}
