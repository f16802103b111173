// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/bpf"
	"xsweep/loader"
	"xsweep/sweep/probe"
)

// mutation is one way to differ from a valid reply, and what must come of it.
type mutation struct {
	name    string
	change  func(frame []byte) []byte
	verdict loader.Verdict // First: valid all the same
	unknown bool           // its attempt and RTT are not believed
	size    int            // of the ICMP message, if not the probe's
}

const (
	validTarget  = 0xc6134567 // 198.19.69.103
	validSent    = frozenNow - 1234567
	validTTL     = 57
	validAttempt = 2
)

// test makes one valid reply, changes it, and asserts all that the filter
// does with it and with its return.
func (m mutation) test(t *testing.T, f *filter, a *answerer, target uint32, recordAll bool) {
	t.Helper()
	frame := a.reply(t, echo{target, 0x123456, validAttempt, validSent, validTTL})
	if m.change != nil {
		frame = m.change(frame)
	}
	want := passed(m.verdict)
	if m.verdict == loader.First {
		want = effect{
			Drop: true, Verdict: loader.First, TTL: validTTL, RTT: frozenNow - validSent, Code: "0/0",
			Record: bpf.ReplyRecord{
				ArrivedNs: frozenNow, RttNs: frozenNow - validSent, Target: target, From: target,
				Size: 8 + testDataLen, Ttl: validTTL, Attempt: validAttempt, Verdict: uint8(loader.First),
			},
		}
		if m.size != 0 {
			want.Record.Size = uint16(m.size)
		}
		if m.unknown {
			want.RTT, want.Record.RttNs, want.Record.Attempt = -1, ^uint64(0), 0
		}
	}
	if diff := cmp.Diff(want, f.run(t, frame)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// The same frame again: what was no reply before is none now.
	if m.verdict == loader.First {
		if m.unknown {
			want.Verdict = loader.Repeat
		} else {
			want.Verdict, want.TTL, want.RTT = loader.Duplicate, -1, -1
		}
		want.Record.Verdict = uint8(want.Verdict)
		if !recordAll {
			want.Record = bpf.ReplyRecord{}
		}
	}
	if diff := cmp.Diff(want, f.run(t, frame)); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}
}

// One valid reply, one change a case: action, verdict, record, and no other
// counter moved.
func TestMutations(t *testing.T) {
	tables := [][]mutation{validMutations(), linkMutations(), networkMutations(), messageMutations(), payloadMutations()}
	for _, recordAll := range []bool{false, true} {
		t.Run(fmt.Sprintf("recordAll=%t", recordAll), func(t *testing.T) {
			c := defaultConfig()
			c.RecordAll = recordAll
			f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
			f.watch = true
			target := uint32(validTarget)
			for _, m := range slices.Concat(tables...) {
				t.Run(m.name, func(t *testing.T) { m.test(t, f, a, target, recordAll) })
				target++ // no case may profit from the one before
			}
		})
	}
}

func validMutations() []mutation {
	cases := []mutation{
		{name: "valid", verdict: loader.First},
		{name: "any MAC address", verdict: loader.First, change: func(b []byte) []byte { return put(b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9) }},
		{name: "any service, flow and IP id", verdict: loader.First, change: func(b []byte) []byte {
			return fixIP(put(put(b, atIP+1, 0xff), atIP+4, 0xab, 0xcd))
		}},
		{name: "do not fragment", verdict: loader.First, change: func(b []byte) []byte { return fixIP(put(b, atIP+6, 0x40)) }},
		{name: "reserved flag", verdict: loader.First, change: func(b []byte) []byte { return fixIP(put(b, atIP+6, 0x80)) }},
	}
	for _, n := range []int{1, 2, 3, 18, 46, 500} {
		cases = append(cases, mutation{
			name: fmt.Sprintf("%d bytes of padding", n), verdict: loader.First,
			change: func(b []byte) []byte { return append(b, slices.Repeat([]byte{0xa5}, n)...) },
		})
	}
	for n := 4; n <= 40; n += 4 {
		cases = append(cases, mutation{
			name: fmt.Sprintf("%d bytes of IP options", n), verdict: loader.First,
			change: func(b []byte) []byte { return withOptions(b, n) },
		})
	}
	for n := probe.PayloadLen; n <= 80; n++ { // odd lengths among them
		cases = append(cases, mutation{
			name: fmt.Sprintf("%d bytes of data", n), verdict: loader.First, size: 8 + n,
			change: func(b []byte) []byte { return resize(b, 8+n) },
		})
	}
	for _, n := range []int{1472, 1473, 1999, 3001, 3300} {
		cases = append(cases, mutation{
			name: fmt.Sprintf("%d bytes of data", n), verdict: loader.First, size: 8 + n,
			change: func(b []byte) []byte {
				b = resize(b, 8+n)
				for i := atData + probe.PayloadLen; i < len(b); i++ {
					b[i] = byte(i*i + i>>8)
				}
				return fixICMP(b)
			},
		})
	}
	return cases
}

func linkMutations() []mutation {
	tagged := func(protocols ...uint16) func([]byte) []byte {
		return func(b []byte) []byte { return withTags(b, protocols...) }
	}
	typed := func(hi, lo byte) func([]byte) []byte {
		return func(b []byte) []byte { return put(b, atEtherType, hi, lo) }
	}
	return []mutation{
		{name: "one tag", verdict: loader.First, change: tagged(0x8100)},
		{name: "one service tag", verdict: loader.First, change: tagged(0x88a8)},
		{name: "two tags", verdict: loader.First, change: tagged(0x8100, 0x8100)},
		{name: "service and customer tag", verdict: loader.First, change: tagged(0x88a8, 0x8100)},
		{name: "customer and service tag", verdict: loader.First, change: tagged(0x8100, 0x88a8)},
		{name: "two service tags", verdict: loader.First, change: tagged(0x88a8, 0x88a8)},
		{name: "three tags", verdict: loader.Other, change: tagged(0x88a8, 0x8100, 0x8100)},
		{name: "old double tag", verdict: loader.Other, change: tagged(0x9100)},
		{name: "IPv6", verdict: loader.Other, change: typed(0x86, 0xdd)},
		{name: "IPv6 behind a tag", verdict: loader.Other, change: func(b []byte) []byte { return withTags(put(b, atEtherType, 0x86, 0xdd), 0x8100) }},
		{name: "ARP", verdict: loader.Other, change: typed(0x08, 0x06)},
		{name: "802.3 length", verdict: loader.Other, change: typed(0x00, 0x3c)},
		{name: "type with its bytes swapped", verdict: loader.Other, change: typed(0x00, 0x08)},
	}
}

func networkMutations() []mutation {
	cases := []mutation{
		{name: "TCP", verdict: loader.Other, change: func(b []byte) []byte { return fixIP(put(b, atIP+9, 6)) }},
		{name: "UDP", verdict: loader.Other, change: func(b []byte) []byte { return fixIP(put(b, atIP+9, 17)) }},
		{name: "ICMPv6 in IPv4", verdict: loader.Other, change: func(b []byte) []byte { return fixIP(put(b, atIP+9, 58)) }},
		{name: "broken UDP", verdict: loader.Other, change: func(b []byte) []byte { return put(b, atIP+9, 17) }},
		{name: "total length without a header", verdict: loader.Malformed, change: func(b []byte) []byte { return setTotalLength(b, 0) }},
		{name: "total length of the IP header", verdict: loader.Malformed, change: func(b []byte) []byte { return setTotalLength(b, 20) }},
		{name: "total length short of the ICMP header", verdict: loader.Malformed, change: func(b []byte) []byte { return setTotalLength(b, 27) }},
		{name: "total length short of options and ICMP header", verdict: loader.Malformed, change: func(b []byte) []byte {
			return setTotalLength(withOptions(b, 8), 35)
		}},
		{name: "total length one over the frame", verdict: loader.Malformed, change: func(b []byte) []byte {
			return setTotalLength(b, 20+8+testDataLen+1)
		}},
		{name: "longest message that is looked at", verdict: loader.Malformed, change: func(b []byte) []byte { return setTotalLength(b, 20+4095) }},
		{name: "message longer than any probe", verdict: loader.Foreign, change: func(b []byte) []byte { return setTotalLength(b, 20+4096) }},
		{name: "total length 65535", verdict: loader.Foreign, change: func(b []byte) []byte { return setTotalLength(b, 65535) }},
		{name: "total length one short", verdict: loader.Checksum, change: func(b []byte) []byte {
			return setTotalLength(put(b, len(b)-1, 0x77), 20+8+testDataLen-1)
		}},
		{name: "header length beyond the frame", verdict: loader.Malformed, change: func(b []byte) []byte {
			return setTotalLength(put(b[:atIP+40], atIP, 0x4f), 100)
		}},
		{name: "header length beyond the total length", verdict: loader.Malformed, change: func(b []byte) []byte {
			return setTotalLength(put(b, atIP, 0x4f), 60)
		}},
		{name: "more fragments", verdict: loader.Fragment, change: func(b []byte) []byte { return fixIP(put(b, atIP+6, 0x20)) }},
		{name: "more fragments, in vain forbidden", verdict: loader.Fragment, change: func(b []byte) []byte { return fixIP(put(b, atIP+6, 0x60)) }},
		{name: "a reply in the last fragment", verdict: loader.Fragment, change: func(b []byte) []byte { return fixIP(put(b, atIP+6, 0x1f, 0xff)) }},
		{name: "checksum zero", verdict: loader.Checksum, change: func(b []byte) []byte { return put(b, atIP+10, 0, 0) }},
		{name: "TTL changed behind the checksum", verdict: loader.Checksum, change: func(b []byte) []byte { return put(b, atIP+8, 7) }},
		{name: "option changed behind the checksum", verdict: loader.Checksum, change: func(b []byte) []byte {
			return put(withOptions(b, 12), atICMP+5, 0)
		}},
		{name: "from below the span", verdict: loader.Foreign, change: func(b []byte) []byte { return fixIP(put(b, atIP+12, 198, 18, 255, 255)) }},
		{name: "from above the span", verdict: loader.Foreign, change: func(b []byte) []byte { return fixIP(put(b, atIP+12, 198, 20, 0, 0)) }},
		{name: "from 0.0.0.0", verdict: loader.Foreign, change: func(b []byte) []byte { return fixIP(put(b, atIP+12, 0, 0, 0, 0)) }},
		{name: "from 255.255.255.255", verdict: loader.Foreign, change: func(b []byte) []byte { return fixIP(put(b, atIP+12, 255, 255, 255, 255)) }},
		{name: "from another target", verdict: loader.Forged, change: func(b []byte) []byte { return fixIP(put(b, atIP+14, 1, 1)) }},
		{name: "to another", verdict: loader.Foreign, change: func(b []byte) []byte { return fixIP(put(b, atIP+19, 2)) }},
		{name: "to all", verdict: loader.Foreign, change: func(b []byte) []byte { return fixIP(put(b, atIP+16, 255, 255, 255, 255)) }},
	}
	for version := range 16 {
		if version != 4 {
			cases = append(cases, mutation{
				name: fmt.Sprintf("version %d", version), verdict: loader.Other,
				change: func(b []byte) []byte { return fixIP(put(b, atIP, byte(version<<4|5))) },
			})
		}
	}
	for words := range 5 {
		cases = append(cases, mutation{
			name: fmt.Sprintf("header of %d bytes", 4*words), verdict: loader.Malformed,
			change: func(b []byte) []byte { return fixIP(put(b, atIP, byte(0x40|words))) },
		})
	}
	for bit := range 13 {
		units := 1 << bit // of eight bytes
		cases = append(cases, mutation{
			name: fmt.Sprintf("fragment offset %d", 8*units), verdict: loader.Fragment,
			change: func(b []byte) []byte { return fixIP(put(b, atIP+6, byte(units>>8), byte(units))) },
		})
	}
	for bit := range 16 {
		// Both ways: a test that ignores a bit may notice one of them.
		for _, difference := range []int{1 << bit, 0xffff - 1<<bit} {
			cases = append(cases, mutation{
				name: fmt.Sprintf("IP checksum plus %#x", difference), verdict: loader.Checksum,
				change: func(b []byte) []byte { return addToChecksum(b, atIP+10, difference) },
			})
		}
	}
	return cases
}

func messageMutations() []mutation {
	cases := []mutation{
		{name: "ICMP checksum zero", verdict: loader.Checksum, change: func(b []byte) []byte { return put(b, atICMP+2, 0, 0) }},
		{name: "wrong cookie, shorter message", verdict: loader.Foreign, change: func(b []byte) []byte {
			b[atCookie] ^= 1
			return resize(b, 8+testDataLen-1)
		}},
		{name: "wrong cookie, longer message", verdict: loader.Foreign, change: func(b []byte) []byte {
			b[atCookie] ^= 1
			return resize(b, 8+testDataLen+1)
		}},
		{name: "wrong cookie, padded to another length", verdict: loader.Forged, change: func(b []byte) []byte {
			b[atCookie] ^= 1
			return append(fixICMP(b), 0, 0)
		}},
		{name: "wrong cookie, no data", verdict: loader.Foreign, change: func(b []byte) []byte {
			b[atCookie] ^= 1
			return resize(b, 8)
		}},
		{name: "cookie with its bytes swapped", verdict: loader.Forged, change: func(b []byte) []byte {
			slices.Reverse(b[atCookie : atCookie+4])
			return fixICMP(b)
		}},
	}
	for kind := 1; kind < 256; kind++ {
		verdict := loader.Foreign
		if slices.Contains(errorTypes, uint8(kind)) {
			verdict = loader.Malformed // what is there is no quote
		}
		cases = append(cases, mutation{
			name: fmt.Sprintf("type %d", kind), verdict: verdict,
			change: func(b []byte) []byte { return fixICMP(put(b, atICMP, byte(kind))) },
		})
	}
	for code := 1; code < 256; code++ {
		cases = append(cases, mutation{
			name: fmt.Sprintf("code %d", code), verdict: loader.Malformed,
			change: func(b []byte) []byte { return fixICMP(put(b, atICMP+1, byte(code))) },
		})
	}
	for bit := range 32 {
		cases = append(cases, mutation{
			name: fmt.Sprintf("cookie bit %d", bit), verdict: loader.Forged,
			change: func(b []byte) []byte { b[atCookie+bit/8] ^= 1 << (bit % 8); return fixICMP(b) },
		})
	}
	for bit := range 16 {
		// Both ways: a test that ignores a bit may notice one of them.
		for _, difference := range []int{1 << bit, 0xffff - 1<<bit} {
			cases = append(cases, mutation{
				name: fmt.Sprintf("ICMP checksum plus %#x", difference), verdict: loader.Checksum,
				change: func(b []byte) []byte { return addToChecksum(b, atICMP+2, difference) },
			})
		}
	}
	for at := range testDataLen {
		cases = append(cases, mutation{
			name: fmt.Sprintf("data byte %d changed behind the checksum", at), verdict: loader.Checksum,
			change: func(b []byte) []byte { b[atData+at] ^= 0x10; return b },
		})
	}
	return cases
}

// The cookie is right: the reply counts, but what its payload says is not
// believed.
func payloadMutations() []mutation {
	tagged := func(sent uint64, indexAttempt uint64) func([]byte) []byte {
		auth := probe.NewAuthenticator(testKey)
		return func(b []byte) []byte {
			return fixICMP(put(b, atData, payload(sent, indexAttempt, auth.Tag(sent, indexAttempt))...))
		}
	}
	cases := []mutation{
		{name: "attempt 0", verdict: loader.First, unknown: true, change: tagged(validSent, probe.IndexAttempt(5, 0))},
		{name: "attempt 4 of 3", verdict: loader.First, unknown: true, change: tagged(validSent, probe.IndexAttempt(5, 4))},
		{name: "attempt 255", verdict: loader.First, unknown: true, change: tagged(validSent, probe.IndexAttempt(5, 255))},
		{name: "largest index", verdict: loader.First, change: tagged(validSent, probe.IndexAttempt(probe.MaxIndex, validAttempt))},
		{name: "sent one nanosecond from now", verdict: loader.First, unknown: true, change: tagged(frozenNow+1, validAttempt)},
		{name: "sent at the end of time", verdict: loader.First, unknown: true, change: tagged(^uint64(0), validAttempt)},
	}
	for n := range probe.PayloadLen {
		cases = append(cases, mutation{
			name: fmt.Sprintf("%d bytes of data", n), verdict: loader.First, unknown: true, size: 8 + n,
			change: func(b []byte) []byte { return resize(b, 8+n) },
		}, mutation{
			name: fmt.Sprintf("%d bytes of data, the rest as padding", n), verdict: loader.First, unknown: true, size: 8 + n,
			change: func(b []byte) []byte { return fixICMP(setTotalLength(b, 28+n)) },
		})
	}
	for bit := range 8 * probe.PayloadLen { // send time, index, attempt and tag
		cases = append(cases, mutation{
			name: fmt.Sprintf("payload bit %d", bit), verdict: loader.First, unknown: true,
			change: func(b []byte) []byte { b[atData+bit/8] ^= 1 << (bit % 8); return fixICMP(b) },
		})
	}
	return cases
}
