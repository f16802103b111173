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

// answerer makes answers as hosts and routers make them: from the probe that
// they got. It also knows kinds of probes that the sweep does not send.
type answerer struct {
	template *probe.Template
	source   uint32
}

func newAnswerer(t testing.TB, c loader.ReplyConfig) *answerer {
	t.Helper()
	dataLen := testDataLen
	for _, p := range c.Probes {
		if p.Request == 8 {
			dataLen = p.MessageLen - 8
		}
	}
	template, err := probe.NewTemplate(probe.TemplateConfig{
		Key: c.Key, Source: c.Source, SourceMAC: ourMAC, NextHop: theirMAC, DataLen: dataLen, UTOffset: c.UTOffset,
		Kinds: []probe.Kind{probe.Echo, probe.Timestamp, probe.Mask},
	})
	if err != nil {
		t.Fatal(err)
	}
	source := c.Source.As4()
	return &answerer{template: template, source: binary.BigEndian.Uint32(source[:])}
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

// probe is the frame of the probe that e answers.
func (a *answerer) probe(kind probe.Kind, e echo) []byte {
	return a.template.Frame(probe.Probe{Kind: kind, Target: e.target, Index: e.index, Attempt: e.attempt, HopLimit: 64}, e.sent)
}

// reply makes the Ethernet frame of a valid echo reply, by way of gopacket.
func (a *answerer) reply(t testing.TB, e echo) []byte { return a.answer(t, probe.Echo, e, nil) }

// timestampReply makes that of a valid timestamp reply, times in milliseconds
// since midnight.
func (a *answerer) timestampReply(t testing.TB, e echo, receive, transmit uint32) []byte {
	return a.answer(t, probe.Timestamp, e, func(data []byte) {
		binary.BigEndian.PutUint32(data[4:], receive)
		binary.BigEndian.PutUint32(data[8:], transmit)
	})
}

// maskReply makes that of a valid address mask reply.
func (a *answerer) maskReply(t testing.TB, e echo, mask [4]byte) []byte {
	return a.answer(t, probe.Mask, e, func(data []byte) { copy(data, mask[:]) })
}

// answer makes the frame of a reply to a probe of a kind; fill changes its data.
func (a *answerer) answer(t testing.TB, kind probe.Kind, e echo, fill func([]byte)) []byte {
	t.Helper()
	request := a.probe(kind, e)
	packet := gopacket.NewPacket(request, layers.LayerTypeEthernet, gopacket.Default)
	if err := packet.ErrorLayer(); err != nil {
		t.Fatal(err.Error())
	}
	eth := packet.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	ip := packet.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	icmp := packet.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
	eth.SrcMAC, eth.DstMAC = eth.DstMAC, eth.SrcMAC
	ip.SrcIP, ip.DstIP = ip.DstIP, ip.SrcIP
	ip.TTL = e.ttl
	icmp.TypeCode = layers.CreateICMPv4TypeCode(kind.ReplyType(), 0)
	data := slices.Clone(icmp.Payload)
	if fill != nil {
		fill(data)
	}
	buffer := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{ComputeChecksums: true},
		eth, ip, icmp, gopacket.Payload(data)); err != nil {
		t.Fatal(err)
	}
	// gopacket pads to the least Ethernet frame, which is a case of its own.
	return slices.Clone(buffer.Bytes()[:len(request)])
}

// quote is a probe as a router quotes it, whole: its IP packet, with ttl left.
func (a *answerer) quote(kind probe.Kind, e echo, ttl uint8) []byte {
	return fixIP(put(a.probe(kind, e), atIP+8, ttl))[atIP:]
}

// Routers that send errors, outside of the targets: 203.0.113.1 and .2.
const (
	routerA = 0xcb007101
	routerB = 0xcb007102
)

// icmpError is an error message: who sends it with which TTL as it arrives,
// what stands behind its checksum, and all that follows.
type icmpError struct {
	from           uint32
	ttl            uint8
	icmpType, code uint8
	word           [4]byte
	quote          []byte
}

// frame is the Ethernet frame of the message, to whom the probes come from.
func (a *answerer) frame(e icmpError) []byte {
	total := 20 + 8 + len(e.quote)
	b := slices.Concat(ourMAC, theirMAC, []byte{8, 0})
	b = append(b, 0x45, 0xc0, byte(total>>8), byte(total), 0x31, 0x41, 0, 0, e.ttl, 1, 0, 0)
	b = binary.BigEndian.AppendUint32(b, e.from)
	b = binary.BigEndian.AppendUint32(b, a.source)
	b = append(b, e.icmpType, e.code, 0, 0)
	b = append(b, e.word[:]...)
	return fixICMP(fixIP(append(b, e.quote...)))
}

// quoteOptions puts n bytes of IP options into the header of a quoted packet.
func quoteOptions(quote []byte, n int) []byte {
	quote = slices.Insert(quote, 20, slices.Repeat([]byte{1}, n)...)
	quote[0] += byte(n / 4)
	binary.BigEndian.PutUint16(quote[2:], binary.BigEndian.Uint16(quote[2:])+uint16(n))
	return quote
}

// extended is a quote as RFC 4884 has it: cut or padded to 128 bytes, and a
// structure behind it. The message's length field is then 32.
func extended(quote, structure []byte) []byte {
	padded := make([]byte, 128)
	copy(padded, quote)
	return append(padded, structure...)
}

// extension is a structure with one object (RFC 4884, sections 7 and 8): a label
// stack (RFC 4950) of these entries.
func extension(labels ...uint32) []byte {
	b := []byte{0x20, 0, 0, 0, 0, byte(4 + 4*len(labels)), 1, 1}
	for _, l := range labels {
		b = binary.BigEndian.AppendUint32(b, l)
	}
	binary.BigEndian.PutUint16(b[2:], internetChecksum(b))
	return b
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
