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
const RecordLen = 32

// rttUnknown is RTT_UNKNOWN of bpf/include/reply_abi.h.
const rttUnknown = math.MaxUint64

// Decode reads a record as the filter wrote it. wallOffset is what turns
// CLOCK_MONOTONIC into nanoseconds since 1970. What does not have the filter's
// shape is an error; r is then unchanged.
func (r *Record) Decode(raw []byte, wallOffset int64) error {
	if len(raw) != RecordLen {
		return fmt.Errorf("record of %d bytes: must be %d", len(raw), RecordLen)
	}
	verdict := loader.Verdict(raw[30])
	switch verdict {
	case loader.First, loader.Repeat, loader.Duplicate:
	default:
		return fmt.Errorf("record with verdict %v: only replies have records", verdict)
	}
	if raw[27] != 0 {
		return fmt.Errorf("record of ICMP type %d: only echo replies have records", raw[27])
	}
	rtt := RTTUnknown
	switch ns := binary.LittleEndian.Uint64(raw[8:]); {
	case ns == rttUnknown:
	case ns > math.MaxInt64:
		return fmt.Errorf("record with a round-trip time of %d ns", ns)
	default:
		rtt = time.Duration(ns)
	}
	*r = Record{
		Time: time.Unix(0, int64(binary.LittleEndian.Uint64(raw))+wallOffset).UTC(),
		RTT:  rtt,
		Addr: address(raw[16:]),
		From: address(raw[20:]),
		Kind: EchoReply, ClockOffset: OffsetUnknown,
		Size:      binary.LittleEndian.Uint16(raw[24:]),
		TTL:       raw[26],
		Type:      raw[27],
		Code:      raw[28],
		Attempt:   raw[29],
		Duplicate: verdict != loader.First,
	}
	return nil
}

// address reads an IPv4 address that the filter wrote in host byte order.
func address(raw []byte) netip.Addr {
	return netip.AddrFrom4([4]byte{raw[3], raw[2], raw[1], raw[0]})
}
