// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"xsweep/internal/testrand"
	"xsweep/loader"
	"xsweep/sweep/probe"
)

// put writes a probe into the ring.
func (s *prober) put(p probe.Probe) {
	s.ring.Probes[s.ring.Produced%uint64(loader.ProbeRingSize)] = describe(p)
	s.ring.Produced++
}

func describe(p probe.Probe) loader.ProbeDescriptor {
	return loader.ProbeDescriptor{
		IndexAttempt: probe.IndexAttempt(p.Index, p.Attempt), Target: bits.ReverseBytes32(p.Target), HopLimit: p.HopLimit,
	}
}

// next runs the program over a frame that others have used, and decodes what it
// sends with another decoder, which judges checksums and lengths; ok says that
// it sends.
func (s *prober) next(t *testing.T, dirt byte) (p probe.Probe, ok bool) {
	t.Helper()
	frame := make([]byte, s.template.Len(probe.Echo))
	for i := range frame {
		frame[i] = dirt
	}
	action, out := s.turns(t, 1, frame)
	if action == xdpDrop {
		return p, false
	}
	packet := gopacket.NewPacket(out, layers.LayerTypeEthernet, gopacket.NoCopy)
	if failure := packet.ErrorLayer(); failure != nil || action != xdpRedirect {
		t.Fatalf("action %d: %v", action, failure)
	}
	if err, wrong := packet.VerifyChecksums(); err != nil || len(wrong) > 0 {
		t.Fatalf("checksums: %v %v", err, wrong)
	}
	ethernet := packet.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	ip := packet.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	icmp := packet.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
	word := binary.LittleEndian.Uint64(icmp.Payload[8:])
	target, _ := netip.AddrFromSlice(ip.DstIP)
	b := target.As4()
	p = probe.Probe{Index: word >> 8, Attempt: uint8(word), Target: binary.BigEndian.Uint32(b[:]), HopLimit: ip.TTL}
	if ethernet.SrcMAC.String() != "02:00:00:00:00:01" || ethernet.DstMAC.String() != "02:00:00:00:00:02" ||
		ip.SrcIP.String() != "198.18.0.1" || ip.Version != 4 || ip.IHL != 5 || ip.TOS != 0 || ip.FragOffset != 0 || ip.Flags&layers.IPv4MoreFragments != 0 ||
		int(ip.Length) != len(out)-14 || ip.Protocol != layers.IPProtocolICMPv4 || icmp.TypeCode != layers.CreateICMPv4TypeCode(8, 0) {
		t.Fatalf("%+v %+v %+v", ethernet, ip, icmp)
	}
	auth := probe.NewAuthenticator(transmitKey)
	cookie, tag := binary.LittleEndian.Uint32(icmp.Contents[4:]), binary.LittleEndian.Uint32(icmp.Payload[16:])
	if want := auth.Cookie([4]byte(ip.SrcIP), [4]byte(ip.DstIP)); cookie != want {
		t.Fatalf("cookie %08x, want %08x", cookie, want)
	}
	if want := auth.Tag(binary.LittleEndian.Uint64(icmp.Payload), word); tag != want {
		t.Fatalf("tag %08x, want %08x", tag, want)
	}
	return p, true
}

func randomProbe(t *testing.T) func() probe.Probe {
	r := testrand.New(t)
	return func() probe.Probe {
		return probe.Probe{
			Index: r.Uint64N(probe.MaxIndex + 1), Target: r.Uint32(), Attempt: uint8(1 + r.IntN(255)), HopLimit: uint8(1 + r.IntN(255)),
		}
	}
}

// mustSend checks that the program sends just these probes, and then nothing.
func (s *prober) mustSend(t *testing.T, probes ...probe.Probe) {
	t.Helper()
	for i, want := range probes {
		if got, ok := s.next(t, byte(i*151)); !ok || got != want {
			t.Fatalf("frame %d: %+v, %v, want %+v", i, got, ok, want)
		}
	}
	if got, ok := s.next(t, 0); ok {
		t.Fatalf("one more: %+v", got)
	}
}

// Probes leave in the order of the ring, also where its counters outgrow 32 or
// 64 bits.
func TestTransmitRingWraps(t *testing.T) {
	random := randomProbe(t)
	for _, first := range []uint64{0, uint64(loader.ProbeRingSize) - 3, 1<<32 - 3, 1<<64 - 3} {
		s := newProber(t, loader.LoadTransmit)
		r := s.ring
		r.Produced, r.Consumed, r.Known, r.Pushed, r.Flushed = first, first, first, first, first
		r.AgainGiven, r.AgainTaken = first, first
		var probes []probe.Probe
		for range 10 {
			probes = append(probes, random())
			s.put(probes[len(probes)-1])
		}
		s.mustSend(t, probes...)
		if r.Consumed-first != 10 || r.Pushed-first != 10 || r.Entered != 1 {
			t.Errorf("%d consumed, %d pushed, entered %d", r.Consumed-first, r.Pushed-first, r.Entered)
		}
	}
}

// What the device had no room for goes before the ring, as it was.
func TestTransmitAgainFirst(t *testing.T) {
	random := randomProbe(t)
	for _, taken := range []uint64{0, uint64(len(loader.ProbeRing{}.Again)) - 1, 1<<64 - 1} {
		s := newProber(t, loader.LoadTransmit)
		r := s.ring
		r.AgainTaken, r.AgainGiven = taken, taken
		var probes []probe.Probe
		for i := range 6 {
			probes = append(probes, random())
			if i < 3 {
				slot := &r.Again[r.AgainGiven%uint64(len(r.Again))]
				*slot = describe(probes[i])
				slot.Tries = uint8(7 + i)
				r.AgainGiven++
			} else {
				s.put(probes[i])
			}
		}
		s.mustSend(t, probes...)
		if r.AgainTaken != r.AgainGiven || r.Consumed != 3 || r.Pushed != 6 {
			t.Errorf("%d of %d taken, %d consumed, %d pushed", r.AgainTaken, r.AgainGiven, r.Consumed, r.Pushed)
		}
		for i, p := range probes { // on their way, they know how often they were tried
			want := describe(p)
			if i < 3 {
				want.Tries = uint8(7 + i)
			}
			if r.Pending[i] != want {
				t.Errorf("pending %d: %+v, want %+v", i, r.Pending[i], want)
			}
		}
	}
}

// A device that had no room is left alone for the time, and not for longer.
func TestTransmitHold(t *testing.T) {
	random := randomProbe(t)
	s := newFrozenProber(t)
	r := s.ring
	p := random()
	s.put(p)
	r.HoldNs = frozen + 1
	if s.sends(t) || r.HoldNs != frozen+1 {
		t.Error("it does not hold")
	}
	r.HoldNs = frozen
	s.mustSend(t, p)
	if r.HoldNs != 0 {
		t.Errorf("held until %d for ever", r.HoldNs)
	}
	// A probe that is tried again waits as well.
	r.Again[0], r.AgainGiven, r.HoldNs = describe(p), 1, frozen+1
	if s.sends(t) {
		t.Error("it does not hold what is tried again")
	}
}

// When stopped, nothing leaves: neither what is in the ring nor what is tried
// again.
func TestTransmitStopped(t *testing.T) {
	random := randomProbe(t)
	s := newProber(t, loader.LoadTransmit)
	r := s.ring
	r.Stopped = 1
	s.put(random())
	if s.sends(t) || r.Consumed != 0 {
		t.Error("the ring's first probe leaves")
	}
	r.Again[0], r.AgainGiven = describe(random()), 1
	if s.sends(t) || r.AgainTaken != 0 {
		t.Error("a probe that is tried again leaves")
	}
}

// Of what the kernel never tells, nobody waits for ever: it counts as handed
// over and unconfirmed, once no batch can be under way any more.
func TestTransmitUnconfirmed(t *testing.T) {
	const quiet = 256 // QUIET_TURNS
	random := randomProbe(t)
	idle := map[string]func(*prober){
		"empty":   func(*prober) {},
		"stopped": func(s *prober) { s.ring.Stopped = 1; s.put(random()) },
		"not due": func(s *prober) { s.ring.Interval, s.ring.Due = 1<<61, 1<<61; s.put(random()) },
		"held":    func(s *prober) { s.ring.HoldNs = 1 << 62; s.put(random()) },
	}
	for name, wait := range idle {
		t.Run(name, func(t *testing.T) {
			s := newProber(t, loader.LoadTransmit)
			r, frame := s.ring, make([]byte, s.template.Len(probe.Echo))
			for range 2 {
				s.put(random())
				if !s.sends(t) {
					t.Fatal("it does not send")
				}
				s.turns(t, quiet-1, frame) // which the next frame makes forget
			}
			s.put(random())
			s.sends(t)
			wait(s)
			if s.turns(t, quiet, frame); r.Unconfirmed != 0 || r.Handed != 0 {
				t.Errorf("too early: %d unconfirmed, %d handed", r.Unconfirmed, r.Handed)
			}
			if s.turns(t, 1, frame); r.Unconfirmed != 3 || r.Handed != 3 || r.Flushed != r.Pushed {
				t.Errorf("%d unconfirmed, %d handed, %d flushed of %d", r.Unconfirmed, r.Handed, r.Flushed, r.Pushed)
			}
			if s.turns(t, 2*quiet, frame); r.Unconfirmed != 3 || r.Handed != 3 {
				t.Errorf("counted again: %d unconfirmed, %d handed", r.Unconfirmed, r.Handed)
			}
		})
	}
}

// Where the kernel tells nothing, all is handed over at once, and unconfirmed.
func TestTransmitUntraced(t *testing.T) {
	random := randomProbe(t)
	s := newProber(t, func(c loader.TransmitConfig) (*loader.Transmit, error) {
		c.Untraced = true
		return loader.LoadTransmit(c)
	})
	if s.Traced() {
		t.Error("it says that it is traced")
	}
	for n := range uint64(100) {
		p := random()
		s.put(p)
		s.mustSend(t, p)
		if r := s.ring; r.Handed != n+1 || r.Unconfirmed != n+1 || r.Pushed != 0 {
			t.Fatalf("probe %d: %d handed, %d unconfirmed, %d pushed", n, r.Handed, r.Unconfirmed, r.Pushed)
		}
	}
	if c, err := s.Counts(0); err != nil || c != (loader.TransmitCounts{}) {
		t.Errorf("counted: %+v, %v", c, err)
	}
}
