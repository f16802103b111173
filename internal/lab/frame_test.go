// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"slices"

	"xsweep/sweep/target"
)

// echoRequest builds an Ethernet frame with an echo request from the sender to
// a, as it leaves lab0. RFC 791 section 3.1, RFC 792.
func echoRequest(a target.Addr, idSequence uint32) []byte {
	f := make([]byte, 14+20+8+16)
	copy(f, ResponderMAC)
	copy(f[6:], SenderMAC)
	binary.BigEndian.PutUint16(f[12:], 0x0800)
	ip, icmp := f[14:34], f[34:]
	ip[0] = 0x45
	binary.BigEndian.PutUint16(ip[2:], uint16(len(f)-14))
	ip[8], ip[9] = 64, 1
	binary.BigEndian.PutUint32(ip[12:], uint32(SenderAddr))
	binary.BigEndian.PutUint32(ip[16:], uint32(a))
	checksumHeader(ip)
	icmp[0] = 8
	binary.BigEndian.PutUint32(icmp[4:], idSequence)
	checksumMessage(icmp)
	return f
}

// wantReply builds the answer to a frame of echoRequest from scratch.
func wantReply(request []byte, ttl uint8) []byte {
	f := slices.Clone(request)
	copy(f, request[6:12])
	copy(f[6:], request[:6])
	copy(f[14+12:], request[14+16:14+20])
	copy(f[14+16:], request[14+12:14+16])
	f[14+8] = ttl
	checksumHeader(f[14:34])
	f[34] = 0
	checksumMessage(f[34:])
	return f
}

// sum is the one's complement sum of RFC 1071: 0xffff if the checksum in b is
// right.
func sum(b []byte) uint16 {
	var s uint32
	for k := 0; k+1 < len(b); k += 2 {
		s += uint32(binary.BigEndian.Uint16(b[k:]))
	}
	if len(b)%2 == 1 {
		s += uint32(b[len(b)-1]) << 8
	}
	s = s&0xffff + s>>16
	return uint16(s&0xffff + s>>16)
}

func checksumHeader(ip []byte) {
	ip[10], ip[11] = 0, 0
	binary.BigEndian.PutUint16(ip[10:], ^sum(ip))
}

func checksumMessage(icmp []byte) {
	icmp[2], icmp[3] = 0, 0
	binary.BigEndian.PutUint16(icmp[2:], ^sum(icmp))
}

// checksumErrors returns what IPv4 header and ICMP message of a frame sum to.
func checksumErrors(f []byte) [2]uint16 {
	header := 14 + 4*int(f[14]&0xf)
	end := 14 + int(binary.BigEndian.Uint16(f[16:]))
	return [2]uint16{sum(f[14:header]), sum(f[header:end])}
}

// parseReply returns sender and TTL of a frame with an echo reply.
func parseReply(f []byte) (from target.Addr, ttl uint8, ok bool) {
	if len(f) < 42 || f[12] != 8 || f[13] != 0 || f[14] != 0x45 || f[23] != 1 || f[34] != 0 {
		return 0, 0, false
	}
	return target.Addr(binary.BigEndian.Uint32(f[26:])), f[22], true
}
