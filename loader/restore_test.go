// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"xsweep/bpf"
	"xsweep/internal/testrand"
	"xsweep/loader"
	"xsweep/sweep/probe"
)

// contents is all that an array map of the filter holds.
func contents[T any](t *testing.T, m *ebpf.Map) []T {
	t.Helper()
	keys, values := make([]uint32, m.MaxEntries()), make([]T, m.MaxEntries())
	var cursor ebpf.MapBatchCursor
	if n, err := m.BatchLookup(&cursor, keys, values, nil); n != len(keys) {
		t.Fatalf("read %d of %d entries: %v", n, len(keys), err)
	}
	return values
}

// What is restored stands where the filter itself would have put it, bit for
// bit: nothing is new to a second filter that the first has seen.
func TestRestore(t *testing.T) {
	rng := testrand.New(t)
	for _, attempts := range []int{1, 3, 61} {
		c := allConfig()
		c.Attempts = attempts
		first, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
		var answers []loader.Answers
		var refusals []loader.Refusal
		var frames [][]byte
		for range 3000 {
			target, attempt := slash16.lo+rng.Uint32N(1<<16), uint8(1+rng.IntN(attempts))
			if rng.IntN(2) == 0 {
				frame := a.reply(t, echo{target, 9, attempt, validSent, 64})
				got := first.peek(t, frame)
				if got.Verdict == loader.First || got.Verdict == loader.Repeat {
					answers = append(answers, loader.Answers{Request: 8, Attempt: attempt, Targets: []uint32{target}})
				}
				frames = append(frames, frame)
				continue
			}
			from := rng.Uint32()
			frame := a.errorAbout(target, from, 11, 1)
			if got := first.peek(t, frame); got.Verdict == loader.Error || got.Verdict == loader.ErrorUnchecked {
				refusals = append(refusals, loader.Refusal{Target: target, From: from, Type: 11, Code: 1})
			}
			frames = append(frames, frame)
		}
		second := loadFrozen(t, c, frozenNow)
		errored, err := second.Restore(slices.Values(answers), slices.Values(refusals))
		if err != nil {
			t.Fatal(err)
		}
		stats, err := first.Stats()
		if err != nil {
			t.Fatal(err)
		}
		if errored != stats.Errored {
			t.Errorf("%d attempts: errors for %d targets, the filter says %d", attempts, errored, stats.Errored)
		}
		was, is := first.Maps(), second.Maps()
		if !reflect.DeepEqual(contents[bpf.ReplySeenPage](t, was.SeenPages), contents[bpf.ReplySeenPage](t, is.SeenPages)) {
			t.Errorf("%d attempts: the bitmap of replies differs", attempts)
		}
		if !reflect.DeepEqual(contents[bpf.ReplySeenPage](t, was.ErrorPages), contents[bpf.ReplySeenPage](t, is.ErrorPages)) {
			t.Errorf("%d attempts: the bitmap of errors differs", attempts)
		}
		if !reflect.DeepEqual(contents[bpf.ReplyHeardBucket](t, was.Heard), contents[bpf.ReplyHeardBucket](t, is.Heard)) {
			t.Errorf("%d attempts: the table of errors differs", attempts)
		}
		for i, frame := range frames {
			switch v := second.peek(t, frame).Verdict; v {
			case loader.Duplicate, loader.ErrorDuplicate, loader.ErrorUnchecked:
			default:
				t.Fatalf("%d attempts: frame %d again: %v", attempts, i, v)
			}
		}
	}
}

// What cannot have been got is refused by name.
func TestRestoreRefuses(t *testing.T) {
	for _, tc := range []struct {
		name     string
		answers  []loader.Answers
		refusals []loader.Refusal
		want     string
	}{
		{"below the targets", []loader.Answers{{Request: 8, Targets: []uint32{1}}}, nil, "0.0.0.1: it is no target"},
		{"above them", []loader.Answers{{Request: 8, Targets: []uint32{slash16.lo, 1<<32 - 1}}}, nil, "255.255.255.255: it is no target"},
		{"a kind that is not sent", []loader.Answers{{Request: 13, Targets: []uint32{slash16.lo}}}, nil, "ICMP type 13"},
		{"too many attempts", []loader.Answers{{Request: 8, Attempt: 4, Targets: []uint32{slash16.lo}}}, nil, "attempt 4"},
		{"an error for none", nil, []loader.Refusal{{Target: 1, Type: 3}}, "0.0.0.1: it is no target"},
		{"no error", nil, []loader.Refusal{{Target: slash16.lo, Type: 8}}, "ICMP type 8"},
	} {
		f := load(t, defaultConfig())
		if _, err := f.Restore(slices.Values(tc.answers), slices.Values(tc.refusals)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

// A probe that was sent before the machine was started anew tells a time of
// another clock: its attempt is known, its round-trip time is not, however the two
// clocks stand.
func TestProbesFromBeforeAReboot(t *testing.T) {
	c := defaultConfig()
	c.FirstRun = 3
	auth := probe.NewAuthenticator(testKey)
	for _, tc := range []struct {
		name    string
		run     uint16
		sent    uint64
		attempt uint8
		rtt     uint64
	}{
		{"the run before", 2, validSent, validAttempt, math.MaxUint64},
		{"the first run, by a clock that is ahead", 0, frozenNow + 1, validAttempt, math.MaxUint64},
		{"this run", 3, validSent, validAttempt, frozenNow - validSent},
		{"a run since", math.MaxUint16, validSent, validAttempt, frozenNow - validSent},
		{"this run, in the future", 3, frozenNow + 1, 0, math.MaxUint64},
	} {
		f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
		word := probe.Probe{Run: tc.run, Index: 5, Attempt: validAttempt}.Word()
		frame := a.reply(t, echo{slash16.lo + 1, 5, validAttempt, validSent, 64})
		got := f.run(t, fixICMP(put(frame, atData, payload(tc.sent, word, auth.Tag(tc.sent, word))...)))
		if got.Verdict != loader.First || got.Record.Attempt != tc.attempt || got.Record.RttNs != tc.rtt {
			t.Errorf("%s: got %+v", tc.name, got)
		}
	}
}
