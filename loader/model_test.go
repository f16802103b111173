// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"encoding/binary"
	"maps"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"xsweep/bpf"
	"xsweep/loader"
	"xsweep/sweep/probe"
)

// model is the reply filter again, slow and plain, with the clock standing at
// now. It shares the cookie and the tag with the sweep, and nothing with the
// filter: packets it reads with gopacket.
//
// gopacket is made to show packets, not to judge them, so that the model looks
// at plain bytes in these places: header and total length, since it refuses an
// IPv4 header whose lengths lie before one can ask for the protocol, refuses
// options that do not parse, which are none of the filter's business, takes a
// total length of 0 for one that was left to the hardware, and cuts packets to
// their length by itself; and both checksums and timestamps, which it does not
// read.
type model struct {
	loader.ReplyConfig
	auth probe.Authenticator
	now  uint64

	full     bool // the rings have no room
	capacity int  // of the table of what was heard; 0: no bound

	seen    map[uint32]map[answerKind]bool // by target
	errored map[uint32]bool
	heard   map[hearing]bool
	codes   map[uint8]map[uint8]uint64
}

// answerKind is what a target has one bit for: the ICMP type of the reply, and
// an attempt, 0 if unknown.
type answerKind struct{ icmpType, attempt uint8 }

// hearing is what makes two errors the same; with many answers two replies, too.
type hearing struct {
	target, from   uint32
	icmpType, code uint8
}

func newModel(c loader.ReplyConfig, now uint64) *model {
	return &model{
		ReplyConfig: c, auth: probe.NewAuthenticator(c.Key), now: now,
		seen: map[uint32]map[answerKind]bool{}, errored: map[uint32]bool{}, heard: map[hearing]bool{},
		codes: map[uint8]map[uint8]uint64{},
	}
}

// replyTypes are the types of replies by those of requests.
var replyTypes = map[uint8]uint8{8: 0, 13: 14, 17: 18}

// askedLen says whether there are probes whose request, or whose reply, is of this
// type, and how long their messages are.
func (m *model) askedLen(icmpType uint8) (int, bool) {
	for _, p := range m.Probes {
		if p.Request == icmpType || replyTypes[p.Request] == icmpType {
			return p.MessageLen, true
		}
	}
	return 0, false
}

// linkPayload is the IPv4 packet of an Ethernet frame with up to two tags.
func linkPayload(frame []byte) ([]byte, bool) {
	var eth layers.Ethernet
	if eth.DecodeFromBytes(frame, gopacket.NilDecodeFeedback) != nil {
		return nil, false
	}
	etherType, packet := eth.EthernetType, eth.Payload
	for range 2 {
		if etherType != layers.EthernetTypeDot1Q && etherType != layers.EthernetTypeQinQ {
			break
		}
		var tag layers.Dot1Q
		if tag.DecodeFromBytes(packet, gopacket.NilDecodeFeedback) != nil {
			return nil, false
		}
		etherType, packet = tag.Type, tag.Payload
	}
	return packet, etherType == layers.EthernetTypeIPv4
}

// header is an IPv4 header: its fields, and what it says of lengths.
type header struct {
	layers.IPv4
	length, total int
}

// readHeader reads the first 20 bytes. gopacket sees them with lengths that it
// accepts.
func readHeader(b []byte) (h header, ok bool) {
	if len(b) < 20 {
		return h, false
	}
	h.length, h.total = int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	fixed := [20]byte(b)
	fixed[0], fixed[2], fixed[3] = b[0]&0xf0|5, 0, 20
	return h, h.DecodeFromBytes(fixed[:], gopacket.NilDecodeFeedback) == nil
}

func (h header) source() uint32      { return binary.BigEndian.Uint32(h.SrcIP) }
func (h header) destination() uint32 { return binary.BigEndian.Uint32(h.DstIP) }

// readMessage reads an ICMP header; the rest is its payload.
func readMessage(b []byte) (icmp layers.ICMPv4, ok bool) {
	return icmp, icmp.DecodeFromBytes(b, gopacket.NilDecodeFeedback) == nil
}

// judge says what the filter must do with a frame.
func (m *model) judge(frame []byte) effect {
	packet := frame
	if !m.BareIP {
		var ok bool
		if packet, ok = linkPayload(frame); !ok {
			return passed(loader.Other)
		}
	}
	ip, ok := readHeader(packet)
	switch {
	case !ok:
		return passed(loader.Malformed)
	case ip.Version != 4 || ip.Protocol != layers.IPProtocolICMPv4:
		return passed(loader.Other)
	case ip.length < 20 || ip.total < ip.length+8 || len(packet) < ip.length+8:
		return passed(loader.Malformed)
	case internetChecksum(packet[:ip.length]) != 0:
		return passed(loader.Checksum)
	case ip.Flags&layers.IPv4MoreFragments != 0 || ip.FragOffset != 0:
		return passed(loader.Fragment)
	}
	icmpType := packet[ip.length]
	_, positive := m.askedLen(icmpType)
	positive = positive && icmpType != 8 && icmpType != 13 && icmpType != 17
	if !positive && !isError(icmpType) || !m.Pieces && ip.total-ip.length > 4095 {
		return passed(loader.Foreign)
	}
	if len(packet) < ip.total {
		return passed(loader.Malformed)
	}
	message := packet[ip.length:ip.total]
	icmp, ok := readMessage(message)
	if !ok {
		return passed(loader.Malformed)
	}
	if internetChecksum(message) != 0 {
		return passed(loader.Checksum)
	}
	if positive {
		return m.judgeReply(ip, icmp)
	}
	return m.judgeError(ip, icmp, message)
}

// isError says which types are errors: destination unreachable, source quench,
// redirect, time exceeded, parameter problem (RFC 792).
func isError(icmpType uint8) bool {
	return map[uint8]bool{3: true, 4: true, 5: true, 11: true, 12: true}[icmpType]
}

// cookieIn is the identifier and sequence number of a message as a cookie.
func cookieIn(icmp layers.ICMPv4) uint32 { return binary.LittleEndian.Uint32(icmp.Contents[4:]) }

func (m *model) cookie(h header, swapped bool) uint32 {
	source, target := [4]byte(h.SrcIP), [4]byte(h.DstIP)
	if swapped {
		source, target = target, source
	}
	return m.auth.Cookie(source, target)
}

func (m *model) isSource(address uint32) bool {
	source := m.Source.As4()
	return address == binary.BigEndian.Uint32(source[:])
}

// dataLen is the least data that a reply has, by type.
var dataLen = map[uint8]int{0: 0, 14: 12, 18: 4}

func (m *model) judgeReply(ip header, icmp layers.ICMPv4) effect {
	icmpType, length := icmp.TypeCode.Type(), 8+len(icmp.Payload)
	if icmp.TypeCode.Code() != 0 || len(icmp.Payload) < dataLen[icmpType] {
		return passed(loader.Malformed)
	}
	if !m.isSource(ip.destination()) {
		return passed(loader.Foreign)
	}
	notOurs := passed(loader.Foreign)
	if asked, _ := m.askedLen(icmpType); length == asked {
		notOurs = passed(loader.Forged)
	}
	r := bpf.ReplyRecord{
		ArrivedNs: m.now, RttNs: ^uint64(0), Target: ip.source(), From: ip.source(),
		Size: uint16(length), Ttl: ip.TTL, Type: icmpType,
	}
	if m.Many {
		index, ok := m.readPayload(icmp.Payload, &r)
		if !ok {
			return notOurs
		}
		r.Target = uint32(index)
		return m.judgeMany(r)
	}
	if !m.inSpan(r.Target) {
		return passed(loader.Foreign)
	}
	if cookieIn(icmp) != m.cookie(ip, true) {
		return notOurs
	}
	switch icmpType {
	case 0:
		m.readPayload(icmp.Payload, &r)
	case 14:
		m.readTimestamps(icmp.Payload, &r)
	case 18:
		r.Word = binary.LittleEndian.Uint32(icmp.Payload)
	}
	return m.judgePositive(r)
}

// readPayload takes RTT and attempt from the data of an echo message, if its tag
// is right.
func (m *model) readPayload(data []byte, r *bpf.ReplyRecord) (index uint64, ok bool) {
	if len(data) < 20 {
		return 0, false
	}
	sent, word := binary.LittleEndian.Uint64(data), binary.LittleEndian.Uint64(data[8:])
	_, index, attempt := probe.SplitWord(word)
	if binary.LittleEndian.Uint32(data[16:]) != m.auth.Tag(sent, word) ||
		attempt == 0 || int(attempt) > m.Attempts || sent > m.now {
		return 0, false
	}
	r.Attempt, r.RttNs = attempt, m.now-sent
	return index, true
}

const dayMS = 24 * 60 * 60 * 1000

// timeOfDay is now in milliseconds since midnight.
func (m *model) timeOfDay() int64 {
	t := time.Unix(0, int64(m.now)+m.UTOffset).UTC()
	return t.Sub(t.Truncate(24 * time.Hour)).Milliseconds()
}

// readOriginate takes an RTT of up to a minute from an originate time.
func (m *model) readOriginate(originate uint32, r *bpf.ReplyRecord) bool {
	if originate >= dayMS {
		return false
	}
	rtt := (m.timeOfDay() - int64(originate) + dayMS) % dayMS
	if rtt > 60_000 {
		return false
	}
	r.RttNs = uint64(rtt) * 1_000_000
	return true
}

// readTimestamps is NTP's offset on a clock whose hand goes round once a day.
func (m *model) readTimestamps(data []byte, r *bpf.ReplyRecord) {
	originate, receive, transmit := binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:]), binary.BigEndian.Uint32(data[8:])
	r.Word = 1 << 31
	if !m.readOriginate(originate, r) || receive >= dayMS || transmit >= dayMS {
		return
	}
	there := withinHalfADay(int64(receive) - int64(originate))
	back := withinHalfADay(int64(transmit) - m.timeOfDay())
	// The two are as far apart as the shorter way round, and their middle, rounded
	// up, lies on it.
	apart := back - there
	if apart > dayMS/2 {
		apart -= dayMS
	} else if apart < -dayMS/2 {
		apart += dayMS
	}
	twice := 2*there + apart
	middle := twice / 2
	if twice > 0 && twice%2 != 0 {
		middle++
	}
	r.Word = uint32(int32(withinHalfADay(middle)))
}

func withinHalfADay(ms int64) int64 {
	return ((ms+dayMS/2)%dayMS+dayMS)%dayMS - dayMS/2
}

// judgePositive is the verdict on a reply that is ours, and its consequences.
func (m *model) judgePositive(r bpf.ReplyRecord) effect {
	before, kind := m.seen[r.Target], answerKind{r.Type, r.Attempt}
	if m.Attempts == 1 {
		kind.attempt = 0 // who got one probe can have answered no other
	}
	e := effect{Drop: true, TTL: -1, RTT: -1, Code: m.count(r)}
	switch {
	case len(before) == 0:
		e.Verdict = loader.First
	case r.Attempt == 0 || !before[kind]:
		e.Verdict = loader.Repeat
	default:
		e.Verdict = loader.Duplicate
	}
	wanted := m.RecordFirst && (e.Verdict == loader.First || m.RecordAll)
	if wanted && m.full {
		e.Verdict = loader.RecordLost
		return e
	}
	if len(before) == 0 {
		m.seen[r.Target] = map[answerKind]bool{}
	}
	m.seen[r.Target][kind] = true
	if e.Verdict != loader.Duplicate {
		e.TTL = int(r.Ttl)
		if r.Type == 0 {
			e.RTT = int64(r.RttNs) // unknown is -1
		}
	}
	return m.record(e, r, wanted)
}

// judgeMany is the verdict on an answer to an index.
func (m *model) judgeMany(r bpf.ReplyRecord) effect {
	e := effect{Drop: true, TTL: -1, RTT: -1, Code: m.count(r)}
	key := hearing{target: r.Target, from: r.From}
	again := m.heard[key]
	wanted := m.RecordFirst && (!again || m.RecordAll)
	switch {
	case wanted && m.full, !again && m.noRoomToHear():
		e.Verdict = loader.RecordLost
		return e
	case again:
		e.Verdict = loader.Duplicate
	default:
		e.Verdict, e.TTL, e.RTT = loader.First, int(r.Ttl), int64(r.RttNs)
		m.heard[key] = true
	}
	return m.record(e, r, wanted)
}

// judgeError is the verdict on an error message. It quotes the packet that it is
// about, as far as it wants to, and what follows the quote does not matter.
func (m *model) judgeError(ip header, icmp layers.ICMPv4, message []byte) effect {
	quote := icmp.Payload
	quoted, ok := readHeader(quote)
	switch {
	case !ok || quoted.Version != 4 || quoted.length < 20:
		return passed(loader.Malformed)
	case quoted.Protocol != layers.IPProtocolICMPv4, !m.isSource(quoted.source()), !m.isSource(ip.destination()):
		return passed(loader.Foreign)
	case quoted.FragOffset != 0 && (quoted.FragOffset != 0x40 || quoted.Flags != 0): // "don't fragment", byte-swapped
		return passed(loader.Fragment)
	case len(quote) < quoted.length+8:
		return passed(loader.Malformed)
	}
	request, ok := readMessage(quote[quoted.length:])
	if !ok {
		return passed(loader.Malformed)
	}
	kind := request.TypeCode.Type()
	_, isRequest := replyTypes[kind]
	asked, ok := m.askedLen(kind)
	if !isRequest || !ok || request.TypeCode.Code() != 0 || !m.inSpan(quoted.destination()) {
		return passed(loader.Foreign)
	}
	if cookieIn(request) != m.cookie(quoted, false) {
		if quoted.total == 20+asked {
			return passed(loader.Forged)
		}
		return passed(loader.Foreign)
	}
	r := bpf.ReplyRecord{
		ArrivedNs: m.now, RttNs: ^uint64(0), Target: quoted.destination(), From: ip.source(),
		Word: cookieIn(icmp), Size: uint16(len(message)), Ttl: ip.TTL,
		Type: icmp.TypeCode.Type(), Code: icmp.TypeCode.Code(), QuotedTtl: quoted.TTL,
	}
	switch {
	case kind == 8:
		m.readPayload(request.Payload, &r)
	case kind == 13 && len(request.Payload) >= 4:
		m.readOriginate(binary.BigEndian.Uint32(request.Payload), &r)
	}
	return m.hear(r, message)
}

// hear is what follows from an error for one of our probes.
func (m *model) hear(r bpf.ReplyRecord, message []byte) effect {
	e := effect{Drop: true, Verdict: loader.Error, TTL: -1, RTT: -1, Code: m.count(r)}
	key := hearing{r.Target, r.From, r.Type, r.Code}
	switch {
	case m.heard[key]:
		e.Verdict = loader.ErrorDuplicate
	case m.noRoomToHear():
		e.Verdict = loader.ErrorUnchecked
	}
	wanted := m.RecordErrors && (e.Verdict != loader.ErrorDuplicate || m.RecordAll)
	if wanted && m.full {
		e.Verdict = loader.RecordLost
		return e
	}
	if e.Verdict == loader.Error {
		m.heard[key] = true
	}
	if !m.errored[r.Target] {
		m.errored[r.Target] = true
		e.Errored = true
	}
	if wanted && mayBeExtended(message) {
		// In whole words, and no more than RFC 4884 allows a datagram.
		e.Message = string(message[:min(len(message), 576)&^3])
		r.Message = uint16(len(e.Message))
	}
	return m.record(e, r, wanted)
}

// mayBeExtended says whether a structure may be in a message: destination
// unreachable, time exceeded and parameter problem with a length field (RFC 4884,
// section 4), or with what looks like a structure's first byte behind a quote of 128
// bytes (section 5.5).
func mayBeExtended(message []byte) bool {
	switch message[0] {
	case 3, 11, 12:
		return message[5] != 0 || len(message) >= 8+128+4 && message[8+128]>>4 == 2
	}
	return false
}

func (m *model) noRoomToHear() bool { return m.capacity > 0 && len(m.heard) >= m.capacity }

func (m *model) record(e effect, r bpf.ReplyRecord, wanted bool) effect {
	if wanted {
		e.Record = r
		e.Record.Verdict = uint8(e.Verdict)
	}
	return e
}

// count counts what carries our cookie.
func (m *model) count(r bpf.ReplyRecord) string {
	if m.codes[r.Type] == nil {
		m.codes[r.Type] = map[uint8]uint64{}
	}
	m.codes[r.Type][r.Code]++
	return codeName(r.Type, r.Code)
}

// inSpan says whether the address lies in a page of the bitmap that the
// target set touches: 32,768 bits, shared out to the addresses in order. An
// address has one for each kind, and with more attempts one for each of echo's
// too.
func (m *model) inSpan(a uint32) bool {
	needed := uint32(len(m.Probes))
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

// totals are what the filter's counters must have come to, as far as the model
// keeps them.
func (m *model) totals() totals {
	t := totals{Errored: uint64(len(m.errored)), Codes: map[uint8]map[uint8]uint64{}}
	for target := range m.errored {
		if len(m.seen[target]) > 0 {
			t.Both++
		}
	}
	for icmpType, codes := range m.codes {
		t.Codes[icmpType] = maps.Clone(codes)
	}
	return t
}

// totals are counters of whole sweeps.
type totals struct {
	Errored, Both uint64
	Codes         map[uint8]map[uint8]uint64
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
