// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/testrand"
	"xsweep/loader"
)

// Random and broken packets: whatever arrives, filter and model agree on all
// of its effects.
func TestDifferential(t *testing.T) {
	const frames = 25_000
	rng := testrand.New(t)
	for _, bare := range []bool{false, true} {
		c := defaultConfig()
		c.BareIP = bare
		c.Attempts = 1 + rng.IntN(8)
		c.Probes = echoProbes(28 + rng.IntN(100))
		c.Targets = targets(span{0xc6130000, 0xc61303ff}, span{0xc613ff00, 0xc613ffff})
		f, a, m := loadFrozen(t, c, frozenNow), newAnswerer(t, c), newModel(c, frozenNow)
		for i := range frames / 2 {
			frame := randomFrame(t, rng, a, c.Attempts)
			if bare && rng.IntN(20) > 0 {
				frame = frame[min(14, len(frame)):]
			}
			if len(frame) < leastFrame {
				frame = append(frame, make([]byte, leastFrame-len(frame))...)
			}
			if diff := cmp.Diff(m.judge(frame), f.run(t, frame)); diff != "" {
				t.Fatalf("bare %t, frame %d: % x\n(-want +got):\n%s", bare, i, frame, diff)
			}
		}
		t.Logf("bare %t: verdicts %v", bare, f.last.Verdicts)
		for _, v := range []loader.Verdict{
			loader.Other, loader.Foreign, loader.Forged, loader.Malformed, loader.Checksum,
			loader.Fragment, loader.First, loader.Repeat, loader.Duplicate,
		} {
			if f.last.Verdicts[v] < 20 {
				t.Errorf("bare %t: only %d times %v: these frames test little", bare, f.last.Verdicts[v], v)
			}
		}
	}
}

// randomFrame is a valid reply, changed in a few ways or in none; now and
// then it is noise.
func randomFrame(t testing.TB, rng *rand.Rand, a *answerer, attempts int) []byte {
	t.Helper()
	if rng.IntN(50) == 0 {
		return noise(rng, rng.IntN(200))
	}
	b := a.reply(t, echo{
		target:  0xc6130000 + rng.Uint32N(0x420), // a few outside
		index:   rng.Uint64() >> 8,
		attempt: uint8(rng.IntN(attempts + 2)),
		sent:    rng.Uint64N(frozenNow + frozenNow/10),
		ttl:     uint8(rng.Uint32()),
	})
	if rng.IntN(10) == 0 {
		b = resize(b, 8+rng.IntN(200))
	}
	if rng.IntN(100) == 0 {
		b = resize(b, 8+rng.IntN(3300))
		copy(b[min(len(b), atData+20):], noise(rng, len(b)))
		b = fixICMP(b)
	}
	for range rng.IntN(3) {
		b = mutateBytes(rng, b)
	}
	if rng.IntN(8) == 0 {
		b = withOptions(b, 4*(1+rng.IntN(10)))
		if rng.IntN(4) == 0 {
			b[atICMP+rng.IntN(4)] ^= byte(rng.Uint32())
		}
	}
	if rng.IntN(8) == 0 {
		b = withTags(b, slices.Repeat([]uint16{[]uint16{0x8100, 0x88a8}[rng.IntN(2)]}, 1+rng.IntN(3))...)
	}
	switch rng.IntN(10) {
	case 0:
		b = b[:rng.IntN(len(b)+1)]
	case 1:
		b = append(b, noise(rng, rng.IntN(64))...)
	}
	return b
}

// mutateBytes changes one field of a frame. Most changes mend the checksums
// behind them, or nothing past them would ever be reached.
func mutateBytes(rng *rand.Rand, b []byte) []byte {
	mend := rng.IntN(4) > 0
	switch rng.IntN(8) {
	case 0: // anywhere
		b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
	case 1: // in the IP header
		b[atIP+rng.IntN(20)] = byte(rng.Uint32())
	case 2: // in the ICMP header
		b[atICMP+rng.IntN(8)] = byte(rng.Uint32())
	case 3: // in the payload
		if len(b) > atData {
			b[atData+rng.IntN(min(20, len(b)-atData))] ^= 1 << rng.IntN(8)
		}
	case 4: // a length that lies a little
		total := int(binary.BigEndian.Uint16(b[atIP+2:])) + rng.IntN(17) - 8
		b = setTotalLength(b, total)
	case 5: // a fragment
		b = fixIP(put(b, atIP+6, byte(rng.Uint32()), byte(rng.Uint32())))
	case 6: // another type or code
		b[atICMP+rng.IntN(2)] = byte(rng.IntN(20))
	case 7: // another header length
		b[atIP] = 0x40 | byte(rng.IntN(16))
	}
	if mend {
		b = fixICMP(fixIP(b))
	}
	return b
}

func noise(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}
