// SPDX-License-Identifier: Apache-2.0

package where

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"xsweep/sweep/reply"
)

// at is when the records of the tests arrived.
var at = time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)

// records are one of each sort. Those of docs/where.md are "reply" and "error".
var records = map[string]reply.Record{
	"reply": {
		Time: at, Addr: ip("192.0.2.1"), From: ip("192.0.2.1"), Kind: reply.EchoReply,
		TTL: 57, Attempt: 1, Size: 28, RTT: 4200 * time.Microsecond, ClockOffset: reply.OffsetUnknown,
	},
	"error": {
		Time: at.Add(time.Second), Addr: ip("192.0.2.77"), From: ip("10.0.0.9"), Kind: reply.Unreachable, Type: 3, Code: 4,
		TTL: 250, Size: 168, RTT: reply.RTTUnknown, QuotedTTL: 60, MTU: 1400, ClockOffset: reply.OffsetUnknown,
		Extensions: &reply.Extensions{
			MPLS:       []reply.Label{{Label: 16004, Bottom: true, TTL: 254}},
			Interfaces: []reply.Interface{{Role: reply.Incoming, Index: 5, Name: "xe-0/0/1", MTU: 1500}},
		},
	},
	// bare knows as little as a reply can.
	"bare": {
		Time: at, Addr: ip("198.51.100.7"), From: ip("198.51.100.7"), Kind: reply.EchoReply,
		TTL: 30, Size: 8, Duplicate: true, RTT: reply.RTTUnknown, ClockOffset: reply.OffsetUnknown,
	},
	"redirect": {
		Time: at, Addr: ip("203.0.113.1"), From: ip("10.0.0.1"), Kind: reply.Redirect, Type: 5, Code: 1,
		TTL: 64, Attempt: 2, Size: 36, RTT: reply.RTTUnknown, Gateway: ip("10.0.0.254"), ClockOffset: reply.OffsetUnknown,
	},
	"problem": {
		Time: at, Addr: ip("203.0.113.2"), From: ip("10.0.0.1"), Kind: reply.ParameterProblem, Type: 12, Code: 77,
		TTL: 128, Size: 36, RTT: reply.RTTUnknown, ClockOffset: reply.OffsetUnknown,
	},
	"timestamp": {
		Time: at, Addr: ip("203.0.113.3"), From: ip("203.0.113.3"), Kind: reply.TimestampReply, Type: 14,
		TTL: 128, Size: 20, RTT: 2 * time.Millisecond, ClockOffset: -1500 * time.Millisecond,
	},
	"mask": {
		Time: at, Addr: ip("203.0.113.4"), From: ip("203.0.113.4"), Kind: reply.AddressMaskReply, Type: 18,
		TTL: 32, Size: 12, RTT: reply.RTTUnknown, Mask: ip("255.255.255.0"), ClockOffset: reply.OffsetUnknown,
	},
}

func ip(text string) netip.Addr { return netip.MustParseAddr(text) }

// random is any record that can come from the filter, and some more.
func random(rng *rand.Rand) reply.Record {
	kind, _ := reply.KindOf([]uint8{0, 14, 18, 3, 4, 5, 11, 12}[rng.IntN(8)])
	addr := func() netip.Addr {
		return netip.AddrFrom4([4]byte{192, 0, 2, byte(rng.IntN(256))})
	}
	r := reply.Record{
		Time: at.Add(time.Duration(rng.Int64N(int64(time.Hour)))), Addr: addr(), From: addr(),
		Kind: kind, Type: kind.Type(), Code: uint8(rng.IntN(20)), TTL: uint8(rng.IntN(256)), Attempt: uint8(rng.IntN(3)),
		Duplicate: rng.IntN(2) == 0, Size: uint16(rng.IntN(1500)),
		RTT: time.Duration(rng.Int64N(int64(10 * time.Millisecond))), ClockOffset: reply.OffsetUnknown,
	}
	if rng.IntN(3) == 0 {
		r.RTT = reply.RTTUnknown
	}
	if kind.IsError() {
		r.QuotedTTL = uint8(rng.IntN(256))
	}
	switch kind {
	case reply.Unreachable:
		r.MTU = uint16(rng.IntN(3)) * 700
	case reply.Redirect:
		r.Gateway = addr()
	case reply.ParameterProblem:
		r.Pointer = uint8(rng.IntN(3))
	case reply.AddressMaskReply:
		r.Mask = addr()
	case reply.TimestampReply:
		if rng.IntN(2) == 0 {
			r.ClockOffset = time.Duration(rng.IntN(2000)-1000) * time.Millisecond
		}
	case reply.TimeExceeded:
		r.Extensions = []*reply.Extensions{
			nil, {},
			{MPLS: []reply.Label{{Label: 3, TTL: 9}, {Label: uint32(rng.IntN(1 << 20)), Class: 7, Bottom: true, TTL: 1}}},
			{Interfaces: []reply.Interface{{Role: reply.NextHop, Addr: addr(), Name: "odd \"name\";\xff\n" + string(rune(rng.IntN(0x2000)))}}},
		}[rng.IntN(4)]
	}
	return r
}

// compiled is a filter that must be right.
func compiled(t testing.TB, text string) *Filter {
	t.Helper()
	f, err := Compile(text)
	if err != nil {
		t.Fatalf("Compile(%.200q): %v", text, err)
	}
	return f
}

// matches is what a filter says of a record, without error.
func matches(t testing.TB, text string, r reply.Record) bool {
	t.Helper()
	matched, err := compiled(t, text).Match(&r)
	if err != nil {
		t.Fatalf("%.200s: %v", text, err)
	}
	return matched
}
