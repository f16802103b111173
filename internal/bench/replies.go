// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"xsweep/internal/lab"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
	"xsweep/sweep/target"
)

// frameBytes is the length of an error message that quotes a whole probe of the
// default size, or of a reply to it, with padding behind it: FRAME_WORDS of
// replay.bpf.c, in bytes.
const frameBytes = 96

type frame [frameBytes]byte

// Offsets in the frame of an echo request or reply.
const (
	atIP       = 14
	atIPSum    = atIP + 10
	atSource   = atIP + 12
	atTarget   = atIP + 16
	atICMP     = atIP + 20
	atICMPSum  = atICMP + 2
	atProtocol = atIP + 9
)

// oldestReply is how long ago the probes of prepared replies were sent at
// most.
const oldestReply = 200 * time.Millisecond

// prepareReplies makes valid first replies from n distinct, scattered targets
// of r, with TTLs and round trips that differ as they do in a sweep.
func prepareReplies(r target.Range, n int) ([]frame, error) { return prepare(r, n, answer) }

// prepareErrors makes as many errors for such probes, each from a router of its
// own.
func prepareErrors(r target.Range, n int) ([]frame, error) { return prepare(r, n, refuse) }

// prepare makes frames of what answers n probes to distinct, scattered targets.
func prepare(r target.Range, n int, answer func(reply *frame, request []byte)) ([]frame, error) {
	template, err := newTemplate(probe.PayloadLen)
	if err != nil {
		return nil, err
	}
	order := target.NewOrder(target.NewSet(r), 1)
	random := rand.New(rand.NewPCG(1, 2))
	now := uint64(pace.NewClock().Now())
	request := make([]byte, template.Len(probe.Echo))
	template.Init(request, probe.Echo)
	replies := make([]frame, n)
	for i := range replies {
		template.Address(request, probe.Probe{
			Index: uint64(i), Target: uint32(order.At(uint64(i))), Attempt: 1, HopLimit: uint8(40 + random.IntN(24)),
		})
		template.Stamp(request, probe.Echo, now-random.Uint64N(uint64(oldestReply)))
		answer(&replies[i], request)
	}
	return replies, nil
}

// answer makes the echo reply to a request as a host does: addresses
// exchanged, type changed, TTL as it stands, checksums of its own.
func answer(reply *frame, request []byte) {
	length := copy(reply[:], request)
	copy(reply[0:], request[6:12])
	copy(reply[6:], request[0:6])
	copy(reply[atSource:], request[atTarget:atTarget+4])
	copy(reply[atTarget:], request[atSource:atSource+4])
	reply[atICMP] = 0 // echo reply
	putChecksum(reply[atIP:atICMP], atIPSum-atIP)
	putChecksum(reply[atICMP:length], atICMPSum-atICMP)
}

// refuse makes the time exceeded (RFC 792) that a router sends for a request,
// which it quotes whole. Its address is the target's with other upper bits.
func refuse(reply *frame, request []byte) {
	const atQuote = atICMP + 8
	quote := request[atIP:]
	copy(reply[0:], request[6:12])
	copy(reply[6:], request[0:6])
	copy(reply[12:], request[12:atIP])
	copy(reply[atIP:], quote[:atICMP-atIP])
	binary.BigEndian.PutUint16(reply[atIP+2:], uint16(atQuote-atIP+len(quote)))
	copy(reply[atSource:], request[atTarget:atTarget+4])
	reply[atSource] = 198
	copy(reply[atTarget:], request[atSource:atSource+4])
	reply[atICMP] = 11
	length := atQuote + copy(reply[atQuote:], quote)
	putChecksum(reply[atIP:atICMP], atIPSum-atIP)
	putChecksum(reply[atICMP:length], atICMPSum-atICMP)
}

// udpPacket is a packet that the filter has nothing to say about.
func udpPacket() (frame, error) {
	replies, err := prepareReplies(target.Range{First: lab.GatewayAddr, Last: lab.GatewayAddr}, 1)
	if err != nil {
		return frame{}, err
	}
	packet := replies[0]
	packet[atProtocol] = 17 // the filter does not look beyond this
	putChecksum(packet[atIP:atICMP], atIPSum-atIP)
	return packet, nil
}

// putChecksum writes the Internet checksum of data (RFC 1071) into it.
func putChecksum(data []byte, at int) {
	data[at], data[at+1] = 0, 0
	var sum uint32
	for i := 0; i+1 < len(data); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(data[i:]))
	}
	if len(data)%2 == 1 {
		sum += uint32(data[len(data)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(data[at:], ^uint16(sum))
}
