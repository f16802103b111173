// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"encoding/binary"
	"net"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"xsweep/loader"
	"xsweep/sweep/probe"
)

// testDataLen is the length of the ICMP data of most tests' probes.
const testDataLen = 32

// Offsets in a frame without VLAN tags and IP options.
const (
	atEtherType = 12
	atIP        = 14
	atICMP      = atIP + 20
	atCookie    = atICMP + 4
	atData      = atICMP + 8
)

var (
	ourMAC   = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	theirMAC = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

// answerer makes replies as a host makes them: from the probe that it got.
type answerer struct {
	template *probe.Template
	probe    []byte
}

func newAnswerer(t testing.TB, c loader.ReplyConfig) *answerer {
	t.Helper()
	template, err := probe.NewTemplate(probe.TemplateConfig{
		Key: c.Key, Source: c.Source, SourceMAC: ourMAC, NextHop: theirMAC, DataLen: c.Probes[0].MessageLen - 8,
	})
	if err != nil {
		t.Fatal(err)
	}
	a := &answerer{template: template, probe: make([]byte, template.Len(probe.Echo))}
	template.Init(a.probe, probe.Echo)
	return a
}

// echo is one reply: to the probe with this target, index and attempt that
// was sent at sent, arriving with this TTL.
type echo struct {
	target  uint32
	index   uint64
	attempt uint8
	sent    uint64
	ttl     uint8
}

// reply makes the Ethernet frame of a valid echo reply, by way of gopacket.
func (a *answerer) reply(t testing.TB, e echo) []byte {
	t.Helper()
	a.template.Address(a.probe, probe.Probe{Target: e.target, Index: e.index, Attempt: e.attempt, HopLimit: 64})
	a.template.Stamp(a.probe, probe.Echo, e.sent)
	packet := gopacket.NewPacket(a.probe, layers.LayerTypeEthernet, gopacket.Default)
	if err := packet.ErrorLayer(); err != nil {
		t.Fatal(err.Error())
	}
	eth := packet.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	ip := packet.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	icmp := packet.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
	eth.SrcMAC, eth.DstMAC = eth.DstMAC, eth.SrcMAC
	ip.SrcIP, ip.DstIP = ip.DstIP, ip.SrcIP
	ip.TTL = e.ttl
	icmp.TypeCode = layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoReply, 0)
	buffer := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{ComputeChecksums: true},
		eth, ip, icmp, gopacket.Payload(icmp.Payload)); err != nil {
		t.Fatal(err)
	}
	// gopacket pads to the least Ethernet frame, which is a case of its own.
	return slices.Clone(buffer.Bytes()[:len(a.probe)])
}

// internetChecksum is RFC 1071 as it is written there: 16-bit words in
// network byte order. Over bytes that contain a right checksum it is zero.
func internetChecksum(data []byte) uint16 {
	var sum uint32
	for ; len(data) >= 2; data = data[2:] {
		sum += uint32(binary.BigEndian.Uint16(data))
		sum = sum&0xffff + sum>>16
	}
	if len(data) == 1 {
		sum += uint32(data[0]) << 8
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// fixIP and fixICMP set the checksum of an Ethernet frame without VLAN tags
// right, as far as its headers make sense; they return the frame.
func fixIP(frame []byte) []byte {
	if len(frame) >= atIP+20 {
		header := frame[atIP:]
		if n := int(header[0]&15) * 4; n >= 20 && n <= len(header) {
			header = header[:n]
		}
		header[10], header[11] = 0, 0
		binary.BigEndian.PutUint16(header[10:], internetChecksum(header))
	}
	return frame
}

func fixICMP(frame []byte) []byte {
	if len(frame) < atIP+20 {
		return frame
	}
	ip := frame[atIP:]
	start, end := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:]))
	if start < 20 || end > len(ip) || end < start+4 {
		return frame
	}
	message := ip[start:end]
	message[2], message[3] = 0, 0
	binary.BigEndian.PutUint16(message[2:], internetChecksum(message))
	return frame
}

// addToChecksum makes the checksum at this offset wrong by difference, in
// one's complement: neither zero nor 0xffff, which are equal.
func addToChecksum(frame []byte, at, difference int) []byte {
	sum := int(binary.BigEndian.Uint16(frame[at:])) + difference
	binary.BigEndian.PutUint16(frame[at:], uint16(sum%0xffff))
	return frame
}

// put overwrites bytes of the frame.
func put(frame []byte, at int, bytes ...byte) []byte {
	copy(frame[at:], bytes)
	return frame
}

// setTotalLength writes the IP header's total length and mends its checksum.
func setTotalLength(frame []byte, total int) []byte {
	binary.BigEndian.PutUint16(frame[atIP+2:], uint16(total))
	return fixIP(frame)
}

// resize makes the ICMP message n bytes long, by cutting or by adding zeros.
func resize(frame []byte, n int) []byte {
	frame = append(frame, make([]byte, max(0, atICMP+n-len(frame)))...)[:atICMP+n]
	return fixICMP(setTotalLength(frame, 20+n))
}

// withOptions puts n bytes of IP options (no-operation) into the header.
func withOptions(frame []byte, n int) []byte {
	frame = slices.Insert(frame, atICMP, slices.Repeat([]byte{1}, n)...)
	frame[atIP] += byte(n / 4)
	return setTotalLength(frame, int(binary.BigEndian.Uint16(frame[atIP+2:]))+n)
}

// withTags puts VLAN tags with the given protocols in front of the network
// header.
func withTags(frame []byte, protocols ...uint16) []byte {
	for _, p := range slices.Backward(protocols) {
		tag := binary.BigEndian.AppendUint16(nil, p)
		frame = slices.Insert(frame, atEtherType, append(tag, 0x20, 0x07)...)
	}
	return frame
}

// payload is what a probe's data starts with.
func payload(sent, indexAttempt uint64, tag uint32) []byte {
	b := binary.LittleEndian.AppendUint64(nil, sent)
	b = binary.LittleEndian.AppendUint64(b, indexAttempt)
	return binary.LittleEndian.AppendUint32(b, tag)
}
