// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"xsweep/internal/testrand"
	"xsweep/loader"
	"xsweep/sweep/probe"
)

// kindSets are all sets of kinds of probes.
func kindSets() [][]loader.ProbeShape {
	var sets [][]loader.ProbeShape
	for bits := 1; bits < 8; bits++ {
		var set []loader.ProbeShape
		for i, p := range allProbes() {
			if bits>>i&1 != 0 {
				set = append(set, p)
			}
		}
		sets = append(sets, set)
	}
	return sets
}

// Random and broken packets, under every combination of kinds and of what is to
// be recorded: whatever arrives, filter and model agree on all of its effects.
func TestDifferential(t *testing.T) {
	const frames = 110_000
	rng := testrand.New(t)
	type combination struct {
		probes                    []loader.ProbeShape
		many, first, all, errored bool
	}
	var combinations []combination
	for flags := range 8 {
		first, all, errored := flags&1 != 0, flags&2 != 0, flags&4 != 0
		for _, probes := range kindSets() {
			combinations = append(combinations, combination{probes, false, first, all, errored})
		}
		combinations = append(combinations, combination{allProbes()[:1], true, first, all, errored})
	}
	var judged [loader.NumVerdicts]uint64
	bare, pieces := rng.IntN(2) == 0, havePieces(t)
	for _, combined := range combinations {
		c := defaultConfig()
		c.Probes, c.Many = combined.probes, combined.many
		c.RecordFirst, c.RecordAll, c.RecordErrors = combined.first, combined.all, combined.errored
		bare = !bare
		c.BareIP, c.Pieces = bare, pieces && rng.IntN(3) == 0
		c.Attempts = []int{1, 1, 2, 3, 7, 40}[rng.IntN(6)]
		if c.Probes[0].Request == 8 {
			c.Probes[0].MessageLen = []int{8, 28, 40, 28 + rng.IntN(100), 28 + rng.IntN(600)}[rng.IntN(5)]
		}
		c.UTOffset = rng.Int64N(2e18)
		c.Targets = targets(span{0xc6130000, 0xc61303ff}, span{0xc613ff00, 0xc613ffff})
		f, m := loadFrozen(t, c, frozenNow), newModel(c, frozenNow)
		g := newGenerator(rng, newAnswerer(t, c), c)
		name := fmt.Sprintf("%+v, bare %t, pieces %t, %d attempts", combined, bare, c.Pieces, c.Attempts)
		for i := range frames/len(combinations) + 1 {
			f.agree(t, m, g.next(t), fmt.Sprintf("%s: frame %d", name, i))
		}
		f.agreeInTotal(t, m)
		for v, n := range f.last.Verdicts {
			judged[v] += n
		}
	}
	t.Logf("verdicts %v", judged)
	// Room for records, and to hear errors in, is for tests of its own.
	for v := range loader.ErrorUnchecked {
		if least := uint64(frames / 200); judged[v] < least {
			t.Errorf("only %d times %v, not %d: these frames test little", judged[v], v, least)
		}
	}
}

// generator makes frames for one configuration: answers of all sorts to probes
// of all kinds, as they should be and broken.
type generator struct {
	*rand.Rand
	a    *answerer
	c    loader.ReplyConfig
	past [][]byte // frames that may come again
}

func newGenerator(rng *rand.Rand, a *answerer, c loader.ReplyConfig) *generator {
	return &generator{Rand: rng, a: a, c: c}
}

// one is true once in n times.
func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

// next is a frame as the configuration's device has it.
func (g *generator) next(t testing.TB) []byte {
	t.Helper()
	var frame []byte
	switch {
	case len(g.past) > 0 && g.one(6):
		frame = slices.Clone(g.past[g.IntN(len(g.past))])
	case g.one(50):
		frame = noise(g.Rand, g.IntN(200))
	default:
		frame = g.message(t)
		if len(g.past) < 64 {
			g.past = append(g.past, slices.Clone(frame))
		} else {
			g.past[g.IntN(len(g.past))] = slices.Clone(frame)
		}
	}
	if g.one(8) {
		frame = withTags(padTo(frame, leastFrame), slices.Repeat([]uint16{[]uint16{0x8100, 0x88a8}[g.IntN(2)]}, 1+g.IntN(3))...)
	}
	switch g.IntN(12) {
	case 0:
		frame = frame[:g.IntN(len(frame)+1)]
	case 1:
		frame = append(frame, noise(g.Rand, g.IntN(64))...)
	}
	if g.c.BareIP && !g.one(20) {
		frame = frame[min(14, len(frame)):]
	}
	return padTo(frame, leastFrame)
}

// padTo appends zeros to the least length.
func padTo(b []byte, least int) []byte { return append(b, make([]byte, max(0, least-len(b)))...) }

// message is the frame of an answer, mostly one of ours, changed in some ways or
// in none.
func (g *generator) message(t testing.TB) []byte {
	t.Helper()
	e := echo{
		target:  0xc6130000 + g.Uint32N(0x420), // a few outside
		index:   g.Uint64() >> 8,
		attempt: uint8(g.IntN(g.c.Attempts + 2)),
		sent:    g.Uint64N(frozenNow + frozenNow/10),
		ttl:     uint8(g.Uint32()),
	}
	if g.one(2) {
		e.target = 0xc6130000 + g.Uint32N(20) // many meet again
	}
	if g.one(4) {
		e.index = uint64(g.IntN(4))
	}
	kind := probe.Kind(g.IntN(int(probe.NumKinds)))
	if !g.one(3) { // one that was asked
		kind = map[uint8]probe.Kind{8: probe.Echo, 13: probe.Timestamp, 17: probe.Mask}[g.c.Probes[g.IntN(len(g.c.Probes))].Request]
	}
	var b []byte
	if g.one(2) {
		b = g.positive(t, kind, e)
	} else {
		b = g.error(kind, e)
	}
	for range max(0, g.IntN(5)-2) {
		b = g.mutate(b)
	}
	if g.one(8) {
		b = withOptions(b, 4*(1+g.IntN(10)))
		if g.one(4) { // options of any kind
			copy(b[atICMP:], noise(g.Rand, max(0, 4*int(b[atIP]&15)-20)))
			b = fixIP(b)
		}
		if g.one(4) {
			b[atICMP+g.IntN(4)] ^= byte(g.Uint32())
		}
	}
	return b
}

// positive is a reply.
func (g *generator) positive(t testing.TB, kind probe.Kind, e echo) []byte {
	t.Helper()
	var b []byte
	switch kind {
	case probe.Timestamp:
		b = g.a.timestampReply(t, e, g.milliseconds(e), g.milliseconds(e))
		if g.one(6) {
			binary.BigEndian.PutUint32(b[atData:], g.milliseconds(e))
			b = fixICMP(b)
		}
	case probe.Mask:
		b = g.a.maskReply(t, e, [4]byte(noise(g.Rand, 4)))
	default:
		b = g.a.reply(t, e)
	}
	if g.one(10) {
		b = resize(b, 8+g.IntN(200))
	}
	if g.one(100) {
		longest := 3300 // what the kernel gives to a program in one piece
		if g.c.Pieces {
			longest = 9000
		}
		b = resize(b, 8+g.IntN(longest))
		copy(b[min(len(b), atData+20):], noise(g.Rand, len(b)))
		b = fixICMP(b)
	}
	return b
}

// milliseconds is some time since midnight: near that of the probe, or anywhere,
// or no time at all.
func (g *generator) milliseconds(e echo) uint32 {
	const day = 24 * 3600 * 1000
	switch g.IntN(6) {
	case 0:
		return g.Uint32()
	case 1:
		return g.Uint32N(day)
	case 2:
		return day - 2 + g.Uint32N(4)
	case 3:
		return 1<<31 | g.Uint32()
	}
	near := int64(probe.MillisecondsUT(e.sent, uint64(g.c.UTOffset))) + g.Int64N(200_000) - 100_000
	return uint32((near + day) % day)
}

// error is an error message about a probe, or about something like one.
func (g *generator) error(kind probe.Kind, e echo) []byte {
	quote := g.a.quote(kind, e, uint8(g.Uint32()))
	message := icmpError{
		from: 0xcb007100 + g.Uint32N(3), ttl: e.ttl,
		icmpType: []uint8{3, 4, 5, 11, 12}[g.IntN(5)], code: uint8(g.IntN(2)), word: [4]byte{},
	}
	if g.one(3) {
		message.code = uint8(g.Uint32())
	}
	if g.one(3) {
		message.word = [4]byte(noise(g.Rand, 4))
	}
	if g.one(4) {
		quote = g.mutateQuote(quote)
	}
	if g.one(5) {
		n := 4 * (1 + g.IntN(10))
		quote = quoteOptions(quote, n)
		if g.one(2) {
			copy(quote[20:20+n], noise(g.Rand, n))
		}
	}
	switch g.IntN(6) {
	case 0: // eight bytes behind the header
		quote = quote[:min(len(quote), int(quote[0]&15)*4+8)]
	case 1: // also time and tag
		quote = quote[:min(len(quote), int(quote[0]&15)*4+28)]
	case 2:
		quote = quote[:g.IntN(len(quote)+1)]
	}
	if g.one(3) {
		quote = extended(quote, g.structure())
		if !g.one(3) {
			message.word[1] = 32
		}
	}
	message.quote = quote
	return g.a.frame(message)
}

// structure is an extension structure, valid or not.
func (g *generator) structure() []byte {
	b := extension(slices.Repeat([]uint32{g.Uint32()}, g.IntN(4))...)
	switch g.IntN(4) {
	case 0:
		b = b[:g.IntN(len(b)+1)]
	case 1:
		b[g.IntN(len(b))] ^= 1 << g.IntN(8)
	case 2:
		b = append(b, noise(g.Rand, g.IntN(600))...)
	}
	return b
}

// mutateQuote changes a field of a quoted packet, options not yet in it.
func (g *generator) mutateQuote(quote []byte) []byte {
	switch g.IntN(9) {
	case 0: // anywhere
		quote[g.IntN(len(quote))] ^= 1 << g.IntN(8)
	case 1: // version and header length
		quote[0] = byte(g.Uint32())
	case 2: // flags and offset
		copy(quote[6:], noise(g.Rand, 2))
	case 3: // more fragments alone
		quote[6] = 0x20
	case 4: // another's packet
		copy(quote[12:16], noise(g.Rand, 4))
	case 5: // about another protocol
		quote[9] = []byte{6, 17, 2, 58}[g.IntN(4)]
	case 6: // another target
		quote[18+g.IntN(2)] ^= 1 << g.IntN(8)
	case 7: // type and code
		quote[20+g.IntN(2)] = byte(g.IntN(20))
	case 8: // the cookie
		quote[24+g.IntN(4)] ^= 1 << g.IntN(8)
		if g.one(3) {
			copy(quote[2:4], noise(g.Rand, 2))
		}
	}
	return quote
}

// mutate changes one field of a frame. Most changes mend the checksums behind
// them, or nothing past them would ever be reached.
func (g *generator) mutate(b []byte) []byte {
	mend := !g.one(4)
	switch g.IntN(8) {
	case 0: // anywhere
		b[g.IntN(len(b))] ^= 1 << g.IntN(8)
	case 1: // in the IP header
		b[atIP+g.IntN(20)] = byte(g.Uint32())
	case 2: // in the ICMP header
		b[atICMP+g.IntN(8)] = byte(g.Uint32())
	case 3: // in the payload
		if len(b) > atData {
			b[atData+g.IntN(min(20, len(b)-atData))] ^= 1 << g.IntN(8)
		}
	case 4: // a length that lies a little
		total := int(binary.BigEndian.Uint16(b[atIP+2:])) + g.IntN(17) - 8
		b = setTotalLength(b, total)
	case 5: // a fragment
		b = fixIP(put(b, atIP+6, byte(g.Uint32()), byte(g.Uint32())))
	case 6: // another type or code
		b[atICMP+g.IntN(2)] = byte(g.IntN(20))
	case 7: // another header length
		b[atIP] = 0x40 | byte(g.IntN(16))
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
