// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"xsweep/loader"
)

// otherSource is another address of ours.
var otherSource = netip.AddrFrom4([4]byte{198, 18, 0, 77})

// flowAnswer is an answer to a probe that was sent 1000 ns ago from a source with
// an identifier offset.
func flowAnswer(t *testing.T, source netip.Addr, offset uint16, index uint64) []byte {
	t.Helper()
	a := newAnswerer(t, loader.ReplyConfig{Key: testKey, Source: source, Probes: echoProbes(8 + testDataLen)})
	frame := a.reply(t, echo{target: benchTarget, index: index, attempt: 1, sent: frozenNow - 1000, ttl: 64})
	return moveID(frame, atCookie, offset)
}

// moveID adds an offset to the identifier that stands at a place.
func moveID(frame []byte, at int, offset uint16) []byte {
	id := frame[at : at+2]
	binary.LittleEndian.PutUint16(id, binary.LittleEndian.Uint16(id)+offset)
	return fixICMP(frame)
}

// An answer counts for the flow that its index is of: with that source and that
// identifier, and no other's.
func TestBenchFlowsOfSources(t *testing.T) {
	c := benchConfig()
	c.Flows = []loader.Flow{{Source: testSource}, {Source: otherSource}, {Source: testSource, IDOffset: 1}, {Source: otherSource, IDOffset: 1}}
	trial := loader.BenchTrial{Base: 5000, Measured: 5004, End: 5100, DrainNS: 1e9}
	for _, f := range []struct {
		name    string
		frame   func() []byte
		verdict loader.BenchVerdict
	}{
		{"first flow", func() []byte { return flowAnswer(t, testSource, 0, 5004) }, loader.BenchAnswered},
		{"second", func() []byte { return flowAnswer(t, otherSource, 0, 5005) }, loader.BenchAnswered},
		{"third", func() []byte { return flowAnswer(t, testSource, 1, 5006) }, loader.BenchAnswered},
		{"last", func() []byte { return flowAnswer(t, otherSource, 1, 5007) }, loader.BenchAnswered},
		{"first again", func() []byte { return flowAnswer(t, testSource, 0, 5008) }, loader.BenchAnswered},
		{"warm-up", func() []byte { return flowAnswer(t, otherSource, 1, 5003) }, loader.BenchWarmup},
		{"another flow's source", func() []byte { return flowAnswer(t, otherSource, 0, 5004) }, loader.BenchForged},
		{"another flow's identifier", func() []byte { return flowAnswer(t, testSource, 1, 5004) }, loader.BenchForged},
		{"nobody's identifier", func() []byte { return flowAnswer(t, testSource, 2, 5004) }, loader.BenchForged},
		{"one below", func() []byte { return flowAnswer(t, testSource, 0xffff, 5004) }, loader.BenchForged},
		{"nobody's source", func() []byte { return flowAnswer(t, netip.AddrFrom4([4]byte{198, 18, 0, 78}), 0, 5004) }, loader.BenchForged},
		{"not to us, no cookie", func() []byte {
			frame := flowAnswer(t, testSource, 0, 5004)
			return fixIP(put(frame, atIP+19, 78))
		}, loader.BenchForeign},
		{"error, second source", func() []byte { return flowError(t, otherSource, 0) }, loader.BenchError},
		{"error, last identifier", func() []byte { return flowError(t, testSource, 1) }, loader.BenchError},
		{"error, nobody's identifier", func() []byte { return flowError(t, testSource, 2) }, loader.BenchForged},
		{"error, nobody's source", func() []byte { return flowError(t, netip.AddrFrom4([4]byte{198, 18, 0, 78}), 0) }, loader.BenchForeign},
		{"error to another source", func() []byte {
			frame := flowError(t, otherSource, 0)
			copy(frame[atIP+16:], testSource.AsSlice())
			return fixIP(frame)
		}, loader.BenchForeign},
	} {
		t.Run(f.name, func(t *testing.T) {
			j := loadJudge(t, c, trial)
			j.run(t, f.frame())
			s := j.stats(t)
			var want [loader.NumBenchVerdicts]uint64
			want[f.verdict] = 1
			if s.Verdicts != want {
				t.Errorf("verdicts %v, want one %v", s.Verdicts, f.verdict)
			}
		})
	}
}

// flowError is a router's error about a probe from a source with an identifier
// offset.
func flowError(t *testing.T, source netip.Addr, offset uint16) []byte {
	t.Helper()
	a := newAnswerer(t, loader.ReplyConfig{Key: testKey, Source: source, Probes: echoProbes(8 + testDataLen)})
	frame := benchError(t, &judge{a: a}, benchTarget, 3)
	copy(frame[atIP+16:], source.AsSlice())
	fixIP(frame)
	return moveID(frame, atIP+20+8+20+4, offset)
}

// Flows are told apart, and the longest time without an answer is that of all
// flows of a thread to a target together.
func TestBenchFlowsAreCounted(t *testing.T) {
	c := benchConfig()
	c.Targets = append(c.Targets, netip.AddrFrom4([4]byte{198, 19, 0, 2}))
	c.Flows = []loader.Flow{{Source: testSource}, {Source: otherSource}}
	j := loadJudge(t, c, loader.BenchTrial{Base: 8, Measured: 8, End: 80, DrainNS: 1e9})
	// Targets take turns, then flows: 8 and 9 are the first flow's, 10 and 11 the second's.
	j.run(t, flowAnswer(t, testSource, 0, 8), flowAnswer(t, otherSource, 0, 10), flowAnswer(t, testSource, 0, 16), flowAnswer(t, testSource, 0, 12))
	flows, err := j.Flows()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []loader.BenchFlow{
		{Target: c.Targets[0], Flow: c.Flows[0], First: true, Answered: 3, Arrived: frozenNow},
		{Target: c.Targets[1], Flow: c.Flows[0], First: true},
		{Target: c.Targets[0], Flow: c.Flows[1], Answered: 1},
		{Target: c.Targets[1], Flow: c.Flows[1]},
	} {
		if flows[i] != want {
			t.Errorf("flow %d: %+v, want %+v", i, flows[i], want)
		}
	}
	// 12 came behind 16 of its flow; 10 behind none.
	if s := j.stats(t); s.Reordered != 1 {
		t.Errorf("%d reordered", s.Reordered)
	}
}
