// SPDX-License-Identifier: Apache-2.0

package reply

import (
	"bytes"
	"encoding/binary"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"xsweep/loader"
)

// raw is struct record of bpf/include/reply_abi.h, field by field.
type raw struct {
	arrived, rtt                                     uint64
	target, from                                     uint32
	word                                             [4]byte
	size, message                                    uint16
	ttl, icmpType, code, attempt, verdict, quotedTTL uint8
	_                                                [2]uint8
}

func (r raw) bytes(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// valid is a first reply with everything in it.
var valid = raw{
	arrived: 5_000_000_007, rtt: 123_456,
	target: 0xc6120005, from: 0xc6120006,
	size: 28, ttl: 57, attempt: 3, verdict: uint8(loader.First),
}

// equalRecords compares addresses as values.
var equalRecords = cmpopts.EquateComparable(netip.Addr{})

func TestDecode(t *testing.T) {
	const offset = int64(1_700_000_000_000_000_000)
	want := Record{
		Time: time.Unix(1_700_000_005, 7).UTC(),
		Addr: netip.MustParseAddr("198.18.0.5"), From: netip.MustParseAddr("198.18.0.6"),
		Kind: EchoReply, TTL: 57, Attempt: 3, Size: 28, RTT: 123_456 * time.Nanosecond,
		ClockOffset: OffsetUnknown,
	}
	for _, tc := range []struct {
		name   string
		change func(*raw)
		want   func(*Record)
	}{
		{"a first reply", func(*raw) {}, func(*Record) {}},
		{"a repeat", func(r *raw) { r.verdict = uint8(loader.Repeat) }, func(r *Record) { r.Duplicate = true }},
		{"a duplicate", func(r *raw) { r.verdict = uint8(loader.Duplicate) }, func(r *Record) { r.Duplicate = true }},
		{"no round-trip time", func(r *raw) { r.rtt, r.attempt = math.MaxUint64, 0 }, func(r *Record) { r.RTT, r.Attempt = RTTUnknown, 0 }},
		{"no time at all", func(r *raw) { r.rtt = 0 }, func(r *Record) { r.RTT = 0 }},
		{"the longest round-trip time", func(r *raw) { r.rtt = math.MaxInt64 }, func(r *Record) { r.RTT = math.MaxInt64 }},
		{"extreme values", func(r *raw) {
			r.target, r.from, r.size, r.ttl, r.attempt, r.code = 0, math.MaxUint32, math.MaxUint16, 255, 255, 255
		}, func(r *Record) {
			r.Addr, r.From = netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("255.255.255.255")
			r.Size, r.TTL, r.Attempt, r.Code = math.MaxUint16, 255, 255, 255
		}},
		{"a word and a quoted TTL that echo replies have not", func(r *raw) {
			r.word, r.quotedTTL = [4]byte{1, 2, 3, 4}, 7
		}, func(*Record) {}},
		{"a timestamp reply", func(r *raw) { r.icmpType, r.word = 14, [4]byte{0xd2, 0x04} }, func(r *Record) {
			r.Kind, r.Type, r.ClockOffset = TimestampReply, 14, 1234*time.Millisecond
		}},
		{"from a clock that is behind", func(r *raw) { r.icmpType, r.word = 14, [4]byte{0xff, 0xff, 0xff, 0xff} }, func(r *Record) {
			r.Kind, r.Type, r.ClockOffset = TimestampReply, 14, -time.Millisecond
		}},
		{"from a clock that is right", func(r *raw) { r.icmpType = 14 }, func(r *Record) {
			r.Kind, r.Type, r.ClockOffset = TimestampReply, 14, 0
		}},
		{"half a day behind", func(r *raw) {
			r.icmpType = 14
			binary.LittleEndian.PutUint32(r.word[:], uint32(0x1_0000_0000-43_200_000))
		}, func(r *Record) { r.Kind, r.Type, r.ClockOffset = TimestampReply, 14, -12*time.Hour }},
		{"from a clock that does not tell", func(r *raw) { r.icmpType, r.word = 14, [4]byte{3: 0x80} }, func(r *Record) {
			r.Kind, r.Type = TimestampReply, 14
		}},
		{"a mask", func(r *raw) { r.icmpType, r.word = 18, [4]byte{255, 255, 254, 0} }, func(r *Record) {
			r.Kind, r.Type, r.Mask = AddressMaskReply, 18, netip.MustParseAddr("255.255.254.0")
		}},
		{"an error", func(r *raw) {
			r.icmpType, r.code, r.verdict, r.quotedTTL, r.word = 3, 1, uint8(loader.Error), 9, [4]byte{1, 2, 3, 4}
		}, func(r *Record) { r.Kind, r.Type, r.Code, r.QuotedTTL = Unreachable, 3, 1, 9 }},
		{"the same again", func(r *raw) { r.icmpType, r.verdict = 4, uint8(loader.ErrorDuplicate) }, func(r *Record) {
			r.Kind, r.Type, r.Duplicate = SourceQuench, 4, true
		}},
		{"one that may have come before", func(r *raw) { r.icmpType, r.verdict = 4, uint8(loader.ErrorUnchecked) }, func(r *Record) {
			r.Kind, r.Type = SourceQuench, 4
		}},
		{"fragmentation needed", func(r *raw) {
			r.icmpType, r.code, r.verdict, r.word = 3, 4, uint8(loader.Error), [4]byte{9, 9, 0x05, 0x78}
		}, func(r *Record) { r.Kind, r.Type, r.Code, r.MTU = Unreachable, 3, 4, 1400 }},
		{"without the MTU of the next hop", func(r *raw) { r.icmpType, r.code, r.verdict = 3, 4, uint8(loader.Error) }, func(r *Record) {
			r.Kind, r.Type, r.Code = Unreachable, 3, 4
		}},
		{"a redirect", func(r *raw) { r.icmpType, r.verdict, r.word = 5, uint8(loader.Error), [4]byte{192, 0, 2, 1} }, func(r *Record) {
			r.Kind, r.Type, r.Gateway = Redirect, 5, netip.MustParseAddr("192.0.2.1")
		}},
		{"time exceeded", func(r *raw) {
			r.icmpType, r.code, r.verdict, r.word, r.quotedTTL = 11, 1, uint8(loader.Error), [4]byte{1, 2, 3, 4}, 1
		}, func(r *Record) { r.Kind, r.Type, r.Code, r.QuotedTTL = TimeExceeded, 11, 1, 1 }},
		{"a parameter problem", func(r *raw) { r.icmpType, r.verdict, r.word = 12, uint8(loader.Error), [4]byte{20, 1, 2, 3} }, func(r *Record) {
			r.Kind, r.Type, r.Pointer = ParameterProblem, 12, 20
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, want := valid, want
			tc.change(&r)
			tc.want(&want)
			want.Verdict = loader.Verdict(r.verdict)
			var got Record
			if err := got.Decode(r.bytes(t), offset); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, equalRecords); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
		})
	}
}

// What the filter cannot have written is refused by name, and leaves the
// record alone.
func TestDecodeErrors(t *testing.T) {
	change := func(f func(*raw)) []byte {
		r := valid
		f(&r)
		return r.bytes(t)
	}
	for _, tc := range []struct {
		name string
		raw  []byte
		want string
	}{
		{"nothing", nil, "0 bytes"},
		{"a byte short", valid.bytes(t)[:RecordLen-1], "39 bytes"},
		{"a message that is not there", change(func(r *raw) { r.message = 1 }), "40 bytes: has no message of 1"},
		{"a message a byte short", append(change(func(r *raw) { r.message = 9 }), make([]byte, 8)...), "48 bytes: has no message of 9"},
		{"a verdict without records", change(func(r *raw) { r.verdict = uint8(loader.Forged) }), "forged"},
		{"an error's verdict", change(func(r *raw) { r.verdict = uint8(loader.Error) }), "verdict error"},
		{"the verdict of an error's duplicate", change(func(r *raw) { r.verdict = uint8(loader.ErrorDuplicate) }), "verdict error_duplicate"},
		{"an unchecked error's", change(func(r *raw) { r.verdict = uint8(loader.ErrorUnchecked) }), "verdict error_unchecked"},
		{"a reply's verdict of an error", change(func(r *raw) { r.icmpType = 11 }), "time-exceeded with verdict first"},
		{"a lost record", change(func(r *raw) { r.verdict = uint8(loader.RecordLost) }), "record_lost"},
		{"no verdict", change(func(r *raw) { r.verdict = 200 }), "verdict 200"},
		{"another ICMP type", change(func(r *raw) { r.icmpType = 8 }), "type 8"},
		{"an ICMP type that nobody knows", change(func(r *raw) { r.icmpType = 200 }), "type 200"},
		{"a negative round-trip time", change(func(r *raw) { r.rtt = 1 << 63 }), "9223372036854775808 ns"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := Record{TTL: 99, RTT: 5}
			got := before
			err := got.Decode(tc.raw, 0)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v: should say %q", err, tc.want)
			}
			if diff := cmp.Diff(before, got, equalRecords); diff != "" {
				t.Errorf("the record has changed (-want +got):\n%s", diff)
			}
		})
	}
}

// withMessage is a record of an error message.
func withMessage(t testing.TB, message []byte) []byte {
	r := valid
	r.icmpType, r.verdict = message[0], uint8(loader.Error)
	r.size, r.message = uint16(len(message)), uint16(len(message))
	// The filter's records of this kind have room for more than they hold.
	return append(append(r.bytes(t), message...), 0xee, 0xee, 0xee, 0xee)
}

// What a router attached is in the record of its error.
func TestDecodeExtensions(t *testing.T) {
	for _, tc := range examples {
		var got Record
		if err := got.Decode(withMessage(t, message(11, 32, 128, tc.ext)), 0); err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if got.Extensions == nil {
			t.Errorf("%s: no extensions", tc.name)
			continue
		}
		if diff := cmp.Diff(tc.want, *got.Extensions, equalRecords, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
	// Only the errors that RFC 4884 extends have any.
	for _, icmpType := range []uint8{4, 5} {
		var got Record
		if err := got.Decode(withMessage(t, message(icmpType, 32, 128, structure(tunnel))), 0); err != nil || got.Extensions != nil {
			t.Errorf("type %d: %v, %+v", icmpType, err, got.Extensions)
		}
	}
	// Nor does a long quote alone.
	var got Record
	if err := got.Decode(withMessage(t, message(3, 0, 200, nil)), 0); err != nil || got.Extensions != nil {
		t.Errorf("a long quote: %v, %+v", err, got.Extensions)
	}
}

// Broken extensions are an error that says how, and the record is whole without
// them.
func TestDecodeBrokenExtensions(t *testing.T) {
	broken := structure(tunnel)
	broken[7] ^= 1
	version := structure(tunnel)
	version[0] = 0x30
	for _, tc := range []struct {
		name    string
		message []byte
		fault   string
	}{
		{"checksum", message(3, 32, 128, broken), "checksum"},
		{"version", message(3, 32, 128, version), "version"},
		{"no header", message(3, 32, 128, []byte{0x20, 0}), "malformed"},
		{"a length that lies", message(3, 200, 128, structure(tunnel)), "malformed"},
		{"a quote that is too short", message(3, 31, 128, structure(tunnel)), "malformed"},
	} {
		got := Record{Extensions: &Extensions{}, MTU: 7} // of a record before it
		err := got.Decode(withMessage(t, tc.message), 0)
		if fault, ok := ExtensionFault(err); !ok || fault != tc.fault {
			t.Errorf("%s: %v", tc.name, err)
		}
		want := Record{
			Time: time.Unix(5, 7).UTC(), Addr: netip.MustParseAddr("198.18.0.5"), From: netip.MustParseAddr("198.18.0.6"),
			Kind: Unreachable, Type: 3, TTL: 57, Attempt: 3, Verdict: loader.Error, Size: uint16(len(tc.message)), RTT: 123_456, ClockOffset: OffsetUnknown,
		}
		if diff := cmp.Diff(want, got, equalRecords); diff != "" {
			t.Errorf("%s: record (-want +got):\n%s", tc.name, diff)
		}
	}
	// What is wrong with the record itself is no fault of extensions.
	var got Record
	if _, ok := ExtensionFault(got.Decode(nil, 0)); ok {
		t.Error("no record at all: taken for a fault of extensions")
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	failed := valid
	failed.icmpType, failed.verdict, failed.word = 5, uint8(loader.Error), [4]byte{192, 0, 2, 1}
	for _, b := range [][]byte{valid.bytes(t), failed.bytes(t), withMessage(t, message(3, 0, 200, nil))} {
		var r Record
		if n := testing.AllocsPerRun(100, func() {
			if err := r.Decode(b, 1); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v allocations a record of a %v", n, r.Kind)
		}
	}
}

// encode is Decode backwards, as far as that goes: what a kind has not, and the
// message, is as in b.
func encode(t testing.TB, r Record, wallOffset int64, b []byte) []byte {
	target, from := r.Addr.As4(), r.From.As4()
	rtt := uint64(r.RTT)
	if r.RTT == RTTUnknown {
		rtt = math.MaxUint64
	}
	word, quotedTTL := [4]byte(b[24:]), b[37]
	switch r.Kind {
	case TimestampReply:
		ms := uint32(1 << 31)
		if r.ClockOffset != OffsetUnknown {
			ms = uint32(int32(r.ClockOffset.Milliseconds()))
		}
		binary.LittleEndian.PutUint32(word[:], ms)
	case AddressMaskReply:
		word = r.Mask.As4()
	case Redirect:
		word = r.Gateway.As4()
	case ParameterProblem:
		word[0] = r.Pointer
	case Unreachable:
		if r.Code == 4 {
			binary.BigEndian.PutUint16(word[2:], r.MTU)
		}
	}
	if r.Kind.IsError() {
		quotedTTL = r.QuotedTTL
	}
	head := raw{
		arrived: uint64(r.Time.UnixNano() - wallOffset), rtt: rtt,
		target: binary.BigEndian.Uint32(target[:]), from: binary.BigEndian.Uint32(from[:]), word: word,
		size: r.Size, message: binary.LittleEndian.Uint16(b[30:]),
		ttl: r.TTL, icmpType: r.Type, code: r.Code, attempt: r.Attempt, verdict: b[36], quotedTTL: quotedTTL,
	}.bytes(t)
	return append(head, b[40:]...)
}

// Whatever the bytes, decoding does not panic, and what it accepts says the
// same as the bytes did.
func FuzzRecordDecode(f *testing.F) {
	f.Add(valid.bytes(f), int64(0))
	f.Add(valid.bytes(f), int64(1_700_000_000_000_000_000))
	f.Add(bytes.Repeat([]byte{0xff}, RecordLen), int64(-1))
	f.Add(make([]byte, RecordLen), int64(math.MinInt64))
	f.Add([]byte{}, int64(0))
	for _, k := range kindTable {
		r := valid
		r.icmpType, r.word, r.quotedTTL = k.icmpType, [4]byte{1, 2, 3, 4}, 5
		if k.isError {
			r.verdict = uint8(loader.Error)
		}
		f.Add(r.bytes(f), int64(0))
	}
	f.Add(withMessage(f, message(11, 32, 128, structure(arrived, tunnel))), int64(0))
	f.Add(withMessage(f, message(11, 0, 128, structure(tunnel))), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, wallOffset int64) {
		var r Record
		if err := r.Decode(b, wallOffset); err != nil {
			if _, ok := ExtensionFault(err); !ok {
				if diff := cmp.Diff(Record{}, r, equalRecords); diff != "" {
					t.Errorf("refused, but the record is not empty:\n%s", diff)
				}
				return
			}
			if r.Extensions != nil {
				t.Errorf("%v, but extensions are %+v", err, r.Extensions)
			}
		}
		if r.RTT < 0 && r.RTT != RTTUnknown {
			t.Errorf("round-trip time %v", r.RTT)
		}
		if !r.Addr.Is4() || !r.From.Is4() || r.Time.Location() != time.UTC {
			t.Errorf("addresses %v and %v, time %v", r.Addr, r.From, r.Time)
		}
		verdict := loader.Verdict(b[36])
		again := verdict == loader.Repeat || verdict == loader.Duplicate || verdict == loader.ErrorDuplicate
		if r.Kind.Type() != r.Type || r.Duplicate != again {
			t.Errorf("a record with verdict %v decodes to %+v", verdict, r)
		}
		if r.Kind.IsError() != (verdict >= loader.Error) {
			t.Errorf("a %v with verdict %v", r.Kind, verdict)
		}
		want := bytes.Clone(b)
		want[38], want[39] = 0, 0 // reserved
		if got := encode(t, r, wallOffset, b); !bytes.Equal(want, got) {
			t.Errorf("encoded again:\n% x, want\n% x", got, want)
		}
	})
}
