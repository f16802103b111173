// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"

	"xsweep/bpf"
	"xsweep/loader"
	"xsweep/sweep/probe"
)

// A full ring loses a record, and counts that, and nothing else happens: the
// host is found again as soon as there is room.
func TestFullRing(t *testing.T) {
	pin(t)
	for _, recordAll := range []bool{false, true} {
		c := defaultConfig()
		c.RecordAll = recordAll
		f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
		size := os.Getpagesize()
		if err := f.ShrinkRings(uint32(size)); err != nil {
			t.Fatal(err)
		}
		next := slash16.lo
		reply := func(target uint32, attempt uint8) []byte {
			return a.reply(t, echo{target, 5, attempt, validSent, validTTL})
		}
		full := size / loader.RecordBytes
		for i := range full {
			if action := f.execute(t, reply(next, 1)); action != xdpDrop {
				t.Fatalf("reply %d: action %d", i, action)
			}
			next++
		}
		s, err := f.Stats()
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Verdicts[loader.First]; got != uint64(full) {
			t.Fatalf("%d of %d fit into the ring: %v", got, full, s.Verdicts)
		}
		// Now there is no room: twice the same, since the bit stays clear.
		lost := effect{Drop: true, Verdict: loader.RecordLost, TTL: -1, RTT: -1}
		f.last = s
		for range 2 {
			if got := f.peek(t, reply(next, 2)); got != lost {
				t.Errorf("recordAll %t: first reply without room: got %+v", recordAll, got)
			}
		}
		// Repeats and duplicates need room only where they want records.
		repeat, duplicate := f.peek(t, reply(slash16.lo, 2)), f.peek(t, reply(slash16.lo, 1))
		if recordAll {
			if repeat != lost || duplicate != lost {
				t.Errorf("without room: repeat %+v, duplicate %+v", repeat, duplicate)
			}
		} else {
			if repeat.Verdict != loader.Repeat || duplicate.Verdict != loader.Duplicate {
				t.Errorf("without need of room: repeat %+v, duplicate %+v", repeat, duplicate)
			}
		}
		// What is not ours needs no room either.
		if got := f.peek(t, put(reply(next, 1), atICMP+2, 0, 0)); got != passed(loader.Checksum) {
			t.Errorf("no reply: got %+v", got)
		}
		if records := f.drain(t); len(records) != full {
			t.Errorf("%d records came out, not %d", len(records), full)
		}
		// Room again.
		if got := f.run(t, reply(next, 3)); got.Verdict != loader.First || got.Record.Attempt != 3 {
			t.Errorf("with room again: got %+v", got)
		}
		if got := f.run(t, reply(next, 2)); got.Verdict != loader.Repeat {
			t.Errorf("the lost attempt: got %+v, though nothing of it may be remembered", got)
		}
		if recordAll {
			if got := f.run(t, reply(slash16.lo, 2)); got.Verdict != loader.Repeat {
				t.Errorf("the lost repeat: got %+v, though nothing of it may be remembered", got)
			}
		}
	}
}

// peek is run that leaves the rings, and so the record, alone.
func (f *filter) peek(t testing.TB, frame []byte) effect {
	t.Helper()
	return f.compare(t, f.execute(t, frame))
}

// User space that sleeps is woken when an eighth of a ring has filled, by records
// of whatever length.
func TestWake(t *testing.T) {
	c := defaultConfig()
	c.RecordAll, c.RecordErrors = true, true
	a := newAnswerer(t, c)
	e := echo{slash16.lo, 1, 1, 1, 64}
	for _, test := range []struct {
		name  string
		frame []byte
		room  int // that its record takes
	}{
		{"replies", a.reply(t, e), loader.RecordBytes},
		{"errors", a.frame(icmpError{from: routerA, icmpType: 3, quote: a.quote(probe.Echo, e, 1)}), loader.RecordBytes},
		{"errors with extensions", a.frame(icmpError{
			from: routerA, icmpType: 11, word: [4]byte{1: 32}, quote: extended(a.quote(probe.Echo, e, 1), extension(1)),
		}), longRecord + 8},
	} {
		t.Run(test.name, func(t *testing.T) {
			pin(t)
			f := load(t, c)
			// At the deadline a reader also takes what is there.
			const deadline = 5 * time.Second
			start := time.Now()
			woken := make(chan error, len(f.Rings()))
			for _, ring := range f.Rings() {
				ring.SetDeadline(start.Add(deadline))
				go func() {
					var r ringbuf.Record
					woken <- ring.ReadInto(&r)
				}()
			}
			eighth := f.Rings()[0].BufferSize() / 8
			if _, err := f.Program().Run(&ebpf.RunOptions{Data: test.frame, Repeat: uint32(eighth/test.room + 1)}); err != nil {
				t.Fatal(err)
			}
			if err := <-woken; err != nil || time.Since(start) >= deadline {
				t.Errorf("an eighth of a ring is full and nobody woke for %v: %v", time.Since(start), err)
			}
			// The other rings' readers have nothing to read.
			for _, ring := range f.Rings() {
				if err := ring.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			for range len(f.Rings()) - 1 {
				<-woken
			}
		})
	}
}

// A record that a reader gets has the shape that package bpf says.
func TestRecordFields(t *testing.T) {
	c := defaultConfig()
	c.Attempts = 60
	f, a := loadFrozen(t, c, frozenNow), newAnswerer(t, c)
	for i, e := range []echo{
		{slash16.lo, 0, 1, 0, 0},
		{slash16.hi, 1<<56 - 1, 60, frozenNow, 255},
		{0xc613a55a, 42, 17, 1, 128},
	} {
		got := f.run(t, a.reply(t, e)).Record
		want := bpf.ReplyRecord{
			ArrivedNs: frozenNow, RttNs: frozenNow - e.sent, Target: e.target, From: e.target,
			Size: 8 + testDataLen, Ttl: e.ttl, Attempt: e.attempt, Verdict: uint8(loader.First),
		}
		if got != want {
			t.Errorf("reply %d: got %+v, want %+v", i, got, want)
		}
	}
}
