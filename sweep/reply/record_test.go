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
	arrived, rtt                             uint64
	target, from                             uint32
	size                                     uint16
	ttl, icmpType, code, attempt, verdict, _ uint8
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
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, want := valid, want
			tc.change(&r)
			tc.want(&want)
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
		{"a byte short", valid.bytes(t)[:31], "31 bytes"},
		{"a byte more", append(valid.bytes(t), 0), "33 bytes"},
		{"a verdict without records", change(func(r *raw) { r.verdict = uint8(loader.Forged) }), "forged"},
		{"an error's verdict", change(func(r *raw) { r.verdict = uint8(loader.Error) }), "verdict error"},
		{"a lost record", change(func(r *raw) { r.verdict = uint8(loader.RecordLost) }), "record_lost"},
		{"no verdict", change(func(r *raw) { r.verdict = 200 }), "verdict 200"},
		{"another ICMP type", change(func(r *raw) { r.icmpType = 3 }), "type 3"},
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

func TestDecodeAllocatesNothing(t *testing.T) {
	b := valid.bytes(t)
	var r Record
	if n := testing.AllocsPerRun(100, func() {
		if err := r.Decode(b, 1); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
}

// encode is Decode backwards, as far as that goes: repeats and duplicates
// look the same.
func encode(t testing.TB, r Record, wallOffset int64, verdict uint8) []byte {
	target, from := r.Addr.As4(), r.From.As4()
	rtt := uint64(r.RTT)
	if r.RTT == RTTUnknown {
		rtt = math.MaxUint64
	}
	return raw{
		arrived: uint64(r.Time.UnixNano() - wallOffset), rtt: rtt,
		target: binary.BigEndian.Uint32(target[:]), from: binary.BigEndian.Uint32(from[:]),
		size: r.Size, ttl: r.TTL, icmpType: r.Type, code: r.Code, attempt: r.Attempt, verdict: verdict,
	}.bytes(t)
}

// Whatever the bytes, decoding does not panic, and what it accepts says the
// same as the bytes did.
func FuzzRecordDecode(f *testing.F) {
	f.Add(valid.bytes(f), int64(0))
	f.Add(valid.bytes(f), int64(1_700_000_000_000_000_000))
	f.Add(bytes.Repeat([]byte{0xff}, RecordLen), int64(-1))
	f.Add(make([]byte, RecordLen), int64(math.MinInt64))
	f.Add([]byte{}, int64(0))
	f.Fuzz(func(t *testing.T, b []byte, wallOffset int64) {
		var r Record
		if err := r.Decode(b, wallOffset); err != nil {
			if r != (Record{}) {
				t.Errorf("refused, but the record is %+v", r)
			}
			return
		}
		if r.RTT < 0 && r.RTT != RTTUnknown {
			t.Errorf("round-trip time %v", r.RTT)
		}
		if !r.Addr.Is4() || !r.From.Is4() || r.Time.Location() != time.UTC {
			t.Errorf("addresses %v and %v, time %v", r.Addr, r.From, r.Time)
		}
		if r.Kind != EchoReply || r.Type != 0 || r.Duplicate != (loader.Verdict(b[30]) != loader.First) {
			t.Errorf("a record with verdict %d decodes to %+v", b[30], r)
		}
		want := bytes.Clone(b)
		want[31] = 0 // reserved
		if got := encode(t, r, wallOffset, b[30]); !bytes.Equal(want, got) {
			t.Errorf("encoded again:\n% x, want\n% x", got, want)
		}
	})
}
