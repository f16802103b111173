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
	every := []probe.Kind{probe.Echo, probe.Timestamp, probe.Mask}
	for name, c := range map[string]probe.TemplateConfig{
		"echo":               {DataLen: probe.PayloadLen},
		"echo, no data":      {},
		"echo, no tag":       {DataLen: probe.PayloadLen - 1},
		"echo, one byte":     {DataLen: 1, Pattern: []byte{7}},
		"echo, odd and long": {DataLen: 1471, TOS: 0xb8, DontFragment: true},
		"echo, a pattern":    {DataLen: 56, Pattern: []byte{0xde, 0xad, 0xbe, 0xef, 0x01}},
		"timestamp":          {Kinds: every[1:2]},
		"mask":               {Kinds: every[2:], TOS: 4},
		"every kind":         {Kinds: every, DataLen: 100},
		"every, short echo":  {Kinds: every, DataLen: 3, DontFragment: true},
		"flows":              {DataLen: 56, Flows: flows(256)},
		"flows, every kind":  {Kinds: every, DataLen: 3, Flows: flows(3)},
	} {
		t.Run(name, func(t *testing.T) { testBuild(t, c, false) })
	}
	t.Run("few targets", func(t *testing.T) { testBuild(t, probe.TemplateConfig{DataLen: 56, Flows: flows(2)}, true) })
}

// flows are as many, of three sources each.
func flows(n int) []probe.Flow {
	sources := []string{"198.18.0.1", "203.0.113.255", "0.0.0.0"}
	var list []probe.Flow
	for i := range n {
		list = append(list, probe.Flow{Source: netip.MustParseAddr(sources[i%3]), IDOffset: uint16(i / 3 * 771)})
	}
	return list
}

// testBuild sends to any targets, or to one and another and the unset one again and
// again.
func testBuild(t *testing.T, c probe.TemplateConfig, same bool) {
	r := testrand.New(t)
	c.Key, c.Source = [16]byte{9, 8, 7}, netip.MustParseAddr("198.18.0.1")
	c.SourceMAC, c.NextHop = net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	c.UTOffset = int64(r.Uint64N(1 << 61))
	template, err := probe.NewTemplate(c)
	if err != nil {
		t.Fatal(err)
	}
	cpus, err := loader.UsableCPUs()
	if err != nil {
		t.Fatal(err)
	}
	kernel, err := loader.LoadTransmit(loader.TransmitConfig{
		Key: c.Key, Device: 1, Flows: transmit.KernelFlows(template), Shapes: transmit.KernelShapes(template), Tagged: template.Tagged(),
		UTOffset: template.UTOffset(), CPUs: cpus, SameTarget: same,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	pinTo(t, cpus[0])
	ring := kernel.Ring(cpus[0])
	run := func(frame []byte) (uint32, []byte) {
		t.Helper()
		options := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame))}
		action, err := kernel.Program().Run(&options)
		if err != nil {
			t.Fatal(err)
		}
		return action, options.DataOut
	}
	const (
		drop     = 1
		redirect = 4
		sentAt   = 14 + 20 + 8
	)
	frame := make([]byte, kernel.FrameLen())
	if action, _ := run(frame); action != drop {
		t.Errorf("with an empty ring: action %d, want %d", action, drop)
	}
	for n := range uint64(3000) {
		if n == 100 { // from here on the ring wraps
			ring.Produced, ring.Consumed = uint64(loader.ProbeRingSize)-50, uint64(loader.ProbeRingSize)-50
		}
		p := probe.Probe{
			Index: r.Uint64N(probe.MaxIndex + 1), Target: r.Uint32(), Attempt: uint8(1 + r.IntN(63)), HopLimit: uint8(1 + r.IntN(255)),
			Kind: template.Kinds()[r.IntN(len(template.Kinds()))], Flow: uint8(r.IntN(len(template.Flows()))),
		}
		if same {
			p.Target = []uint32{0xc6130007, 0xc6130007, 0xc6130007, 0xc6130008, 0}[r.IntN(5)]
		}
		slot := &ring.Probes[ring.Produced%uint64(loader.ProbeRingSize)]
		slot.IndexAttempt = probe.IndexAttempt(p.Index, p.Attempt)
		slot.Target = bits.ReverseBytes32(p.Target)
		slot.HopLimit, slot.Kind, slot.Flow = p.HopLimit, uint8(p.Kind), p.Flow
		ring.Produced++
		for i := range frame {
			frame[i] = byte(r.Uint32())
		}
		action, got := run(frame)
		want := template.Frame(p, ring.NowNs)
		if p.Kind == probe.Echo && template.Tagged() && binary.LittleEndian.Uint64(got[sentAt:]) != ring.NowNs {
			t.Fatalf("probe %d: another send time than the ring's", n)
		}
		if action != redirect || !bytes.Equal(got, want) || ring.Consumed != ring.Produced {
			t.Fatalf("probe %d, %+v: action %d, %d of %d consumed\n% x, want\n% x", n, p, action, ring.Consumed, ring.Produced, got, want)
		}
	}
	ring.Produced++
	ring.Stopped = 1
	if action, _ := run(frame); action != drop || ring.Consumed == ring.Produced {
		t.Errorf("when stopped: action %d, want %d", action, drop)
	}
}

// pinTo keeps the test's thread on a CPU, and does not unlock it: it stays there.
func pinTo(t *testing.T, cpu int) {
	t.Helper()
	runtime.LockOSThread()
	var one unix.CPUSet
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
}
