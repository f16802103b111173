// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/bpf"
	"xsweep/loader"
	"xsweep/sweep/probe"
)

// manyConfig takes answers from anybody.
func manyConfig() loader.ReplyConfig {
	c := defaultConfig()
	c.Many = true
	return c
}

// answerFrom is the reply that somebody else sends to a probe.
func (a *answerer) answerFrom(t testing.TB, from uint32, e echo) []byte {
	t.Helper()
	b := a.reply(t, e)
	return fixIP(put(b, atIP+12, byte(from>>24), byte(from>>16), byte(from>>8), byte(from)))
}

// One probe, many answers: each who answers is the first once for each probe, from
// inside the targets or outside.
func TestMany(t *testing.T) {
	broadcast := uint32(slash16.hi)
	for _, recorded := range []struct{ first, all bool }{{false, false}, {true, false}, {true, true}, {false, true}} {
		c := manyConfig()
		c.RecordFirst, c.RecordAll = recorded.first, recorded.all
		f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
		f.watch = true
		step := func(from uint32, index uint64, attempt uint8, verdict loader.Verdict) {
			t.Helper()
			want := effect{Drop: true, Verdict: verdict, TTL: -1, RTT: -1, Code: "0/0"}
			if verdict == loader.First {
				want.TTL, want.RTT = validTTL, frozenNow-validSent
			}
			if recorded.first && (verdict == loader.First || recorded.all) {
				want.Record = bpf.ReplyRecord{
					ArrivedNs: frozenNow, RttNs: frozenNow - validSent, Target: uint32(index), From: from,
					Size: 8 + testDataLen, Ttl: validTTL, Attempt: attempt, Verdict: uint8(verdict),
				}
			}
			got := f.run(t, a.answerFrom(t, from, echo{broadcast, index, attempt, validSent, validTTL}))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%+v: from %#x, index %d, attempt %d (-want +got):\n%s", recorded, from, index, attempt, diff)
			}
		}
		step(routerA, 5, 1, loader.First)
		step(routerA, 5, 1, loader.Duplicate)
		step(routerA, 5, 2, loader.Duplicate) // another attempt, the same responder
		step(routerB, 5, 1, loader.First)
		step(routerA, 6, 1, loader.First)
		step(slash16.lo, 5, 3, loader.First)
		step(broadcast, 5, 1, loader.First)
		step(0, 0, 1, loader.First)
		step(0xffffffff, 0xffffffff, 3, loader.First)
		step(routerB, 5, 1, loader.Duplicate)
	}
}

// An answer from anybody counts only if its tag is right, whatever its cookie; no
// wrong one has any effect but its verdict.
func TestManyMutations(t *testing.T) {
	c := manyConfig()
	c.RecordErrors, c.RecordAll = true, true
	f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
	f.watch = true
	auth := probe.NewAuthenticator(testKey)
	e := echo{slash16.hi, 5, 1, validSent, validTTL}
	type mutated struct {
		name    string
		frame   []byte
		verdict loader.Verdict
	}
	change := func(name string, verdict loader.Verdict, f func([]byte) []byte) mutated {
		return mutated{name, f(a.answerFrom(t, routerA, e)), verdict}
	}
	tagged := func(sent, indexAttempt uint64) func([]byte) []byte {
		return func(b []byte) []byte {
			return fixICMP(put(b, atData, payload(sent, indexAttempt, auth.Tag(sent, indexAttempt))...))
		}
	}
	cases := []mutated{
		change("code 1", loader.Malformed, func(b []byte) []byte { return fixICMP(put(b, atICMP+1, 1)) }),
		change("a timestamp reply", loader.Foreign, func(b []byte) []byte { return fixICMP(put(b, atICMP, 14)) }),
		change("to another", loader.Foreign, func(b []byte) []byte { return fixIP(put(b, atIP+19, 2)) }),
		change("wrong ICMP checksum", loader.Checksum, func(b []byte) []byte { return put(b, atICMP+2, 0, 0) }),
		change("attempt 0", loader.Forged, tagged(validSent, probe.IndexAttempt(5, 0))),
		change("attempt 4 of 3", loader.Forged, tagged(validSent, probe.IndexAttempt(5, 4))),
		change("sent in the future", loader.Forged, tagged(frozenNow+1, probe.IndexAttempt(5, 1))),
		change("longer, with a wrong tag", loader.Foreign, func(b []byte) []byte { b[atData] ^= 1; return resize(b, 8+testDataLen+1) }),
	}
	for bit := range 8 * probe.PayloadLen {
		cases = append(cases, change(fmt.Sprintf("payload bit %d", bit), loader.Forged, func(b []byte) []byte {
			b[atData+bit/8] ^= 1 << (bit % 8)
			return fixICMP(b)
		}))
	}
	for n := range probe.PayloadLen {
		cases = append(cases, change(fmt.Sprintf("%d bytes of data", n), loader.Foreign, func(b []byte) []byte { return resize(b, 8+n) }))
	}
	for _, m := range cases {
		if got, want := f.run(t, m.frame), passed(m.verdict); got != want {
			t.Errorf("%s: got %+v, not %+v", m.name, got, want)
		}
	}
	// The cookie is made for one responder, so that nothing can be said of others'.
	cookie := change("any cookie", loader.First, func(b []byte) []byte { return fixICMP(put(b, atCookie, 1, 2, 3, 4)) })
	if got := f.run(t, cookie.frame); got.Verdict != loader.First || got.Record.Target != 5 || got.Record.From != routerA {
		t.Errorf("any cookie: got %+v", got)
	}
	// Errors are charged to the target, as ever.
	got := f.run(t, a.errorAbout(slash16.hi, routerA, 3, 1))
	if got.Verdict != loader.Error || got.Record.Target != slash16.hi || !got.Errored {
		t.Errorf("an error: got %+v", got)
	}
	if got := f.run(t, a.errorAbout(slash16.hi+1, routerA, 3, 1)); got != passed(loader.Foreign) {
		t.Errorf("an error about another: got %+v", got)
	}
}
