// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/bpf"
	"xsweep/loader"
	"xsweep/sweep/probe"
)

// errorTypes are the ICMP types of errors (RFC 792).
var errorTypes = []uint8{3, 4, 5, 11, 12}

// errorBench runs error messages, each about a target of its own, and each twice.
type errorBench struct {
	*filter
	a      *answerer
	target uint32
	sent   uint64
}

const quotedTTL = 5

func newErrorBench(t testing.TB, c loader.ReplyConfig) *errorBench {
	t.Helper()
	b := &errorBench{filter: loadFrozen(t, c, frozenNow), a: newAnswerer(t, c), target: validTarget, sent: validSent}
	b.watch = true
	return b
}

// quote is that of a probe to the next target.
func (b *errorBench) quote(kind probe.Kind) []byte {
	b.target++
	return b.a.quote(kind, echo{target: b.target, index: 99, attempt: validAttempt, sent: b.sent}, quotedTTL)
}

// accepts says that the message is an error about the last target; change is what
// the record has but for what each has that quotes 8 bytes and no more.
func (b *errorBench) accepts(t *testing.T, name string, frame []byte, change func(*bpf.ReplyRecord)) {
	t.Helper()
	ip := frame[atIP:]
	icmp := ip[int(ip[0]&15)*4:]
	want := effect{
		Drop: true, Verdict: loader.Error, TTL: -1, RTT: -1, Errored: true, Code: codeName(icmp[0], icmp[1]),
		Record: bpf.ReplyRecord{
			ArrivedNs: frozenNow, RttNs: ^uint64(0), Target: b.target, From: routerA, Word: binary.LittleEndian.Uint32(icmp[4:]),
			Size: uint16(int(binary.BigEndian.Uint16(ip[2:])) - int(ip[0]&15)*4), Ttl: validTTL, Type: icmp[0], Code: icmp[1],
			Verdict: uint8(loader.Error), QuotedTtl: quotedTTL,
		},
	}
	if change != nil {
		change(&want.Record)
	}
	if want.Record.Message > 0 {
		want.Message = string(icmp[:want.Record.Message])
	}
	if diff := cmp.Diff(want, b.run(t, frame)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
	want.Verdict, want.Errored, want.Record.Verdict = loader.ErrorDuplicate, false, uint8(loader.ErrorDuplicate)
	if diff := cmp.Diff(want, b.run(t, frame)); diff != "" {
		t.Errorf("%s, again (-want +got):\n%s", name, diff)
	}
}

// refuses says that the message has no effect but its verdict, however often it
// comes.
func (b *errorBench) refuses(t *testing.T, name string, frame []byte, verdict loader.Verdict) {
	t.Helper()
	for range 2 {
		if diff := cmp.Diff(passed(verdict), b.run(t, frame)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// known is what a record has of a quote with its tag.
func known(r *bpf.ReplyRecord) { r.RttNs, r.Attempt = frozenNow-validSent, validAttempt }

// message is an error of a type and code that every router may send.
func message(icmpType, code uint8, quote []byte) icmpError {
	return icmpError{from: routerA, ttl: validTTL, icmpType: icmpType, code: code, quote: quote}
}

// Every code of every type is an error, known or not, with its word and with the
// TTL that the quote had left; RTT and attempt are those of the quoted payload.
func TestErrorCodes(t *testing.T) {
	b := newErrorBench(t, allConfig())
	for _, icmpType := range errorTypes {
		for code := range 256 {
			quote := b.quote(probe.Echo)
			b.accepts(t, fmt.Sprintf("type %d, code %d", icmpType, code), b.a.frame(message(icmpType, uint8(code), quote)), known)
		}
		for at := range 4 { // MTU, gateway and pointer are in here
			for _, value := range []byte{1, 0x80, 0xff} {
				m := message(icmpType, 4, b.quote(probe.Echo)[:28])
				m.word[at] = value
				b.accepts(t, fmt.Sprintf("type %d, word byte %d is %#x", icmpType, at, value), b.a.frame(m), func(r *bpf.ReplyRecord) {
					if at == 1 && icmpType != 4 && icmpType != 5 { // the length of RFC 4884
						r.Message = 36
					}
				})
			}
		}
		for _, ttl := range []uint8{0, 1, 64, 255} {
			m := message(icmpType, 0, fixQuote(put(b.quote(probe.Echo), 8, ttl)))
			m.ttl = 255 - ttl
			b.accepts(t, "another TTL", b.a.frame(m), func(r *bpf.ReplyRecord) { known(r); r.QuotedTtl, r.Ttl = ttl, 255-ttl })
		}
	}
	if n := b.both(t); n != 0 {
		t.Errorf("%d targets gave a reply too", n)
	}
}

// fixQuote sets the checksum of a quoted header right.
func fixQuote(quote []byte) []byte { return fixIP(append(make([]byte, atIP), quote...))[atIP:] }

// A quote that is cut anywhere: the header and 8 bytes are the least, whatever
// options either header has; the payload tells only what is there.
func TestQuotesCutAtEveryByte(t *testing.T) {
	b := newErrorBench(t, allConfig())
	for i, icmpType := range slices.Concat(errorTypes, errorTypes, []uint8{3}) {
		quoted, outer := 4*i, 4*((i*7)%11) // each length of options, in either header
		for _, kind := range []probe.Kind{probe.Echo, probe.Timestamp, probe.Mask} {
			whole := len(b.quote(kind)) + quoted
			for n := range whole + 1 {
				quote := quoteOptions(b.quote(kind), quoted)[:n]
				frame := withOptions(b.a.frame(message(icmpType, 1, quote)), outer)
				name := fmt.Sprintf("type %d about %v, %d and %d bytes of options, %d of %d bytes", icmpType, kind, outer, quoted, n, whole)
				if n < 20+quoted+8 {
					b.refuses(t, name, frame, loader.Malformed)
					continue
				}
				b.accepts(t, name, frame, func(r *bpf.ReplyRecord) {
					switch {
					case kind == probe.Echo && n >= 20+quoted+8+probe.PayloadLen:
						known(r)
					case kind == probe.Timestamp && n >= 20+quoted+8+4:
						r.RttNs = 1_000_000 // from 2146 to 2147 since midnight
					}
				})
			}
			// What lies behind the message's end is padding, and no quote.
			b.refuses(t, "the rest as padding", fixICMP(setTotalLength(b.a.frame(message(icmpType, 1, b.quote(kind))), 20+8+27)), loader.Malformed)
			b.accepts(t, "the payload as padding", fixICMP(setTotalLength(b.a.frame(message(icmpType, 1, b.quote(kind))), 20+8+28)), nil)
		}
	}
}

// The frame itself, cut anywhere: malformed, as every other.
func TestErrorsCutAtEveryByte(t *testing.T) {
	b := newErrorBench(t, allConfig())
	frame := b.a.frame(message(11, 0, b.quote(probe.Echo)))
	for n := leastFrame; n < len(frame); n++ {
		b.refuses(t, fmt.Sprintf("%d bytes", n), frame[:n], loader.Malformed)
	}
	b.accepts(t, "whole", frame, known)
}

// One field of the quote changed a case.
func TestQuoteMutations(t *testing.T) {
	type change struct {
		name    string
		change  func(quote []byte) []byte
		verdict loader.Verdict         // Error: valid all the same
		record  func(*bpf.ReplyRecord) // what else is in the record then
	}
	at := func(offset int, bytes ...byte) func([]byte) []byte {
		return func(q []byte) []byte { return put(q, offset, bytes...) }
	}
	unknown := func(r *bpf.ReplyRecord) { r.RttNs, r.Attempt = ^uint64(0), 0 }
	cases := []change{
		{"nothing", at(0), loader.Error, nil},
		// What routers change on the way, or fill in wrongly.
		{"service", at(1, 0xff), loader.Error, nil},
		{"identification", at(4, 0xab, 0xcd), loader.Error, nil},
		{"checksum of the header", at(10, 0xab, 0xcd), loader.Error, nil},
		{"checksum of the probe", at(22, 0xab, 0xcd), loader.Error, nil},
		{"total length of zero", at(2, 0, 0), loader.Error, nil},
		{"total length of all ones", at(2, 0xff, 0xff), loader.Error, nil},
		{"total length in the other byte order", func(q []byte) []byte { return put(q, 2, q[3], q[2]) }, loader.Error, nil},
		{"do not fragment", at(6, 0x40), loader.Error, nil},
		{"reserved flag", at(6, 0x80), loader.Error, nil},
		{"do not fragment, in the byte order of the router", at(6, 0, 0x40), loader.Error, nil},
		{"the first fragment", at(6, 0x20), loader.Error, nil},
		{"a later fragment", at(6, 0x20, 1), loader.Fragment, nil},
		{"the last fragment", at(6, 0x1f, 0xff), loader.Fragment, nil},
		{"more data", func(q []byte) []byte { return append(q, make([]byte, 500)...) }, loader.Error, nil},
		// Others' packets.
		{"from another", at(15, 2), loader.Foreign, nil},
		{"from nobody", at(12, 0, 0, 0, 0), loader.Foreign, nil},
		{"to whom we do not probe", at(16, 198, 20), loader.Foreign, nil},
		{"to another target", at(18, 1, 1), loader.Forged, nil},
		{"source and target exchanged", func(q []byte) []byte { return put(q, 12, slices.Concat(q[16:20], q[12:16])...) }, loader.Foreign, nil},
		{"another's fragment", at(6, 0x20, 1, 64, 17), loader.Foreign, nil},
		// Not as we send.
		{"wrong cookie, another length", func(q []byte) []byte { q[24] ^= 1; return put(q, 2, 0, 61) }, loader.Foreign, nil},
		{"wrong cookie, the length of a timestamp request", func(q []byte) []byte { q[24] ^= 1; return put(q, 2, 0, 40) }, loader.Foreign, nil},
		{"cookie with its bytes swapped", func(q []byte) []byte { slices.Reverse(q[24:28]); return q }, loader.Forged, nil},
		{"an error about an error", at(20, 3), loader.Foreign, nil},
		// The payload does not decide.
		{"sent in the future", func(q []byte) []byte {
			auth := probe.NewAuthenticator(testKey)
			return put(q, 28, payload(frozenNow+1, 0x101, auth.Tag(frozenNow+1, 0x101))...)
		}, loader.Error, unknown},
		{"attempt 4 of 3", func(q []byte) []byte {
			auth := probe.NewAuthenticator(testKey)
			return put(q, 28, payload(validSent, 0x104, auth.Tag(validSent, 0x104))...)
		}, loader.Error, unknown},
		{"attempt 0", func(q []byte) []byte {
			auth := probe.NewAuthenticator(testKey)
			return put(q, 28, payload(validSent, 0x100, auth.Tag(validSent, 0x100))...)
		}, loader.Error, unknown},
	}
	for version := range 16 {
		if version != 4 {
			cases = append(cases, change{fmt.Sprintf("version %d", version), at(0, byte(version<<4|5)), loader.Malformed, nil})
		}
	}
	for words := range 16 {
		verdict := loader.Foreign // what is a request there now? no type, no code
		switch {
		case words < 5:
			verdict = loader.Malformed
		case words == 5:
			continue
		case words*4+8 > 60:
			verdict = loader.Malformed
		}
		cases = append(cases, change{fmt.Sprintf("header of %d bytes", 4*words), func(q []byte) []byte {
			// Behind the true header nothing that looks like a request.
			return put(put(q, 24, slices.Repeat([]byte{0xee}, 36)...), 0, byte(0x40|words))
		}, verdict, nil})
	}
	for protocol := range 256 {
		if protocol != 1 {
			cases = append(cases, change{fmt.Sprintf("protocol %d", protocol), at(9, byte(protocol)), loader.Foreign, nil})
		}
	}
	for bit := range 13 {
		units := 1 << bit
		if units == 0x40 { // "don't fragment", byte-swapped
			continue
		}
		cases = append(cases, change{fmt.Sprintf("fragment offset %d", 8*units), at(6, byte(units>>8), byte(units)), loader.Fragment, nil})
	}
	for icmpType := range 256 {
		c := change{fmt.Sprintf("about type %d", icmpType), at(20, byte(icmpType)), loader.Foreign, nil}
		switch icmpType {
		case 8:
			continue
		case 17: // asked too, and the cookie is the same for all kinds
			c.verdict, c.record = loader.Error, unknown
		case 13: // what looks like its originate time is none
			c.verdict, c.record = loader.Error, unknown
			c.change = func(q []byte) []byte { return put(put(q, 20, 13), 28, 0xff, 0xff, 0xff, 0xff) }
		}
		cases = append(cases, c)
	}
	for code := 1; code < 256; code++ {
		cases = append(cases, change{fmt.Sprintf("about code %d", code), at(21, byte(code)), loader.Foreign, nil})
	}
	for bit := range 32 {
		cases = append(cases, change{fmt.Sprintf("cookie bit %d", bit), func(q []byte) []byte { q[24+bit/8] ^= 1 << (bit % 8); return q }, loader.Forged, nil})
		if bit >= 10 { // other targets are within the span
			continue
		}
		cases = append(cases, change{fmt.Sprintf("target bit %d", bit), func(q []byte) []byte { q[19-bit/8] ^= 1 << (bit % 8); return q }, loader.Forged, nil})
	}
	for bit := range 8 * probe.PayloadLen {
		cases = append(cases, change{fmt.Sprintf("payload bit %d", bit), func(q []byte) []byte { q[28+bit/8] ^= 1 << (bit % 8); return q }, loader.Error, unknown})
	}
	for _, icmpType := range errorTypes {
		b := newErrorBench(t, allConfig())
		for _, c := range cases {
			name := fmt.Sprintf("type %d: %s", icmpType, c.name)
			frame := b.a.frame(message(icmpType, 1, c.change(b.quote(probe.Echo))))
			if c.verdict != loader.Error {
				b.refuses(t, name, frame, c.verdict)
				continue
			}
			b.accepts(t, name, frame, func(r *bpf.ReplyRecord) {
				known(r)
				if c.record != nil {
					c.record(r)
				}
			})
		}
	}
}

// A wrong cookie in a quote of the length that probes of its kind have is forged; in
// one of another length, also of another kind's, it is somebody else's.
func TestForgedQuotes(t *testing.T) {
	c := allConfig()
	b := newErrorBench(t, c)
	kinds := []probe.Kind{probe.Echo, probe.Timestamp, probe.Mask}
	for i, kind := range kinds {
		for j := range kinds {
			total := 20 + c.Probes[j].MessageLen
			want := loader.Foreign
			if i == j {
				want = loader.Forged
			}
			quote := put(b.quote(kind), 2, 0, byte(total))
			quote[27] ^= 0x80
			b.refuses(t, fmt.Sprintf("%v of %d bytes", kind, total), b.a.frame(message(3, 1, quote)), want)
		}
	}
}

// One field of what is around the quote changed a case.
func TestErrorMutations(t *testing.T) {
	for _, icmpType := range errorTypes {
		b := newErrorBench(t, allConfig())
		valid := func() []byte { return b.a.frame(message(icmpType, 0, b.quote(probe.Echo))) }
		b.accepts(t, "valid", valid(), known)
		b.accepts(t, "padding", append(valid(), make([]byte, 30)...), known)
		b.accepts(t, "from a target", fixIP(put(valid(), atIP+12, 198, 19, 0, 1)), func(r *bpf.ReplyRecord) { known(r); r.From = 0xc6130001 })
		b.accepts(t, "from the broadcast", fixIP(put(valid(), atIP+12, 255, 255, 255, 255)), func(r *bpf.ReplyRecord) { known(r); r.From = 0xffffffff })
		b.refuses(t, "to another", fixIP(put(valid(), atIP+19, 2)), loader.Foreign)
		b.refuses(t, "to all", fixIP(put(valid(), atIP+16, 255, 255, 255, 255)), loader.Foreign)
		b.refuses(t, "not ICMP", fixIP(put(valid(), atIP+9, 17)), loader.Other)
		b.refuses(t, "a fragment", fixIP(put(valid(), atIP+6, 0x20)), loader.Fragment)
		b.refuses(t, "wrong IP checksum", put(valid(), atIP+8, 7), loader.Checksum)
		b.refuses(t, "no quote", resize(valid(), 8), loader.Malformed)
		b.refuses(t, "total length one over", setTotalLength(valid(), 20+8+60+1), loader.Malformed)
		b.refuses(t, "longer than any answer", setTotalLength(valid(), 20+4096), loader.Foreign)
		for bit := range 16 {
			for _, difference := range []int{1 << bit, 0xffff - 1<<bit} {
				b.refuses(t, fmt.Sprintf("ICMP checksum plus %#x", difference), addToChecksum(valid(), atICMP+2, difference), loader.Checksum)
			}
		}
		frame := valid()
		for at := atICMP + 4; at < len(frame); at++ {
			b.refuses(t, fmt.Sprintf("byte %d changed behind the checksum", at), put(slices.Clone(frame), at, frame[at]^0x10), loader.Checksum)
		}
	}
}
