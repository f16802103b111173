// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"xsweep/internal/testrand"
)

var (
	testKey    = [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	testSource = netip.MustParseAddr("198.18.0.1")
	testMAC    = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	testHop    = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

// The vectors of the SipHash paper's reference implementation
// (vectors_sip64, key 00..0f, message 00, 01, 02, ...), for the two lengths
// that xsweep hashes.
func TestSipHashVectors(t *testing.T) {
	message := make([]byte, 16)
	for i := range message {
		message[i] = byte(i)
	}
	m0 := binary.LittleEndian.Uint64(message)
	m1 := binary.LittleEndian.Uint64(message[8:])
	for _, v := range []struct {
		length int
		got    uint64
		want   [8]byte
	}{
		{0, newSip(testKey).sum(0), [8]byte{0x31, 0x0e, 0x0e, 0xdd, 0x47, 0xdb, 0x6f, 0x72}},
		{8, newSip(testKey).word(m0).sum(8), [8]byte{0x62, 0x24, 0x93, 0x9a, 0x79, 0xf5, 0xf5, 0x93}},
		{16, newSip(testKey).word(m0).word(m1).sum(16), [8]byte{0xdb, 0x9b, 0xc2, 0x57, 0x7f, 0xcc, 0x2a, 0x3f}},
	} {
		if want := binary.LittleEndian.Uint64(v.want[:]); v.got != want {
			t.Errorf("%d bytes: got %#x, want %#x", v.length, v.got, want)
		}
	}
}

// Every byte of a probe, as an independent decoder sees it.
func TestProbeDecodes(t *testing.T) {
	rng := testrand.New(t)
	for _, ethernet := range []bool{true, false} {
		for _, size := range []int{PayloadLen, PayloadLen + 1, 32, 56, 57, 1472} {
			config := TemplateConfig{Key: testKey, Source: testSource, DataLen: size}
			if ethernet {
				config.SourceMAC, config.NextHop = testMAC, testHop
			}
			if size == 56 {
				config.Flows = testFlows
			}
			template, err := NewTemplate(config)
			if err != nil {
				t.Fatal(err)
			}
			frame := make([]byte, template.Len(Echo))
			template.Init(frame, Echo)
			// The same frame again and again: nothing of the last probe may stay.
			for range 200 {
				p := Probe{
					Index:    rng.Uint64() & MaxIndex,
					Target:   rng.Uint32(),
					Attempt:  uint8(1 + rng.IntN(63)),
					HopLimit: uint8(1 + rng.IntN(255)),
					Flow:     uint8(rng.IntN(max(len(config.Flows), 1))),
				}
				sent := rng.Uint64()
				template.Address(frame, p)
				template.Stamp(frame, Echo, sent)
				checkProbe(t, config, frame, p, sent)
			}
		}
	}
}

// testFlows differ in both, each and neither; the last one's identifier wraps
// around for nearly every target.
var testFlows = []Flow{
	{Source: testSource}, {Source: testSource, IDOffset: 1}, {Source: netip.MustParseAddr("255.254.253.252")},
	{Source: netip.MustParseAddr("0.0.0.1"), IDOffset: 0xffff},
}

func checkProbe(t *testing.T, c TemplateConfig, frame []byte, p Probe, sent uint64) {
	t.Helper()
	first := gopacket.LayerType(layers.LayerTypeIPv4)
	if c.NextHop != nil {
		first = layers.LayerTypeEthernet
	}
	packet := gopacket.NewPacket(frame, first, gopacket.NoCopy)
	if err := packet.ErrorLayer(); err != nil {
		t.Fatalf("decode: %v", err.Error())
	}
	if err, mismatches := packet.VerifyChecksums(); err != nil || len(mismatches) > 0 {
		t.Fatalf("checksums: %v %v\n% x", err, mismatches, frame)
	}
	if c.NextHop != nil {
		eth := packet.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
		if diff := cmp.Diff([]net.HardwareAddr{c.SourceMAC, c.NextHop}, []net.HardwareAddr{eth.SrcMAC, eth.DstMAC}); diff != "" {
			t.Fatal(diff)
		}
	}
	ip := packet.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	icmp := packet.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
	target := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, p.Target)))
	type seen struct {
		Src, Dst                  string
		TTL                       uint8
		Length                    uint16
		Type, Code                uint8
		Cookie                    uint32
		Sent, IndexAttempt, Bytes uint64
		Tag                       uint32
	}
	auth := NewAuthenticator(c.Key)
	flow := Flow{Source: testSource}
	if c.Flows != nil {
		flow = c.Flows[p.Flow]
	}
	cookie := auth.Cookie(flow.Source.As4(), target.As4())
	cookie = cookie&0xffff0000 | (cookie+uint32(flow.IDOffset))&0xffff
	want := seen{
		flow.Source.String(), target.String(), p.HopLimit, uint16(28 + c.DataLen), 8, 0, cookie,
		sent, p.Index<<8 | uint64(p.Attempt), uint64(c.DataLen), auth.Tag(sent, p.Index<<8|uint64(p.Attempt)),
	}
	got := seen{
		ip.SrcIP.String(), ip.DstIP.String(), ip.TTL, ip.Length, icmp.TypeCode.Type(), icmp.TypeCode.Code(),
		uint32(icmp.Id>>8) | uint32(icmp.Id&0xff)<<8 | uint32(icmp.Seq>>8)<<16 | uint32(icmp.Seq&0xff)<<24,
		binary.LittleEndian.Uint64(icmp.Payload), binary.LittleEndian.Uint64(icmp.Payload[8:]), uint64(len(icmp.Payload)),
		binary.LittleEndian.Uint32(icmp.Payload[16:]),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestTemplateRefuses(t *testing.T) {
	good := TemplateConfig{Source: testSource, SourceMAC: testMAC, NextHop: testHop, DataLen: PayloadLen}
	for name, change := range map[string]func(*TemplateConfig){
		"IPv6 source":     func(c *TemplateConfig) { c.Source = netip.IPv6Loopback() },
		"no source":       func(c *TemplateConfig) { c.Source = netip.Addr{} },
		"half a header":   func(c *TemplateConfig) { c.NextHop = nil },
		"short address":   func(c *TemplateConfig) { c.NextHop = testHop[:5] },
		"negative length": func(c *TemplateConfig) { c.DataLen = -1 },
		"unknown kind":    func(c *TemplateConfig) { c.Kinds = []Kind{NumKinds} },
		"packet too long": func(c *TemplateConfig) { c.DataLen = 65508 },
		"too many flows":  func(c *TemplateConfig) { c.Flows = make([]Flow, MaxFlows+1) },
		"flow of IPv6":    func(c *TemplateConfig) { c.Flows = []Flow{{Source: c.Source}, {Source: netip.IPv6Loopback()}} },
		"flow twice":      func(c *TemplateConfig) { c.Flows = []Flow{{Source: c.Source}, {Source: c.Source}} },
		"other first":     func(c *TemplateConfig) { c.Flows = []Flow{{Source: c.Source, IDOffset: 1}} },
	} {
		bad := good
		change(&bad)
		if _, err := NewTemplate(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := NewTemplate(good); err != nil {
		t.Error(err)
	}
}

func TestBuildingDoesNotAllocate(t *testing.T) {
	template, err := NewTemplate(TemplateConfig{Source: testSource, SourceMAC: testMAC, NextHop: testHop, DataLen: PayloadLen})
	if err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, template.Len(Echo))
	template.Init(frame, Echo)
	if n := testing.AllocsPerRun(100, func() {
		template.Address(frame, Probe{Index: 7, Target: 0xc6120001, Attempt: 1, HopLimit: 64})
		template.Stamp(frame, Echo, 12345)
	}); n != 0 {
		t.Errorf("%v allocations a probe", n)
	}
}

func BenchmarkBuild(b *testing.B) {
	template, err := NewTemplate(TemplateConfig{Source: testSource, SourceMAC: testMAC, NextHop: testHop, DataLen: PayloadLen})
	if err != nil {
		b.Fatal(err)
	}
	frame := make([]byte, template.Len(Echo))
	template.Init(frame, Echo)
	for i := uint64(0); b.Loop(); i++ {
		template.Address(frame, Probe{Index: i, Target: uint32(i), Attempt: 1, HopLimit: 64})
		template.Stamp(frame, Echo, i)
	}
}
