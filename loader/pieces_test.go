// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"slices"
	"testing"

	"xsweep/internal/lab/labtest"
	"xsweep/internal/testrand"
	"xsweep/loader"
	"xsweep/sweep/probe"
)

// Packets that come in several pieces, of every length up to jumbo frames: as the
// model has it, and with their checksums verified to the last byte.
func TestPieces(t *testing.T) {
	if !havePieces(t) {
		labtest.Lacking(t, "Linux 5.18: packets in several pieces")
	}
	rng := testrand.New(t)
	c := allConfig()
	c.Pieces = true
	f, a, m := loadFrozen(t, c, frozenNow), newAnswerer(t, c), newModel(c, frozenNow)
	target := slash16.lo
	lengths := []int{8, 40, 3300, 4094, 4095, 4096, 4097, 8972, 20_000}
	for range 300 {
		lengths = append(lengths, 3300+rng.IntN(6000))
	}
	for _, n := range lengths {
		target++
		e := echo{target, 1, 1, validSent, validTTL}
		long := func(b []byte) []byte { // grows to n bytes of message
			b = resize(b, max(n, len(b)-atICMP))
			for i := 100; i < len(b); i++ {
				b[i] = byte(rng.Uint32())
			}
			return fixICMP(b)
		}
		reply, failure := long(a.reply(t, e)), long(a.errorAbout(target, routerA, 11, 0))
		for _, frame := range [][]byte{reply, failure} {
			for _, at := range []int{atICMP + 2, len(frame) - 1, max(atData, len(frame)-65), atData + rng.IntN(len(frame)-atData)} {
				broken := slices.Clone(frame)
				broken[at] ^= 1 << rng.IntN(8)
				if got := f.agree(t, m, broken, "a byte changed"); got.Verdict != loader.Checksum {
					t.Fatalf("message of %d bytes, byte %d changed: %v", n, at, got.Verdict)
				}
			}
			if got := f.agree(t, m, frame[:len(frame)-1], "a byte short"); got.Verdict != loader.Malformed {
				t.Fatalf("message of %d bytes, one short: %v", n, got.Verdict)
			}
			f.agree(t, m, append(slices.Clone(frame), 0xff, 0xff, 0xff), "padding")
		}
		got := f.agree(t, m, reply, "a reply")
		if n >= 28 && (got.Verdict != loader.Duplicate || got.Record.RttNs != frozenNow-validSent) {
			t.Fatalf("message of %d bytes: got %+v", n, got)
		}
		if got := f.agree(t, m, failure, "an error"); got.Verdict != loader.ErrorDuplicate || got.Record.Target != target {
			t.Fatalf("error of %d bytes: got %+v", n, got)
		}
	}
	f.agreeInTotal(t, m)
	quote := a.quote(probe.Echo, echo{target: slash16.hi}, 1)
	quote[24] ^= 1
	if got := f.agree(t, m, a.frame(message(3, 1, quote)), "forged"); got.Verdict != loader.Forged {
		t.Errorf("forged: %v", got.Verdict)
	}
}
