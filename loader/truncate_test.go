// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/bpf"
	"xsweep/loader"
)

// A reply that is cut short anywhere has no effect but its one verdict.
func TestTruncated(t *testing.T) {
	c := defaultConfig()
	f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
	// A frame that starts with the IP header is short of the Ethernet header.
	bare := a.reply(t, echo{slash16.lo, 1, 1, validSent, validTTL})[14:]
	if got, want := f.run(t, bare), passed(loader.Other); got != want {
		t.Errorf("a bare packet: got %+v, want %+v", got, want)
	}
	for i, shape := range []struct {
		name   string
		link   int // bytes in front of the IP header
		change func([]byte) []byte
	}{
		{"plain", 14, func(b []byte) []byte { return b }},
		{"odd", 14, func(b []byte) []byte { return resize(b, 8+testDataLen+5) }},
		{"options", 14, func(b []byte) []byte { return withOptions(b, 40) }},
		{"tags and options", 22, func(b []byte) []byte { return withTags(withOptions(b, 12), 0x88a8, 0x8100) }},
	} {
		t.Run(shape.name, func(t *testing.T) {
			frame := shape.change(a.reply(t, echo{validTarget + uint32(i), 1, 1, validSent, validTTL}))
			for n := leastFrame; n < len(frame); n++ {
				want := passed(loader.Malformed)
				if n < shape.link {
					want = passed(loader.Other)
				}
				if got := f.run(t, frame[:n]); got != want {
					t.Errorf("%d of %d bytes: got %+v, want %+v", n, len(frame), got, want)
				}
			}
			if got := f.run(t, frame); got.Verdict != loader.First {
				t.Errorf("the whole frame: got %+v", got)
			}
		})
	}
}

// Devices without link layer: the frame starts with the IP header.
func TestBareIP(t *testing.T) {
	c := defaultConfig()
	c.BareIP = true
	f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
	valid := func(target uint32) []byte {
		return a.reply(t, echo{target, 9, 1, validSent, validTTL})[14:]
	}
	frame := valid(validTarget)
	for n := leastFrame; n < len(frame); n++ {
		if got, want := f.run(t, frame[:n]), passed(loader.Malformed); got != want {
			t.Errorf("%d bytes: got %+v, want %+v", n, got, want)
		}
	}
	want := effect{
		Drop: true, Verdict: loader.First, TTL: validTTL, RTT: frozenNow - validSent,
		Record: bpf.ReplyRecord{
			ArrivedNs: frozenNow, RttNs: frozenNow - validSent, Target: validTarget, From: validTarget,
			Size: 8 + testDataLen, Ttl: validTTL, Attempt: 1, Verdict: uint8(loader.First),
		},
	}
	if diff := cmp.Diff(want, f.run(t, frame)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, version := range map[string]byte{"IPv6": 6, "version 5": 5} {
		b := valid(validTarget + 1)
		b[0] = version<<4 | b[0]&15
		if got, want := f.run(t, b), passed(loader.Other); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	// An Ethernet frame is no IP packet, whatever follows its header: this
	// one's first byte says version 0.
	b := a.reply(t, echo{validTarget + 2, 9, 1, validSent, validTTL})
	if got, want := f.run(t, b), passed(loader.Other); got != want {
		t.Errorf("Ethernet: got %+v, want %+v", got, want)
	}
}
