// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xsweep/bpf"
	"xsweep/loader"
	"xsweep/sweep/probe"
)

// offsetUnknown is OFFSET_UNKNOWN of bpf/include/reply_abi.h, as a difference of
// clocks in milliseconds.
const offsetUnknown = -1 << 31

// clockAt makes the frozen clock show a time of day, in milliseconds since
// midnight and some nanoseconds.
func clockAt(ms, ns int64) int64 { return ms*1e6 + ns - frozenNow }

// Times of day.
const (
	noon     = 12 * 3600 * 1000
	day      = 2 * noon
	highBit  = 1 << 31
	aMinute  = 60_000
	received = noon - 10 // some round-trip time before noon
)

// What the three times of a timestamp reply tell: RTT and offset are NTP's, round
// midnight too, and nothing is told where one cannot be.
func TestTimestamps(t *testing.T) {
	type times struct {
		name                         string
		originate, receive, transmit uint32
		rtt                          int64 // ms, or -1
		offset                       int32
	}
	for _, clock := range []struct {
		name  string
		now   int64
		cases []times
	}{
		{"at noon", noon, []times{
			{"clocks that agree", received, noon - 5, noon - 5, 10, 0},
			{"an answer at once", noon, noon, noon, 0, 0},
			{"a clock that is ahead", received, noon + 1000, noon + 1000, 10, 1005},
			{"a clock that is behind", received, noon - 1000, noon - 1000, 10, -995},
			{"halves are rounded up", received, noon - 4, noon - 5, 10, 1},
			{"halves are rounded up, below zero", received, noon - 6, noon - 5, 10, 0},
			{"and further below", received, noon - 8, noon - 5, 10, -1},
			{"a host that takes its time", noon - 5000, noon - 4990, noon - 10, 5000, 0},
			{"only receive is ahead", received, noon + 90, noon, 10, 50},
			{"only transmit is ahead", received, received, noon + 100, 10, 50},
			{"zeros", 0, 0, 0, -1, offsetUnknown},
			{"receive and transmit of zero", received, 0, 0, 10, -43_199_995},
			{"half a day ahead", noon, 2*noon - 1, 2*noon - 1, 0, noon - 1},
			{"half a day behind", noon, 0, 0, 0, -noon},
			{"half a day off, on either side", noon - 4, 2*noon - 6, 0, 4, 43_199_999},
			{"half a day off, and rounded up to it", noon - 2, 2*noon - 3, 0, 2, -noon},
			{"times a quarter of a day apart", noon, 18 * 3_600_000, noon, 0, 3 * 3_600_000},
			{"times that say different things", noon, 2*noon - 1, 6 * 3_600_000, 0, -32_400_000},
			{"non-standard receive", received, highBit | noon, noon, 10, offsetUnknown},
			{"non-standard transmit", received, noon, highBit | noon, 10, offsetUnknown},
			{"non-standard both", received, highBit, highBit, 10, offsetUnknown},
			{"receive a day", received, day, noon, 10, offsetUnknown},
			{"transmit a day", received, noon, day, 10, offsetUnknown},
			{"receive a moment before a day", noon, day - 1, day - 1, 0, noon - 1},
			{"transmit of all ones", received, noon, ^uint32(0), 10, offsetUnknown},
			{"non-standard originate", highBit | received, noon, noon, -1, offsetUnknown},
			{"originate a day", day, noon, noon, -1, offsetUnknown},
			{"originate a millisecond ahead", noon + 1, noon, noon, -1, offsetUnknown},
			{"originate at midnight", 0, noon, noon, -1, offsetUnknown},
			{"originate a moment before midnight", day - 1, noon, noon, -1, offsetUnknown},
			{"a minute", noon - aMinute, noon - aMinute, noon, aMinute, 0},
			{"over a minute", noon - aMinute - 1, noon - aMinute, noon, -1, offsetUnknown},
			{"originate in the other byte order", 0x40f74902, noon, noon, -1, offsetUnknown},
		}},
		{"after midnight", 3, []times{
			{"sent before midnight", day - 7, day - 2, day - 2, 10, 0},
			{"received behind midnight", day - 7, 1, 1, 10, 3},
			{"received before, sent behind", day - 7, day - 1, 1, 10, 2},
			{"originate a day", day, 3, 3, -1, offsetUnknown},
			{"originate a day and more", day + 3, 3, 3, -1, offsetUnknown},
			{"a minute ago", day + 3 - aMinute, 0, 0, aMinute, 29_997},
			{"over a minute ago", day + 2 - aMinute, 0, 0, -1, offsetUnknown},
			{"from a clock a second behind", day - 7, day - 1002, day - 1002, 10, -1000},
		}},
		{"before midnight", day - 1, []times{
			{"from a clock a second ahead", day - 11, 994, 994, 10, 1000},
			{"originate at midnight", 0, 0, 0, -1, offsetUnknown},
			{"now", day - 1, day - 1, day - 1, 0, 0},
		}},
	} {
		t.Run(clock.name, func(t *testing.T) {
			c := allConfig()
			c.UTOffset = clockAt(clock.now, 999_999) // the clock's milliseconds are cut
			f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
			for i, tc := range clock.cases {
				target := slash16.lo + uint32(i)
				b := a.timestampReply(t, echo{target: target, ttl: validTTL}, tc.receive, tc.transmit)
				binary.BigEndian.PutUint32(b[atData:], tc.originate)
				want := effect{
					Drop: true, Verdict: loader.First, TTL: validTTL, RTT: -1, // never in the histogram
					Record: bpf.ReplyRecord{
						ArrivedNs: frozenNow, RttNs: ^uint64(0), Target: target, From: target, Word: uint32(tc.offset),
						Size: 20, Ttl: validTTL, Type: 14, Verdict: uint8(loader.First),
					},
				}
				if tc.rtt >= 0 {
					want.Record.RttNs = uint64(tc.rtt) * 1e6
				}
				if diff := cmp.Diff(want, f.run(t, fixICMP(b))); diff != "" {
					t.Errorf("%s (-want +got):\n%s", tc.name, diff)
				}
			}
		})
	}
}

// An offset that is added to the clock may also take away from it, as that of
// CLOCK_REALTIME does not.
func TestTimestampsOfAnyEpoch(t *testing.T) {
	for _, offset := range []int64{0, -frozenNow, 1_700_000_000_123_456_789} {
		c := allConfig()
		c.UTOffset = offset
		f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
		now := time.Unix(0, frozenNow+offset).UTC()
		ms := uint32(now.Sub(now.Truncate(24*time.Hour)) / time.Millisecond)
		b := a.timestampReply(t, echo{target: validTarget, sent: frozenNow}, ms+5, ms+5)
		if got := f.run(t, b).Record; got.RttNs != 0 || got.Word != 5 {
			t.Errorf("offset %d: got %+v", offset, got)
		}
	}
}

// replyMutation is one way to differ from a valid reply of a kind, and what must
// come of it.
type replyMutation struct {
	name    string
	change  func(frame []byte) []byte
	verdict loader.Verdict         // First: valid all the same
	record  func(*bpf.ReplyRecord) // what is else in the record then
}

// commonMutations are those of both kinds; n is the length of their message.
func commonMutations(n int) []replyMutation {
	cases := []replyMutation{
		{name: "valid", verdict: loader.First},
		{name: "not to us", verdict: loader.Foreign, change: func(b []byte) []byte { return fixIP(put(b, atIP+19, 2)) }},
		{name: "from outside", verdict: loader.Foreign, change: func(b []byte) []byte { return fixIP(put(b, atIP+12, 198, 18)) }},
		{name: "from another target", verdict: loader.Forged, change: func(b []byte) []byte { return fixIP(put(b, atIP+14, 1, 1)) }},
		{name: "wrong IP checksum", verdict: loader.Checksum, change: func(b []byte) []byte { return addToChecksum(b, atIP+10, 1) }},
		{name: "wrong ICMP checksum", verdict: loader.Checksum, change: func(b []byte) []byte { return addToChecksum(b, atICMP+2, 1) }},
		{name: "a fragment", verdict: loader.Fragment, change: func(b []byte) []byte { return fixIP(put(b, atIP+6, 0x20)) }},
		{name: "another TTL", verdict: loader.First, change: func(b []byte) []byte { return fixIP(put(b, atIP+8, 255)) }, record: func(r *bpf.ReplyRecord) { r.Ttl = 255 }},
		{name: "of no reply's type", verdict: loader.Foreign, change: func(b []byte) []byte { return fixICMP(put(b, atICMP, 16)) }},
		{name: "the request", verdict: loader.Foreign, change: func(b []byte) []byte { b[atICMP]--; return fixICMP(b) }},
	}
	for words := 1; words <= 10; words++ {
		cases = append(cases, replyMutation{name: fmt.Sprintf("%d bytes of IP options", 4*words), verdict: loader.First, change: func(b []byte) []byte {
			return withOptions(b, 4*words)
		}})
	}
	for code := 1; code < 256; code++ {
		cases = append(cases, replyMutation{name: fmt.Sprintf("code %d", code), verdict: loader.Malformed, change: func(b []byte) []byte {
			return fixICMP(put(b, atICMP+1, byte(code)))
		}})
	}
	for bit := range 32 {
		for more, verdict := range map[int]loader.Verdict{0: loader.Forged, 1: loader.Foreign, 4: loader.Foreign} {
			cases = append(cases, replyMutation{name: fmt.Sprintf("cookie bit %d, %d bytes more", bit, more), verdict: verdict, change: func(b []byte) []byte {
				b[atCookie+bit/8] ^= 1 << (bit % 8)
				return resize(b, n+more)
			}})
		}
	}
	for short := range n - 8 {
		cases = append(cases, replyMutation{name: fmt.Sprintf("%d of %d bytes", 8+short, n), verdict: loader.Malformed, change: func(b []byte) []byte {
			return resize(b, 8+short)
		}}, replyMutation{name: fmt.Sprintf("%d of %d bytes, the rest as padding", 8+short, n), verdict: loader.Malformed, change: func(b []byte) []byte {
			return fixICMP(setTotalLength(b, 28+short))
		}})
	}
	for _, more := range []int{1, 2, 3, 4, 20, 1001} {
		cases = append(cases, replyMutation{name: fmt.Sprintf("%d bytes more", more), verdict: loader.First, change: func(b []byte) []byte {
			return resize(b, n+more)
		}, record: func(r *bpf.ReplyRecord) { r.Size = uint16(n + more) }})
	}
	return cases
}

// testReplies runs mutations of a valid reply, whose record is that of want but for
// its target.
func testReplies(t *testing.T, c loader.ReplyConfig, valid func(*answerer, uint32) []byte, want bpf.ReplyRecord, cases []replyMutation) {
	t.Helper()
	f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
	f.watch = true
	target := uint32(validTarget)
	for _, m := range cases {
		target++
		frame := valid(a, target)
		if m.change != nil {
			frame = m.change(frame)
		}
		e := passed(m.verdict)
		if m.verdict == loader.First {
			e = effect{Drop: true, Verdict: loader.First, RTT: -1, Code: codeName(want.Type, 0), Record: want}
			e.Record.ArrivedNs, e.Record.Target, e.Record.From = frozenNow, target, target
			e.Record.Verdict = uint8(loader.First)
			if m.record != nil {
				m.record(&e.Record)
			}
			e.TTL = int(e.Record.Ttl)
		}
		if diff := cmp.Diff(e, f.run(t, frame)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", m.name, diff)
		}
		// The same again: its attempt is unknown, so it may be a repeat.
		if m.verdict == loader.First {
			e.Verdict, e.Record.Verdict = loader.Repeat, uint8(loader.Repeat)
		}
		if diff := cmp.Diff(e, f.run(t, frame)); diff != "" {
			t.Errorf("%s, again (-want +got):\n%s", m.name, diff)
		}
	}
}

// Timestamp replies: one change a case.
func TestTimestampReplyMutations(t *testing.T) {
	c := allConfig()
	c.UTOffset = clockAt(noon, 0)
	const sent = frozenNow - 10_000_000
	valid := func(a *answerer, target uint32) []byte {
		return a.timestampReply(t, echo{target: target, sent: sent, ttl: validTTL}, noon+1000, noon+1000)
	}
	want := bpf.ReplyRecord{RttNs: 10_000_000, Word: 1005, Size: 20, Ttl: validTTL, Type: 14}
	cases := commonMutations(20)
	for at := range 12 {
		cases = append(cases, replyMutation{name: fmt.Sprintf("time byte %d changed behind the checksum", at), verdict: loader.Checksum, change: func(b []byte) []byte {
			b[atData+at] ^= 1
			return b
		}})
	}
	for bit := range 32 { // counted from the lowest
		cases = append(cases, replyMutation{name: fmt.Sprintf("receive bit %d", bit), verdict: loader.First, change: func(b []byte) []byte {
			b[atData+7-bit/8] ^= 1 << (bit % 8)
			return fixICMP(b)
		}, record: func(r *bpf.ReplyRecord) {
			value := uint32(noon+1000) ^ 1<<bit
			there := int64(value) - (noon - 10)
			switch {
			case value >= day:
				r.Word = highBit
			case there >= noon:
				there -= day
				fallthrough
			default:
				r.Word = uint32(int32((there + 1000 + 1) >> 1))
			}
		}})
	}
	testReplies(t, c, valid, want, cases)
}

// Address mask replies: one change a case.
func TestMaskReplyMutations(t *testing.T) {
	c := allConfig()
	mask := [4]byte{255, 255, 254, 0}
	valid := func(a *answerer, target uint32) []byte {
		return a.maskReply(t, echo{target: target, sent: validSent, ttl: validTTL}, mask)
	}
	want := bpf.ReplyRecord{RttNs: ^uint64(0), Word: binary.LittleEndian.Uint32(mask[:]), Size: 12, Ttl: validTTL, Type: 18}
	cases := commonMutations(12)
	for bit := range 32 {
		changed := mask
		changed[bit/8] ^= 1 << (bit % 8)
		cases = append(cases, replyMutation{name: fmt.Sprintf("mask bit %d", bit), verdict: loader.First, change: func(b []byte) []byte {
			return fixICMP(put(b, atData, changed[:]...))
		}, record: func(r *bpf.ReplyRecord) { r.Word = binary.LittleEndian.Uint32(changed[:]) }})
	}
	testReplies(t, c, valid, want, cases)
}

// Replies of a kind that was not asked, and errors about such, are others'.
func TestKindsNotAsked(t *testing.T) {
	for _, probes := range kindSets() {
		c := allConfig()
		c.Probes = probes
		f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
		e := echo{slash16.lo, 1, 1, validSent, validTTL}
		replies := map[uint8][]byte{8: a.reply(t, e), 13: a.timestampReply(t, e, 1, 2), 17: a.maskReply(t, e, [4]byte{})}
		kinds := map[uint8]probe.Kind{8: probe.Echo, 13: probe.Timestamp, 17: probe.Mask}
		first := true
		for _, request := range []uint8{8, 13, 17} {
			isAsked := slices.ContainsFunc(probes, func(p loader.ProbeShape) bool { return p.Request == request })
			want := loader.Foreign
			if isAsked {
				if want = loader.Repeat; first {
					want, first = loader.First, false
				}
			}
			if got := f.run(t, replies[request]); got.Verdict != want {
				t.Errorf("%v: reply to %d: %v, not %v", probes, request, got.Verdict, want)
			}
			if want = loader.Foreign; isAsked {
				want = loader.Error
			}
			message := icmpError{from: routerA, icmpType: 3, code: request, quote: a.quote(kinds[request], e, 1)}
			if got := f.run(t, a.frame(message)); got.Verdict != want {
				t.Errorf("%v: error about %d: %v, not %v", probes, request, got.Verdict, want)
			}
		}
	}
}
