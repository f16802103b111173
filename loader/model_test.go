// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"encoding/binary"

	"xsweep/bpf"
	"xsweep/loader"
	"xsweep/sweep/probe"
)

// model is the reply filter again, slow and plain, with the clock standing at
// now. It shares the cookie and the tag with the sweep, and nothing with the
// filter.
type model struct {
	loader.ReplyConfig
	auth probe.Authenticator
	now  uint64
	seen map[uint32]map[uint8]bool // by target, the attempts; 0 is unknown
}

func newModel(c loader.ReplyConfig, now uint64) *model {
	return &model{ReplyConfig: c, auth: probe.NewAuthenticator(c.Key), now: now, seen: map[uint32]map[uint8]bool{}}
}

// judge says what the filter must do with a frame.
func (m *model) judge(frame []byte) effect {
	packet := frame
	if !m.BareIP {
		if len(packet) < 14 {
			return passed(loader.Other)
		}
		etherType := binary.BigEndian.Uint16(packet[12:])
		packet = packet[14:]
		for tags := 0; tags < 2 && (etherType == 0x8100 || etherType == 0x88a8); tags++ {
			if len(packet) < 4 {
				return passed(loader.Other)
			}
			etherType = binary.BigEndian.Uint16(packet[2:])
			packet = packet[4:]
		}
		if etherType != 0x0800 {
			return passed(loader.Other)
		}
	}
	if len(packet) < 20 {
		return passed(loader.Malformed)
	}
	if packet[0]>>4 != 4 || packet[9] != 1 {
		return passed(loader.Other)
	}
	header, total := int(packet[0]&15)*4, int(binary.BigEndian.Uint16(packet[2:]))
	if header < 20 || total-header < 8 || len(packet) < header+8 {
		return passed(loader.Malformed)
	}
	if internetChecksum(packet[:header]) != 0 {
		return passed(loader.Checksum)
	}
	if flagsOffset := binary.BigEndian.Uint16(packet[6:]); flagsOffset&0x2000 != 0 || flagsOffset&0x1fff != 0 {
		return passed(loader.Fragment)
	}
	if packet[header] != 0 || total-header > 4095 {
		return passed(loader.Foreign)
	}
	if len(packet) < total {
		return passed(loader.Malformed)
	}
	return m.judgeEchoReply(packet[:header], packet[header:total])
}

func (m *model) judgeEchoReply(ip, icmp []byte) effect {
	if internetChecksum(icmp) != 0 {
		return passed(loader.Checksum)
	}
	if icmp[1] != 0 {
		return passed(loader.Malformed)
	}
	from, to := [4]byte(ip[12:]), [4]byte(ip[16:])
	target := binary.BigEndian.Uint32(from[:])
	if to != m.Source.As4() || !m.inSpan(target) {
		return passed(loader.Foreign)
	}
	if binary.LittleEndian.Uint32(icmp[4:]) != m.auth.Cookie(to, from) {
		if len(icmp) == m.Probes[0].MessageLen {
			return passed(loader.Forged)
		}
		return passed(loader.Foreign)
	}
	r := bpf.ReplyRecord{
		ArrivedNs: m.now, RttNs: ^uint64(0), Target: target, From: target,
		Size: uint16(len(icmp)), Ttl: ip[8],
	}
	if data := icmp[8:]; len(data) >= 20 {
		sent, index := binary.LittleEndian.Uint64(data), binary.LittleEndian.Uint64(data[8:])
		attempt := int(data[8])
		if binary.LittleEndian.Uint32(data[16:]) == m.auth.Tag(sent, index) &&
			attempt >= 1 && attempt <= m.Attempts && sent <= m.now {
			r.Attempt, r.RttNs = uint8(attempt), m.now-sent
		}
	}
	return m.judgePositive(r)
}

// judgePositive is the verdict on a reply that is ours, and its consequences.
func (m *model) judgePositive(r bpf.ReplyRecord) effect {
	before := m.seen[r.Target]
	e := effect{Drop: true, TTL: int(r.Ttl), RTT: int64(r.RttNs)}
	switch {
	case len(before) == 0:
		e.Verdict = loader.First
		m.seen[r.Target] = map[uint8]bool{}
	case r.Attempt == 0 || !before[r.Attempt]:
		e.Verdict = loader.Repeat
	default:
		e.Verdict, e.TTL, e.RTT = loader.Duplicate, -1, -1
	}
	m.seen[r.Target][r.Attempt] = true
	if m.Attempts == 1 {
		// Who got one probe can have answered no other.
		m.seen[r.Target][1] = true
	}
	if e.Verdict == loader.First || m.RecordAll {
		e.Record = r
		e.Record.Verdict = uint8(e.Verdict)
	}
	return e
}

// inSpan says whether the address lies in a page of the bitmap that the
// target set touches: 32,768 bits, shared out to the addresses in order. An
// address has one for each kind, with more attempts one for each of echo's too,
// and one for errors.
func (m *model) inSpan(a uint32) bool {
	needed := uint32(len(m.Probes)) + 1
	for _, p := range m.Probes {
		if p.Request == 8 && m.Attempts > 1 {
			needed += uint32(m.Attempts)
		}
	}
	bits := uint32(1)
	for bits < needed {
		bits *= 2
	}
	page := 32768 / bits
	for lo, hi := range m.Targets {
		if lo/page <= a/page && a/page <= hi/page {
			return true
		}
	}
	return false
}

// referenceBin is the bin of an RTT in nanoseconds, found by walking through
// the bins: 32 of equal width for each doubling, from 64 ns to 2^36 ns.
func referenceBin(ns uint64) int {
	bin := 0
	for octave := uint64(64); octave < 1<<36; octave *= 2 {
		if ns < octave*2 {
			return bin + int((max(ns, octave)-octave)/(octave/32))
		}
		bin += 32
	}
	return bin - 1
}
