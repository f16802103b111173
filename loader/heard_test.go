// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"os"
	"slices"
	"testing"

	"xsweep/bpf"
	"xsweep/internal/testrand"
	"xsweep/loader"
	"xsweep/sweep/probe"
)

// allConfig asks for everything.
func allConfig() loader.ReplyConfig {
	c := defaultConfig()
	c.Probes, c.RecordErrors, c.RecordAll = allProbes(), true, true
	return c
}

// errorAbout is a valid error about an echo request to the target.
func (a *answerer) errorAbout(target, from uint32, icmpType, code uint8) []byte {
	e := echo{target: target, index: 7, attempt: 1, sent: validSent}
	return a.frame(icmpError{from: from, ttl: 61, icmpType: icmpType, code: code, quote: a.quote(probe.Echo, e, 3)})
}

// The same error again is a duplicate, and only that: whatever else it quotes,
// who sent it, about whom, its type and its code tell errors apart.
func TestSameError(t *testing.T) {
	for _, recorded := range []struct{ errors, all bool }{{false, false}, {true, false}, {true, true}, {false, true}} {
		c := allConfig()
		c.RecordErrors, c.RecordAll = recorded.errors, recorded.all
		f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
		f.watch = true
		target := slash16.lo + 77
		e := echo{target, 1, 2, validSent, 64}
		for _, step := range []struct {
			name    string
			frame   []byte
			verdict loader.Verdict
			code    string
			errored bool
		}{
			{"an error", a.errorAbout(target, routerA, 3, 1), loader.Error, "3/1", true},
			{"again", a.errorAbout(target, routerA, 3, 1), loader.ErrorDuplicate, "3/1", false},
			{"another router", a.errorAbout(target, routerB, 3, 1), loader.Error, "3/1", false},
			{"another code", a.errorAbout(target, routerA, 3, 0), loader.Error, "3/0", false},
			{"another type", a.errorAbout(target, routerA, 11, 1), loader.Error, "11/1", false},
			{"another target", a.errorAbout(target+1, routerA, 3, 1), loader.Error, "3/1", true},
			{"the target itself", a.errorAbout(target, target, 3, 1), loader.Error, "3/1", false},
			{"about another kind", a.frame(icmpError{from: routerA, icmpType: 3, code: 1, quote: a.quote(probe.Mask, e, 9)}), loader.ErrorDuplicate, "3/1", false},
			{"about another attempt", a.frame(icmpError{from: routerA, icmpType: 3, code: 1, quote: a.quote(probe.Echo, e, 9)}), loader.ErrorDuplicate, "3/1", false},
			{"with another word", a.frame(icmpError{from: routerA, icmpType: 3, code: 1, word: [4]byte{0, 0, 5, 0xdc}, quote: a.quote(probe.Echo, e, 9)}), loader.ErrorDuplicate, "3/1", false},
			{"with extensions", a.frame(icmpError{from: routerA, icmpType: 3, code: 1, word: [4]byte{1: 32}, quote: extended(a.quote(probe.Echo, e, 9), extension(5))}), loader.ErrorDuplicate, "3/1", false},
			{"the other router again", a.errorAbout(target, routerB, 3, 1), loader.ErrorDuplicate, "3/1", false},
		} {
			got := f.run(t, step.frame)
			if !got.Drop || got.Verdict != step.verdict || got.Code != step.code || got.Errored != step.errored || got.TTL != -1 || got.RTT != -1 {
				t.Errorf("%+v: %s: got %+v", recorded, step.name, got)
			}
			recordWanted := recorded.errors && (step.verdict == loader.Error || recorded.all)
			if recordWanted != (got.Record != bpf.ReplyRecord{}) || recordWanted && got.Record.Verdict != uint8(step.verdict) {
				t.Errorf("%+v: %s: recorded %+v", recorded, step.name, got.Record)
			}
		}
	}
}

// Replies and errors do not keep each other down: a host that answers after an
// error is live, and in every order of replies and errors each target is counted
// once as one that an error came for, and once as one that both came for.
func TestRepliesAndErrorsApart(t *testing.T) {
	c := allConfig()
	f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
	frames := func(target uint32) [][]byte {
		e := echo{target, 1, 1, validSent, 64}
		return [][]byte{
			a.reply(t, e), a.timestampReply(t, e, 5, 5),
			a.errorAbout(target, routerA, 3, 1), a.errorAbout(target, routerB, 5, 0), a.errorAbout(target, routerA, 3, 1),
		}
	}
	target := slash16.lo
	permutations([]int{0, 1, 2, 3, 4}, func(order []int) {
		target++
		m := newModel(c, frozenNow)
		var replies, errors int
		before := f.both(t)
		for _, i := range order {
			got := f.agree(t, m, frames(target)[i], "an order")
			isReply := i < 2
			switch {
			case isReply:
				if first := replies == 0; first != (got.Verdict == loader.First) {
					t.Fatalf("%v: %d replies before: %v", order, replies, got.Verdict)
				}
				replies++
			default:
				if got.Errored != (errors == 0) {
					t.Fatalf("%v: %d errors before: %+v", order, errors, got)
				}
				errors++
			}
			if both, want := f.both(t)-before, uint64(min(replies, errors, 1)); both != want {
				t.Fatalf("%v: counted %d times as both, not %d", order, both, want)
			}
		}
	})
	if n := uint64(target - slash16.lo); f.last.Errored != n || f.both(t) != n || f.last.Verdicts[loader.First] != n {
		t.Errorf("%d targets: %d with errors, %d with both, %d first", n, f.last.Errored, f.both(t), f.last.Verdicts[loader.First])
	}
}

func permutations(items []int, yield func([]int)) {
	var extend func(done, left []int)
	extend = func(done, left []int) {
		if len(left) == 0 {
			yield(done)
		}
		for i := range left {
			extend(append(slices.Clone(done), left[i]), slices.Delete(slices.Clone(left), i, i+1))
		}
	}
	extend(nil, items)
}

// Targets that share a word of the bitmap: an error for one is none for its
// neighbours, and hides no reply.
func TestErrorBitsHaveNoNeighbours(t *testing.T) {
	for _, attempts := range []int{1, 3, 60} {
		for _, probes := range [][]loader.ProbeShape{allProbes()[:1], allProbes()} {
			c := defaultConfig()
			c.Probes, c.Attempts = probes, attempts
			f, a, m := loadFrozen(t, c, frozenNow), newAnswerer(t, c), newModel(c, frozenNow)
			for target := slash16.lo; target < slash16.lo+70; target += 2 {
				got := f.agree(t, m, a.errorAbout(target, routerA, 11, 0), "an error")
				if got.Verdict != loader.Error || !got.Errored {
					t.Fatalf("%d attempts, target %#x: got %+v", attempts, target, got)
				}
			}
			for target := slash16.lo; target < slash16.lo+70; target++ {
				got := f.agree(t, m, a.reply(t, echo{target, 1, 1, validSent, 1}), "a reply")
				if got.Verdict != loader.First {
					t.Fatalf("%d attempts, target %#x: got %+v", attempts, target, got)
				}
			}
			f.agreeInTotal(t, m)
		}
	}
}

// fillHeard leaves no room for more than what was heard so far.
func fillHeard(t *testing.T, f *filter, m *model) {
	t.Helper()
	if err := f.FillHeard(); err != nil {
		t.Fatal(err)
	}
	m.capacity = len(m.heard)
}

// No two errors are ever taken for one, whatever addresses they come from and
// speak of: the table is filled to more than half. Some find no room in their
// buckets; those are said to be unchecked, each time.
func TestHeardExactly(t *testing.T) {
	rng := testrand.New(t)
	c := allConfig()
	c.RecordErrors = false
	f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
	n := 5 * int(f.Maps().Heard.MaxEntries())
	type hearing struct{ target, from uint32 }
	heard := map[hearing]bool{} // false: there was no room
	errorOf := func(h hearing) loader.Verdict {
		return f.peek(t, a.errorAbout(h.target, h.from, 11, 0)).Verdict
	}
	for len(heard) < n {
		h := hearing{slash16.lo + rng.Uint32N(1<<16), rng.Uint32()}
		if _, again := heard[h]; again {
			continue
		}
		switch v := errorOf(h); v {
		case loader.Error, loader.ErrorUnchecked:
			heard[h] = v == loader.Error
		default:
			t.Fatalf("%+v: %v", h, v)
		}
	}
	untold := 0
	for h, noted := range heard {
		want := loader.ErrorDuplicate
		if !noted {
			want = loader.ErrorUnchecked
			untold++
		}
		if v := errorOf(h); v != want {
			t.Fatalf("%+v again: %v, not %v", h, v, want)
		}
	}
	if untold > n/100 {
		t.Errorf("%d of %d found no room", untold, n)
	}
}

// With no room to note it, an error is recorded and counted as unchecked, each time
// that it comes; those that were noted are known as before.
func TestNoRoomToHear(t *testing.T) {
	const room = 8
	for _, all := range []bool{false, true} {
		c := allConfig()
		c.RecordAll = all
		f, a, m := loadFrozen(t, c, frozenNow), newAnswerer(t, c), newModel(c, frozenNow)
		for target := slash16.lo; target < slash16.lo+room; target++ {
			if got := f.agree(t, m, a.errorAbout(target, routerA, 3, 1), "with room"); got.Verdict != loader.Error {
				t.Fatalf("target %#x: got %+v", target, got)
			}
		}
		fillHeard(t, f, m)
		for i := range uint32(3) {
			target := slash16.lo + room
			got := f.agree(t, m, a.errorAbout(target, routerA, 3, 1), "without room")
			if got.Verdict != loader.ErrorUnchecked || got.Errored != (i == 0) || got.Record.Verdict != uint8(loader.ErrorUnchecked) || got.Record.Target != target {
				t.Errorf("time %d: got %+v", i, got)
			}
		}
		if got := f.agree(t, m, a.errorAbout(slash16.lo, routerA, 3, 1), "noted before"); got.Verdict != loader.ErrorDuplicate {
			t.Errorf("noted before: got %+v", got)
		}
		// Replies need no room there.
		if got := f.agree(t, m, a.reply(t, echo{slash16.lo + room, 1, 1, validSent, 9}), "a reply"); got.Verdict != loader.First {
			t.Errorf("a reply: got %+v", got)
		}
		f.agreeInTotal(t, m)
	}
}

// With many answers a reply that cannot be noted is lost, and counted as that.
func TestNoRoomToHearMany(t *testing.T) {
	c := manyConfig()
	f, a, m := loadFrozen(t, c, frozenNow), newAnswerer(t, c), newModel(c, frozenNow)
	for i, step := range []struct {
		from uint32
		want loader.Verdict
	}{{routerA, loader.First}, {routerB, loader.RecordLost}, {routerA, loader.Duplicate}, {routerB, loader.RecordLost}} {
		frame := a.answerFrom(t, step.from, echo{slash16.lo, 5, 1, validSent, 60})
		if got := f.agree(t, m, frame, "an answer"); got.Verdict != step.want {
			t.Errorf("got %+v, not %v", got, step.want)
		}
		if i == 0 {
			fillHeard(t, f, m)
		}
	}
}

// A full ring loses the records of errors, and counts that; the error is not noted,
// nor its target marked, so that it is recorded as soon as there is room.
func TestFullRingOfErrors(t *testing.T) {
	pin(t)
	for _, long := range []bool{false, true} {
		for _, all := range []bool{false, true} {
			c := allConfig()
			c.RecordAll = all
			f, a, m := loadFrozen(t, c, frozenNow), newAnswerer(t, c), newModel(c, frozenNow)
			size := os.Getpagesize()
			if err := f.ShrinkRings(uint32(size)); err != nil {
				t.Fatal(err)
			}
			about := func(target uint32) []byte {
				if !long {
					return a.errorAbout(target, routerA, 3, 1)
				}
				quote := extended(a.quote(probe.Echo, echo{target, 1, 1, validSent, 0}, 2), extension(5))
				return a.frame(icmpError{from: routerA, ttl: 4, icmpType: 3, code: 1, word: [4]byte{1: 32}, quote: quote})
			}
			compare := func(frame []byte, want loader.Verdict, what string) {
				t.Helper()
				e := m.judge(frame)
				e.Code, e.Record, e.Message = "", bpf.ReplyRecord{}, "" // the record stays in the ring
				if got := f.peek(t, frame); got != e || got.Verdict != want {
					t.Errorf("long %t, all %t: %s: got %+v, want %+v", long, all, what, got, e)
				}
			}
			target, fit := slash16.lo, size/loader.RecordBytes
			if long {
				fit = size / (longRecord + 8)
			}
			for range fit {
				compare(about(target), loader.Error, "with room")
				target++
			}
			if long { // what room is left for short records
				for range size % (longRecord + 8) / loader.RecordBytes {
					compare(a.errorAbout(target, routerB, 3, 1), loader.Error, "in the rest")
					target++
				}
			}
			m.full = true
			for range 2 {
				compare(about(target), loader.RecordLost, "without room")
			}
			// A duplicate needs room only where it wants a record.
			if all {
				compare(about(slash16.lo), loader.RecordLost, "a duplicate without room")
			} else {
				for range 2 * fit {
					compare(about(slash16.lo), loader.ErrorDuplicate, "a duplicate that needs no room")
				}
			}
			f.agreeInTotal(t, m)
			f.drain(t)
			m.full = false
			if got := f.agree(t, m, about(target), "room again"); got.Verdict != loader.Error || !got.Errored {
				t.Errorf("long %t, all %t: room again: got %+v", long, all, got)
			}
			f.agreeInTotal(t, m)
		}
	}
}

// With many answers, too, only what wants a record needs room.
func TestFullRingOfMany(t *testing.T) {
	pin(t)
	for _, all := range []bool{false, true} {
		c := manyConfig()
		c.RecordAll = all
		f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
		size := os.Getpagesize()
		if err := f.ShrinkRings(uint32(size)); err != nil {
			t.Fatal(err)
		}
		answer := func(from uint32) loader.Verdict {
			return f.peek(t, a.answerFrom(t, from, echo{slash16.lo, 5, 1, validSent, 60})).Verdict
		}
		from := uint32(routerA)
		for ; from < routerA+uint32(size/loader.RecordBytes); from++ {
			if got := answer(from); got != loader.First {
				t.Fatalf("with room: %v", got)
			}
		}
		want := loader.Duplicate
		if all {
			want = loader.RecordLost
		}
		if got := answer(routerA); got != want {
			t.Errorf("all %t: a duplicate without room: %v", all, got)
		}
		for range 2 {
			if got := answer(from); got != loader.RecordLost {
				t.Errorf("all %t: without room: %v", all, got)
			}
		}
		f.drain(t)
		if got := answer(from); got != loader.First {
			t.Errorf("all %t: room again: %v", all, got)
		}
	}
}

// Every order of replies and errors that meet again and again, about few
// targets: as the model has it.
func TestHeardAtRandom(t *testing.T) {
	rng := testrand.New(t)
	for _, room := range []int{4, 15, 4096} {
		c := allConfig()
		c.RecordAll = rng.IntN(2) == 0
		f, a, m := loadFrozen(t, c, frozenNow), newAnswerer(t, c), newModel(c, frozenNow)
		for range 2000 {
			if m.capacity == 0 && len(m.heard) == room {
				fillHeard(t, f, m)
			}
			target := slash16.lo + rng.Uint32N(6)
			var frame []byte
			if rng.IntN(3) == 0 {
				frame = a.reply(t, echo{target, 1, uint8(rng.IntN(4)), validSent, 9})
			} else {
				frame = a.errorAbout(target, routerA+rng.Uint32N(2), []uint8{3, 11}[rng.IntN(2)], uint8(rng.IntN(2)))
			}
			f.agree(t, m, frame, "at random")
		}
		f.agreeInTotal(t, m)
	}
}
