// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"xsweep/internal/testrand"
	"xsweep/loader"
	"xsweep/sweep/probe"
)

// endOfTime, sign-extended, is the latest time that a clock can show.
const endOfTime = -1

// The vectors that come with the SipHash paper's reference implementation
// (vectors_sip64: key 00 01 .. 0f, message 00 01 02 ..), as the filter
// computes them: the cookie over eight bytes, the tag over sixteen.
func TestFilterComputesPublishedVectors(t *testing.T) {
	key := [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	cookie := []byte{0x62, 0x24, 0x93, 0x9a}                             // of 79 f5 f5 93 behind
	data := []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} // send time, attempt and index
	tag := []byte{0xdb, 0x9b, 0xc2, 0x57}                                // of 7f cc 2a 3f behind
	source, target := [4]byte{0, 1, 2, 3}, [4]byte{4, 5, 6, 7}           // the cookie's message
	number := binary.BigEndian.Uint32(target[:])                         // the target as the filter counts
	c := loader.ReplyConfig{
		Key: key, Source: netip.AddrFrom4(source), Targets: targets(span{number, number}), Attempts: 8, Probes: echoProbes(28),
	}
	// The vector's send time is 16 years after start-up.
	f := loadFrozen(t, c, endOfTime)
	frame := bytes.Join([][]byte{
		theirMAC, ourMAC, {8, 0},
		{0x45, 0, 0, 48, 0, 0, 0, 0, 64, 1, 0, 0}, target[:], source[:],
		{0, 0, 0, 0}, cookie, data, tag,
	}, nil)
	got := f.run(t, fixICMP(fixIP(frame)))
	if got.Verdict != loader.First || got.Record.Attempt != 8 || got.Record.RttNs != ^uint64(0)-binary.LittleEndian.Uint64(data) {
		t.Errorf("got %+v: attempt 8 must be known by its tag", got)
	}
	for i, want := range map[int]loader.Verdict{atCookie: loader.Forged, atData: loader.Repeat, atData + 16: loader.Repeat} {
		broken := bytes.Clone(frame)
		broken[i] ^= 1
		if got := f.run(t, fixICMP(broken)); got.Verdict != want {
			t.Errorf("byte %d changed: %v, not %v", i, got.Verdict, want)
		}
	}
}

// For random keys, addresses, times and indices, the filter computes the
// cookie and the tag that the sweep puts into its probes.
func TestFilterComputesWhatProbesCarry(t *testing.T) {
	const keys, repliesAKey = 4, 2000
	rng := testrand.New(t)
	for range keys {
		c := defaultConfig()
		for i := range c.Key {
			c.Key[i] = byte(rng.Uint32())
		}
		c.Source = netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, rng.Uint32())))
		c.Attempts = 1
		lo := rng.Uint32() &^ 0xffffff
		c.Targets = targets(span{lo, lo + 0xffffff})
		f, a := loadFrozen(t, c, endOfTime), newAnswerer(t, c)
		seen := map[uint32]bool{}
		for range repliesAKey {
			e := echo{target: lo + rng.Uint32N(1<<24), index: rng.Uint64() & probe.MaxIndex, attempt: 1, sent: rng.Uint64() | 1, ttl: 64}
			if seen[e.target] {
				continue
			}
			seen[e.target] = true
			frame := a.reply(t, e)
			forged := bytes.Clone(frame)
			forged[atCookie+rng.IntN(4)] ^= 1 << rng.IntN(8)
			if got, want := f.run(t, fixICMP(forged)), passed(loader.Forged); got != want {
				t.Fatalf("%+v, forged: got %+v", e, got)
			}
			got := f.run(t, frame)
			if got.Verdict != loader.First || got.Record.Attempt != 1 || got.Record.RttNs != ^uint64(0)-e.sent {
				t.Fatalf("%+v: got %+v", e, got)
			}
		}
	}
}
