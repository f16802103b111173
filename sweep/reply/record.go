// SPDX-License-Identifier: Apache-2.0

package reply

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"time"

	"xsweep/loader"
)

// RTTUnknown stands for the round-trip time of a reply that did not bring
// its payload back.
const RTTUnknown = time.Duration(math.MinInt64)

// Record is one reply.
type Record struct {
	// Time is when the reply arrived.
	Time time.Time
	// Addr is the target that the probe was for, From who sent the reply.
	Addr, From netip.Addr
	// Kind is what the reply says; Type and Code are as on the wire.
	Kind       Kind
	Type, Code uint8
	// TTL is the hop limit of the reply as it arrived.
	TTL uint8
	// Attempt is which of the target's probes this answers, from 1; 0 where
	// it is unknown.
	Attempt uint8
	// Verdict is what the filter decided: one of those that there are records of.
	Verdict loader.Verdict
	// Duplicate is false for the first reply of a target, true for later ones.
	Duplicate bool
	// Size is the length of the ICMP message in bytes.
	Size uint16
	// RTT is the round-trip time, RTTUnknown where it is unknown. That of a
	// timestamp reply is of whole milliseconds.
	RTT time.Duration

	// QuotedTTL is the hop limit that the probe had left where an error message
	// was made, as that quotes it. Only errors have one.
	QuotedTTL uint8
	// MTU is that of the next hop, in bytes, as a "fragmentation needed" tells it
	// (RFC 1191); 0 where none is told.
	MTU uint16
	// Gateway is the one that a redirect names, and invalid for all others.
	Gateway netip.Addr
	// Pointer is the octet of the probe that a parameter problem points at. Only
	// those have one.
	Pointer uint8
	// Mask is what an address mask reply tells, and invalid for all others.
	Mask netip.Addr
	// ClockOffset is how far the clock of who sent a timestamp reply is ahead of
	// this machine's, in whole milliseconds, within half a day; OffsetUnknown
	// where it is not told, or not in milliseconds since midnight UT.
	ClockOffset time.Duration
	// Extensions is what the router attached that sent an error; nil if nothing.
	Extensions *Extensions
}

// OffsetUnknown stands for the offset of a clock that is not known.
const OffsetUnknown = time.Duration(math.MinInt64)

// RecordLen is the length in bytes of a record as it leaves the filter:
// struct record of bpf/include/reply_abi.h.
const RecordLen = 40

// Places in it.
const (
	atRTT       = 8
	atTarget    = 16
	atFrom      = 20
	atWord      = 24
	atSize      = 28
	atMessage   = 30
	atTTL       = 32
	atType      = 33
	atCode      = 34
	atAttempt   = 35
	atVerdict   = 36
	atQuotedTTL = 37
)

// offsetUnknown is OFFSET_UNKNOWN of bpf/include/reply_abi.h.
const offsetUnknown = 1 << 31

// rttUnknown is RTT_UNKNOWN of bpf/include/reply_abi.h.
const rttUnknown = math.MaxUint64

// Arrived is when the reply of a record, as the filter wrote it, arrived:
// CLOCK_MONOTONIC in ns.
func Arrived(raw []byte) int64 {
	if len(raw) < RecordLen {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(raw))
}

// Decode reads a record as the filter wrote it. wallOffset is what turns
// CLOCK_MONOTONIC into nanoseconds since 1970. What does not have the filter's
// shape is an error; r is then unchanged. An error that
// [ExtensionFault] knows is one of what a router attached: r is then whole, but
// for its extensions.
func (r *Record) Decode(raw []byte, wallOffset int64) error {
	if len(raw) < RecordLen {
		return fmt.Errorf("record of %d bytes: must be %d at least", len(raw), RecordLen)
	}
	messageLen := int(binary.LittleEndian.Uint16(raw[atMessage:]))
	if messageLen > len(raw)-RecordLen {
		return fmt.Errorf("record of %d bytes: has no message of %d", len(raw), messageLen)
	}
	kind, ok := KindOf(raw[atType])
	if !ok {
		return fmt.Errorf("record of ICMP type %d: it answers no probe", raw[atType])
	}
	verdict := loader.Verdict(raw[atVerdict])
	switch verdict {
	case loader.First, loader.Repeat, loader.Duplicate:
		ok = !kind.IsError()
	case loader.Error, loader.ErrorDuplicate, loader.ErrorUnchecked:
		ok = kind.IsError()
	default:
		ok = false
	}
	if !ok {
		return fmt.Errorf("record of a %v with verdict %v", kind, verdict)
	}
	rtt := RTTUnknown
	switch ns := binary.LittleEndian.Uint64(raw[atRTT:]); {
	case ns == rttUnknown:
	case ns > math.MaxInt64:
		return fmt.Errorf("record with a round-trip time of %d ns", ns)
	default:
		rtt = time.Duration(ns)
	}
	*r = Record{
		Time:        time.Unix(0, Arrived(raw)+wallOffset).UTC(),
		RTT:         rtt,
		Addr:        address(raw[atTarget:]),
		From:        address(raw[atFrom:]),
		Kind:        kind,
		Size:        binary.LittleEndian.Uint16(raw[atSize:]),
		TTL:         raw[atTTL],
		Type:        raw[atType],
		Code:        raw[atCode],
		Attempt:     raw[atAttempt],
		Verdict:     verdict,
		Duplicate:   verdict != loader.First && verdict != loader.Error && verdict != loader.ErrorUnchecked,
		ClockOffset: OffsetUnknown,
	}
	if kind.IsError() {
		r.QuotedTTL = raw[atQuotedTTL]
	}
	r.decodeWord([4]byte(raw[atWord:]))
	if messageLen == 0 {
		return nil
	}
	return r.decodeExtensions(raw[RecordLen:][:messageLen])
}

// decodeWord reads what a message of the kind has behind its checksum, or a mask
// reply behind its header; of a timestamp reply, what the filter made of it.
func (r *Record) decodeWord(word [4]byte) {
	switch r.Kind {
	case TimestampReply:
		if ms := binary.LittleEndian.Uint32(word[:]); ms != offsetUnknown {
			r.ClockOffset = time.Duration(int32(ms)) * time.Millisecond
		}
	case AddressMaskReply:
		r.Mask = netip.AddrFrom4(word)
	case Redirect:
		r.Gateway = netip.AddrFrom4(word)
	case ParameterProblem:
		r.Pointer = word[0]
	case Unreachable:
		if r.Code == fragmentationNeeded {
			r.MTU = binary.BigEndian.Uint16(word[2:])
		}
	}
}

// fragmentationNeeded is the code of an unreachable that tells an MTU (RFC 1191,
// section 4).
const fragmentationNeeded = 4

// decodeExtensions reads what is attached to an error message.
func (r *Record) decodeExtensions(message []byte) error {
	attached, ok := FindExtensions(message)
	if !ok {
		return nil
	}
	var err error
	r.Extensions, err = ParseExtensions(attached)
	return err
}

// address reads an IPv4 address that the filter wrote in host byte order.
func address(raw []byte) netip.Addr {
	return netip.AddrFrom4([4]byte{raw[3], raw[2], raw[1], raw[0]})
}
