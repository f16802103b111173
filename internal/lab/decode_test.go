// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"xsweep/sweep/probe"
	"xsweep/sweep/reply"
	"xsweep/sweep/target"
)

// request builds a frame with a probe from the sender to a. The ICMP data of an
// echo request are numbers; a timestamp request's originate is given.
func request(a target.Addr, q question, id uint32, originate uint32) []byte {
	f := make([]byte, 14+q.length)
	copy(f, ResponderMAC)
	copy(f[6:], SenderMAC)
	binary.BigEndian.PutUint16(f[12:], 0x0800)
	ip, icmp := f[14:34], f[34:]
	ip[0] = 0x45
	binary.BigEndian.PutUint16(ip[2:], uint16(q.length))
	binary.BigEndian.PutUint16(ip[4:], uint16(id>>3))
	if q.df {
		ip[6] = 0x40
	}
	ip[8], ip[9] = q.ttl, 1
	binary.BigEndian.PutUint32(ip[12:], uint32(SenderAddr))
	binary.BigEndian.PutUint32(ip[16:], uint32(a))
	checksumHeader(ip)
	icmp[0] = q.kind.Type()
	binary.BigEndian.PutUint32(icmp[4:], id)
	switch q.kind {
	case probe.Echo:
		for k := range icmp[8:] {
			icmp[8+k] = byte(k + 1)
		}
	case probe.Timestamp:
		binary.BigEndian.PutUint32(icmp[8:], originate)
	}
	checksumMessage(icmp)
	return f
}

// fault is what a receiver can find wrong with an answer.
type fault string

const (
	wrongHeader      fault = "checksum of the IP header"
	wrongChecksum    fault = "checksum of the message"
	lyingLength      fault = "length"
	foreignCookie    fault = "cookie"
	wrongCode        fault = "code"
	shortQuote       fault = "short quote"
	foreignQuote     fault = "quoted source"
	otherProtocol    fault = "quoted protocol"
	alteredQuote     fault = "quoted bytes"
	quotedHeader     fault = "checksum of the quoted header"
	objectsChecksum  fault = "checksum of the objects"
	objectsMalformed fault = "objects"
)

// flawFaults are the faults that each flaw shows.
var flawFaults = [flawCount + 1][]fault{
	flawReplyChecksum:   {wrongChecksum},
	flawReplyHeader:     {wrongHeader},
	flawReplyLength:     {lyingLength},
	flawReplyCookie:     {foreignCookie},
	flawReplyCode:       {wrongCode},
	flawErrorChecksum:   {wrongChecksum},
	flawErrorHeader:     {wrongHeader},
	flawErrorLength:     {lyingLength},
	flawQuoteShort:      {shortQuote},
	flawQuoteCookie:     {foreignCookie},
	flawQuoteSource:     {foreignQuote},
	flawQuoteProtocol:   {otherProtocol},
	flawObjectsChecksum: {objectsChecksum},
	flawObjectsLength:   {objectsMalformed},
	flawNone:            nil,
}

// decoded is an answer as a receiver reads it.
type decoded struct {
	record  reply.Record
	faults  []fault
	options []layers.IPv4Option
	quoted  int // bytes of quote that are the probe's
	body    []byte
}

// decode reads the answer to a request of [request], on its own terms: it knows
// nothing of simnet.
func decode(sent, frame []byte) (d decoded, err error) {
	find := func(f fault) { d.faults = append(d.faults, f) }
	packet := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.NoCopy)
	eth, _ := packet.LinkLayer().(*layers.Ethernet)
	ip, _ := packet.NetworkLayer().(*layers.IPv4)
	if eth == nil || ip == nil {
		return d, errors.New("no IPv4 in Ethernet")
	}
	if !slices.Equal(eth.DstMAC, SenderMAC) || !slices.Equal(eth.SrcMAC, ResponderMAC) {
		return d, fmt.Errorf("from %v to %v", eth.SrcMAC, eth.DstMAC)
	}
	if ip.Protocol != layers.IPProtocolICMPv4 || ip.FragOffset != 0 || ip.Flags&layers.IPv4MoreFragments != 0 {
		return d, errors.New("no ICMP, or a fragment")
	}
	if a, _ := netip.AddrFromSlice(ip.DstIP); a != SenderAddr.Netip() {
		return d, fmt.Errorf("is for %v", a)
	}
	if sum(ip.Contents) != 0xffff {
		find(wrongHeader)
	}
	d.options = ip.Options
	for _, o := range ip.Options {
		// Room for whole addresses, of which none is filled in.
		if o.OptionType == 7 && (o.OptionLength < 7 || o.OptionLength%4 != 3 || o.OptionData[0] != 4) {
			return d, fmt.Errorf("record route option %+v", o)
		}
		// Every router should look at the packet (RFC 2113).
		if o.OptionType == 148 && (o.OptionLength != 4 || o.OptionData[0] != 0 || o.OptionData[1] != 0) {
			return d, fmt.Errorf("router alert option %+v", o)
		}
	}
	header := int(ip.IHL) * 4
	message := frame[14+header:]
	if int(ip.Length) > len(frame)-14 {
		find(lyingLength)
	} else {
		message = message[:int(ip.Length)-header]
	}
	if len(message) < 8 {
		return d, errors.New("no ICMP header")
	}
	if sum(message) != 0xffff {
		find(wrongChecksum)
	}
	kind, ok := reply.KindOf(message[0])
	if !ok {
		return d, fmt.Errorf("ICMP type %d", message[0])
	}
	r := &d.record
	r.From, _ = netip.AddrFromSlice(ip.SrcIP)
	r.TTL, r.Size = ip.TTL, uint16(len(message))
	r.Kind, r.Type, r.Code = kind, message[0], message[1]
	r.RTT, r.ClockOffset = reply.RTTUnknown, reply.OffsetUnknown
	d.body = message[8:]
	if kind.IsError() {
		return d, d.decodeError(sent[14:], message, find)
	}
	r.Addr = r.From
	if r.Code != 0 {
		find(wrongCode)
	}
	if !slices.Equal(message[4:8], sent[38:42]) {
		find(foreignCookie)
	}
	if kind == reply.AddressMaskReply {
		r.Mask, _ = netip.AddrFromSlice(message[8:12])
	}
	return d, nil
}

func (d *decoded) decodeError(probe, message []byte, find func(fault)) error {
	r := &d.record
	quote := message[8:]
	switch r.Kind {
	case reply.Unreachable, reply.TimeExceeded, reply.ParameterProblem:
		if length := int(message[5]) * 4; length > 0 {
			if length < 128 || length > len(quote) {
				return fmt.Errorf("quote of %d bytes in %d", length, len(quote))
			}
			objects := quote[length:]
			quote = quote[:length]
			x, f := decodeObjects(objects)
			if f != "" {
				find(f)
			}
			r.Extensions = x
		}
	}
	switch r.Kind {
	case reply.Unreachable:
		if message[4] != 0 || r.Code != 4 && message[6]|message[7] != 0 {
			return fmt.Errorf("unused bytes % x", message[4:8])
		}
		r.MTU = binary.BigEndian.Uint16(message[6:])
	case reply.Redirect:
		r.Gateway, _ = netip.AddrFromSlice(message[4:8])
	case reply.ParameterProblem:
		r.Pointer = message[4]
		fallthrough
	case reply.TimeExceeded:
		if message[6]|message[7] != 0 {
			return fmt.Errorf("unused bytes % x", message[4:8])
		}
	case reply.SourceQuench:
		if binary.BigEndian.Uint32(message[4:]) != 0 {
			return fmt.Errorf("unused bytes % x", message[4:8])
		}
	}

	if len(quote) < 20 || quote[0] != probe[0] || !slices.Equal(quote[16:20], probe[16:20]) {
		return errors.New("does not quote the probe's header")
	}
	target, _ := netip.AddrFromSlice(quote[16:20])
	r.Addr = target
	r.QuotedTTL = quote[8]
	if len(quote) < 28 {
		find(shortQuote)
	}
	if !slices.Equal(quote[12:16], probe[12:16]) {
		find(foreignQuote)
	}
	if quote[9] != 1 {
		find(otherProtocol)
	}
	if sum(quote[:20]) != 0xffff {
		find(quotedHeader)
	}
	if !slices.Equal(quote[:8], probe[:8]) || len(quote) >= 24 && !slices.Equal(quote[20:24], probe[20:24]) {
		find(alteredQuote)
	}
	if len(quote) >= 28 && !slices.Equal(quote[24:28], probe[24:28]) {
		find(foreignCookie)
	}
	d.quoted = 28
	for d.quoted < min(len(quote), len(probe)) && quote[d.quoted] == probe[d.quoted] {
		d.quoted++
	}
	if r.Extensions == nil && message[5] == 0 && d.quoted < len(quote) && len(quote) >= 28 {
		find(alteredQuote)
	}
	return nil
}

// decodeObjects reads an extension structure (RFC 4884, section 7).
func decodeObjects(b []byte) (*reply.Extensions, fault) {
	if len(b) < 4 || b[0]>>4 != 2 || sum(b) != 0xffff {
		return nil, objectsChecksum
	}
	x := new(reply.Extensions)
	for b = b[4:]; len(b) > 0; {
		if len(b) < 4 {
			return nil, objectsMalformed
		}
		n := int(binary.BigEndian.Uint16(b))
		if n < 4 || n > len(b) || n%4 != 0 {
			return nil, objectsMalformed
		}
		object := b[4:n]
		switch {
		case b[2] == 1 && b[3] == 1: // RFC 4950
			for ; len(object) > 0; object = object[4:] {
				v := binary.BigEndian.Uint32(object)
				x.MPLS = append(x.MPLS, reply.Label{Label: v >> 12, Class: uint8(v >> 9 & 7), Bottom: v>>8&1 == 1, TTL: uint8(v)})
			}
		case b[2] == 2: // RFC 5837
			i := reply.Interface{Role: reply.Role(b[3] >> 6)}
			take := func(n int) []byte {
				field := object[:n]
				object = object[n:]
				return field
			}
			if b[3]&8 != 0 {
				i.Index = binary.BigEndian.Uint32(take(4))
			}
			if b[3]&4 != 0 {
				if family := binary.BigEndian.Uint16(take(4)); family != 1 {
					return nil, objectsMalformed
				}
				i.Addr, _ = netip.AddrFromSlice(take(4))
			}
			if b[3]&2 != 0 {
				name := take(int(object[0]))[1:]
				for len(name) > 0 && name[len(name)-1] == 0 {
					name = name[:len(name)-1]
				}
				i.Name = string(name)
			}
			if b[3]&1 != 0 {
				i.MTU = binary.BigEndian.Uint32(take(4))
			}
			if len(object) > 0 || b[3]&0x30 != 0 {
				return nil, objectsMalformed
			}
			x.Interfaces = append(x.Interfaces, i)
		default:
			return nil, objectsMalformed
		}
		b = b[n:]
	}
	return x, ""
}
