// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab/labtest"
	"xsweep/internal/testrand"
	"xsweep/loader"
	"xsweep/sweep/probe"
	"xsweep/sweep/transmit"
)

// What the program in the kernel writes is what Go writes, to the byte, however
// the frame looked before: whoever had its memory last may have changed it.
func TestTransmitBuildsWhatGoBuilds(t *testing.T) {
	labtest.Kernel(t)
	r := testrand.New(t)
	key := [16]byte{9, 8, 7}
	source := netip.MustParseAddr("198.18.0.1")
	template, err := probe.NewTemplate(probe.TemplateConfig{
		Key: key, Source: source, DataLen: probe.PayloadLen,
		SourceMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, NextHop: net.HardwareAddr{2, 0, 0, 0, 0, 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	cpus, err := loader.UsableCPUs()
	if err != nil {
		t.Fatal(err)
	}
	kernel, err := loader.LoadTransmit(loader.TransmitConfig{
		Key: key, Device: 1, Source: source, Shapes: transmit.KernelShapes(template), Tagged: template.Tagged(), CPUs: cpus,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	runtime.LockOSThread() // and not unlocked: the thread stays pinned
	var one unix.CPUSet
	one.Set(cpus[0])
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	ring := kernel.Ring(cpus[0])
	run := func(frame []byte) (uint32, []byte) {
		t.Helper()
		out := make([]byte, len(frame))
		action, err := kernel.Program().Run(&ebpf.RunOptions{Data: frame, DataOut: out})
		if err != nil {
			t.Fatal(err)
		}
		return action, out
	}
	const (
		drop     = 1
		redirect = 4
		sentAt   = 14 + 20 + 8
	)
	frame := make([]byte, template.Len(probe.Echo))
	if action, _ := run(frame); action != drop {
		t.Errorf("with an empty ring: action %d, want %d", action, drop)
	}
	want := make([]byte, template.Len(probe.Echo))
	// More than fit into the ring, so that it wraps.
	for n := range uint64(loader.ProbeRingSize + 100) {
		p := probe.Probe{
			Index: r.Uint64N(probe.MaxIndex + 1), Target: r.Uint32(), Attempt: uint8(1 + r.IntN(63)), HopLimit: uint8(1 + r.IntN(255)),
		}
		slot := &ring.Probes[n%uint64(loader.ProbeRingSize)]
		slot.IndexAttempt = probe.IndexAttempt(p.Index, p.Attempt)
		slot.Target = bits.ReverseBytes32(p.Target)
		slot.HopLimit = p.HopLimit
		ring.Produced = n + 1
		for i := range frame {
			frame[i] = byte(r.Uint32())
		}
		action, got := run(frame)
		template.Init(want, probe.Echo)
		template.Address(want, p)
		template.Stamp(want, probe.Echo, binary.LittleEndian.Uint64(got[sentAt:]))
		if action != redirect || !bytes.Equal(got, want) || ring.Consumed != n+1 {
			t.Fatalf("probe %d, %+v: action %d, %d consumed\n% x, want\n% x", n, p, action, ring.Consumed, got, want)
		}
	}
	ring.Produced++
	ring.Stopped = 1
	if action, _ := run(frame); action != drop || ring.Consumed == ring.Produced {
		t.Errorf("when stopped: action %d, want %d", action, drop)
	}
}
