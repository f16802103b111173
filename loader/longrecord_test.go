// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"xsweep/internal/testrand"
	"xsweep/loader"
	"xsweep/sweep/probe"
	"xsweep/sweep/reply"
)

// messageMax is MESSAGE_MAX of bpf/include/reply_abi.h: the longest datagram with
// extensions (RFC 4884, section 3).
const messageMax = 576

// Behind the record of an error that may have extensions stands its message, byte
// for byte, in whole words, and no more than RFC 4884 allows.
func TestMessages(t *testing.T) {
	rng := testrand.New(t)
	c := allConfig()
	f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
	lengths := []int{1471, 1472, 3000}
	for n := 36; n <= messageMax+20; n++ {
		lengths = append(lengths, n)
	}
	for i, n := range lengths {
		target := slash16.lo + uint32(i)
		quote := a.quote(probe.Echo, echo{target, 1, 1, validSent, 0}, 2)
		quote = append(quote, noise(rng, n)...)[:n-8]
		m := message([]uint8{3, 11, 12}[i%3], 1, quote)
		m.word = [4]byte{9, 1 + byte(rng.IntN(255)), 8, 7}
		frame := withOptions(a.frame(m), 4*rng.IntN(11))
		got := f.run(t, frame)
		want := frame[len(frame)-n:][:min(n, messageMax)/4*4]
		if got.Message != string(want) || int(got.Record.Message) != len(want) || int(got.Record.Size) != n {
			t.Fatalf("message of %d bytes: got %d of %d: % x, want % x", n, got.Record.Message, got.Record.Size, got.Message, want)
		}
	}
}

// Only where extensions may be is the message handed on: in three types, with a
// length, or with what looks like a structure behind 128 bytes.
func TestWhichMessages(t *testing.T) {
	c := allConfig()
	f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
	target := slash16.lo
	for icmpType, extendable := range map[uint8]bool{3: true, 4: false, 5: false, 11: true, 12: true} {
		for _, tc := range []struct {
			name   string
			length byte // of the quote, in words
			quote  int
			behind []byte
			want   bool
		}{
			{"nothing", 0, 60, nil, false},
			{"nothing behind 128 bytes", 0, 128, nil, false},
			{"a length", 32, 128, nil, true},
			{"a length that lies", 255, 60, nil, true},
			{"a length of one", 1, 60, nil, true},
			{"a structure without length", 0, 128, extension(1), true},
			{"a header without length", 0, 128, []byte{0x20, 0, 0, 0}, true},
			{"reserved bits", 0, 128, []byte{0x2f, 0, 0, 0}, true},
			{"less than a header", 0, 128, []byte{0x20, 0, 0}, false},
			{"another version", 0, 128, []byte{0x10, 0, 0, 0}, false},
			{"another version yet", 0, 128, []byte{0x30, 0, 0, 0}, false},
			{"a structure behind 132 bytes", 0, 132, extension(1), false},
			{"with a length", 33, 132, extension(1), true},
		} {
			target++
			quote := padTo(a.quote(probe.Echo, echo{target, 1, 1, validSent, 0}, 2), tc.quote)[:tc.quote]
			m := message(icmpType, 1, append(quote, tc.behind...))
			m.word[1] = tc.length
			got := f.run(t, a.frame(m))
			if isLong := got.Record.Message > 0; isLong != (tc.want && extendable) {
				t.Errorf("type %d: %s: got %+v", icmpType, tc.name, got)
			}
			// Behind the end of the message nothing is looked at.
			target++
			quote = padTo(a.quote(probe.Echo, echo{target, 1, 1, validSent, 0}, 2), 128)[:128]
			padded := append(a.frame(message(icmpType, 1, quote)), extension(1)...)
			if got := f.run(t, padded); got.Record.Message != 0 || got.Record.Target != target {
				t.Errorf("type %d: a structure in the padding: got %+v", icmpType, got)
			}
		}
	}
}

// From the frame to the record as users see it: each type, with what its word says
// and with what routers attach.
func TestErrorsEndToEnd(t *testing.T) {
	const wallOffset = 1_700_000_000_000_000_000
	c := allConfig()
	f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
	name := []byte("\x0cxe-0/0/1\x00\x00\x00")
	interfaceObject := slices.Concat([]byte{0, 4 + 4 + 8 + 12 + 4, 2, 0x0f}, []byte{0, 0, 0, 5}, []byte{0, 1, 0, 0, 192, 0, 2, 1}, name, []byte{0, 0, 0x05, 0xdc})
	structure := slices.Concat([]byte{0x20, 0, 0, 0}, []byte{0, 12, 1, 1, 0x03, 0xe8, 0x40, 0xfe, 0x05, 0xdc, 0x15, 0x01}, interfaceObject)
	binary.BigEndian.PutUint16(structure[2:], internetChecksum(structure))
	broken := slices.Clone(structure)
	broken[9] ^= 1
	extensions := &reply.Extensions{
		MPLS: []reply.Label{{Label: 16004, TTL: 254}, {Label: 24001, Class: 2, Bottom: true, TTL: 1}},
		Interfaces: []reply.Interface{{
			Role: reply.Incoming, Index: 5, Addr: netip.MustParseAddr("192.0.2.1"), Name: "xe-0/0/1", MTU: 1500,
		}},
	}
	for i, tc := range []struct {
		name           string
		icmpType, code uint8
		word           [4]byte
		behind         []byte // 128 bytes of quote; nil: nothing is
		want           func(*reply.Record)
		fault          string
	}{
		{"unreachable", 3, 1, [4]byte{}, nil, func(r *reply.Record) { r.Kind = reply.Unreachable }, ""},
		{"too big", 3, 4, [4]byte{0, 0, 0x05, 0x78}, nil, func(r *reply.Record) { r.Kind, r.MTU = reply.Unreachable, 1400 }, ""},
		{"too big, with extensions", 3, 4, [4]byte{0, 32, 0x05, 0x78}, structure, func(r *reply.Record) {
			r.Kind, r.MTU, r.Extensions = reply.Unreachable, 1400, extensions
		}, ""},
		{"source quench", 4, 0, [4]byte{}, nil, func(r *reply.Record) { r.Kind = reply.SourceQuench }, ""},
		{"source quench with what looks like extensions", 4, 0, [4]byte{0, 32}, structure, func(r *reply.Record) { r.Kind = reply.SourceQuench }, ""},
		{"redirect", 5, 1, [4]byte{192, 0, 2, 7}, nil, func(r *reply.Record) {
			r.Kind, r.Gateway = reply.Redirect, netip.MustParseAddr("192.0.2.7")
		}, ""},
		{"redirect by 198.32.0.1", 5, 1, [4]byte{198, 32, 0, 1}, structure, func(r *reply.Record) {
			r.Kind, r.Gateway = reply.Redirect, netip.MustParseAddr("198.32.0.1")
		}, ""},
		{"time exceeded", 11, 0, [4]byte{}, nil, func(r *reply.Record) { r.Kind = reply.TimeExceeded }, ""},
		{"time exceeded, with extensions", 11, 0, [4]byte{1: 32}, structure, func(r *reply.Record) {
			r.Kind, r.Extensions = reply.TimeExceeded, extensions
		}, ""},
		{"with extensions of old", 11, 1, [4]byte{}, structure, func(r *reply.Record) {
			r.Kind, r.Extensions = reply.TimeExceeded, extensions
		}, ""},
		{"with broken ones of old", 11, 1, [4]byte{}, broken, func(r *reply.Record) { r.Kind = reply.TimeExceeded }, ""},
		{"with a wrong checksum", 11, 1, [4]byte{1: 32}, broken, func(r *reply.Record) { r.Kind = reply.TimeExceeded }, "checksum"},
		{"with a length that lies", 11, 1, [4]byte{1: 200}, structure, func(r *reply.Record) { r.Kind = reply.TimeExceeded }, "malformed"},
		{"with another version", 11, 1, [4]byte{1: 32}, []byte{0x30, 0, 0, 0}, func(r *reply.Record) { r.Kind = reply.TimeExceeded }, "version"},
		{"with more than fits", 11, 1, [4]byte{1: 32}, slices.Concat(structure, make([]byte, messageMax)), func(r *reply.Record) { r.Kind = reply.TimeExceeded }, "malformed"},
		{"parameter problem", 12, 0, [4]byte{20}, nil, func(r *reply.Record) { r.Kind, r.Pointer = reply.ParameterProblem, 20 }, ""},
		{"parameter problem, with extensions", 12, 0, [4]byte{20, 32}, structure, func(r *reply.Record) {
			r.Kind, r.Pointer, r.Extensions = reply.ParameterProblem, 20, extensions
		}, ""},
	} {
		target := slash16.lo + 256 + uint32(i)
		quote := a.quote(probe.Echo, echo{target, 1, 2, validSent, 0}, 3)
		if tc.behind != nil {
			quote = extended(quote, tc.behind)
		}
		m := message(tc.icmpType, tc.code, quote)
		m.word = tc.word
		f.execute(t, a.frame(m))
		raw := f.drainRaw(t)
		if len(raw) != 1 {
			t.Fatalf("%s: %d records", tc.name, len(raw))
		}
		want := reply.Record{
			Time: time.Unix(0, frozenNow+wallOffset).UTC(),
			Addr: netip.MustParseAddr(fmt.Sprintf("198.19.1.%d", i)), From: netip.MustParseAddr("203.0.113.1"),
			Type: tc.icmpType, Code: tc.code, TTL: validTTL, Attempt: 2, Verdict: loader.Error, Size: uint16(8 + len(quote)),
			RTT: frozenNow - validSent, QuotedTTL: 3, ClockOffset: reply.OffsetUnknown,
		}
		tc.want(&want)
		var got reply.Record
		err := got.Decode(raw[0], wallOffset)
		if fault, _ := reply.ExtensionFault(err); fault != tc.fault || fault == "" && err != nil {
			t.Errorf("%s: %v, not a fault of %q", tc.name, err, tc.fault)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}
