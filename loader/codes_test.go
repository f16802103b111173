// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/loader"
	"xsweep/sweep/probe"
)

// What carries our cookie is counted by type and code, in every case: of every
// kind and code, the first as the duplicates, and also if its record is lost.
// Nothing else is.
func TestCodes(t *testing.T) {
	pin(t)
	c := allConfig()
	c.Attempts = 1
	f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
	if err := f.ShrinkRings(uint32(os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	codes := func() map[uint8]map[uint8]uint64 {
		t.Helper()
		s, err := f.Stats()
		if err != nil {
			t.Fatal(err)
		}
		return s.Codes()
	}
	if got := codes(); len(got) != 0 {
		t.Errorf("before anything: %v", got)
	}
	want := map[uint8]map[uint8]uint64{}
	count := func(icmpType, code uint8) {
		if want[icmpType] == nil {
			want[icmpType] = map[uint8]uint64{}
		}
		want[icmpType][code]++
	}
	e := echo{slash16.lo, 1, 1, validSent, validTTL}
	for round := range 3 { // the ring fills within the first
		for request, reply := range replyTypes {
			f.execute(t, a.kindAnswer(t, request, e))
			count(reply, 0)
		}
		for _, icmpType := range errorTypes {
			for code := range 256 {
				for range 1 + (code+round)%2 {
					f.execute(t, a.errorAbout(slash16.lo, routerA, icmpType, uint8(code)))
					count(icmpType, uint8(code))
				}
			}
		}
		if diff := cmp.Diff(want, codes()); diff != "" {
			t.Fatalf("round %d (-want +got):\n%s", round, diff)
		}
	}
	s, err := f.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if s.Verdicts[loader.RecordLost] == 0 {
		t.Errorf("no record was lost: %v", s.Verdicts)
	}
	// What is not ours.
	forged := a.quote(probe.Echo, e, 1)
	forged[24] ^= 1
	for _, frame := range [][]byte{
		put(a.reply(t, e), atICMP+2, 0, 0),
		fixICMP(put(a.reply(t, e), atICMP+1, 1)),
		fixICMP(put(a.reply(t, e), atCookie, 1, 2, 3, 4)),
		fixIP(put(a.reply(t, e), atIP+12, 1, 1, 1, 1)),
		a.frame(message(3, 1, forged)),
		a.frame(message(3, 1, forged[:20])),
		a.errorAbout(slash16.hi+1, routerA, 3, 1),
		a.probe(probe.Echo, e),
	} {
		f.execute(t, frame)
	}
	if diff := cmp.Diff(want, codes()); diff != "" {
		t.Errorf("others' packets were counted (-want +got):\n%s", diff)
	}
}
