// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gopacket/gopacket/layers"

	"xsweep/internal/testrand"
	"xsweep/sweep/probe"
	"xsweep/sweep/reply"
	"xsweep/sweep/target"
)

var equalAddrs = cmpopts.EquateComparable(netip.Addr{})

// everyBehaviour is an even mix.
func everyBehaviour() Weights {
	w, err := ParseWeights(allBehaviours)
	if err != nil {
		panic(err)
	}
	return w
}

// only is one behaviour.
func only(b Behaviour) (w Weights) {
	w[b] = 1
	return w
}

// randomQuestion is a probe of any kind, size and TTL, the usual ones often.
func randomQuestion(r *rand.Rand) question {
	s := Sweep{HopLimit: 64, Size: 20, DF: r.IntN(2) == 0}
	switch r.IntN(3) {
	case 0:
		s.HopLimit = uint8(1 + r.IntN(26))
	case 1:
		s.HopLimit = uint8(1 + r.IntN(255))
	}
	switch r.IntN(4) {
	case 0:
		s.Size = r.IntN(1473)
	case 1:
		s.Size = r.IntN(120)
	case 2:
		s.Size = int(pathMTUs[r.IntN(len(pathMTUs))]) - ipLen - icmpLen + r.IntN(2)
	}
	return s.question(probe.Kind(r.IntN(int(probe.NumKinds))))
}

// Whatever the behaviour, kind, size and TTL: what the program makes of a probe,
// read by a decoder that knows nothing of it, is what its Go twin says, with the
// flaws that it says and no others.
func TestBehaviourTwin(t *testing.T) {
	r := testrand.New(t)
	for b := range NumBehaviours {
		t.Run(b.String(), func(t *testing.T) {
			c := Config{Live: 1, Duplicate: 0.2, Seed: r.Uint64(), Behaviours: only(b)}
			if r.IntN(2) == 0 {
				c.Loss = 0.2
			}
			checkTwin(t, r, c, 4000)
		})
	}
	t.Run("all", func(t *testing.T) {
		checkTwin(t, r, Config{Live: 0.9, Duplicate: 0.2, Loss: 0.1, Seed: r.Uint64(), Behaviours: everyBehaviour()}, 8000)
	})
}

func checkTwin(t *testing.T, r *rand.Rand, c Config, n int) {
	s, w := load(t, c), newWorld(c)
	probed := map[target.Addr]int{}
	last := target.Addr(r.Uint32())
	var counted Stats
	for range n {
		a := last
		if r.IntN(3) > 0 {
			a = target.Addr(r.Uint32())
		}
		last = a
		q := randomQuestion(r)
		want, copies := w.answer(a, probed[a], q)
		probed[a]++
		originate := r.Uint32()
		sent := request(a, q, r.Uint32(), originate)
		action, frame := s.run(t, sent)
		counted.count(q, c.Host(a), want, copies)
		switch {
		case copies == 0:
			if action != xdpDrop {
				t.Fatalf("%+v: %+v to %v: action %d, want a drop", c, q, a, action)
			}
			continue
		case action != xdpRedirect:
			t.Fatalf("%+v: %+v to %v: action %d, want %+v", c, q, a, action, want)
		}
		got, err := decode(sent, frame)
		if err != nil {
			t.Fatalf("%+v: %+v to %v, want %+v: %v\n% x", c, q, a, want, err, frame[:min(len(frame), 120)])
		}
		if diff := cmp.Diff(flawFaults[want.flaw], got.faults); diff != "" {
			t.Fatalf("%+v: %+v to %v, want %+v: faults (-want +got):\n%s\n% x", c, q, a, want, diff, frame[:min(len(frame), 120)])
		}
		if want.flaw.valid() {
			if diff := cmp.Diff(want.record(a), got.record, equalAddrs); diff != "" {
				t.Fatalf("%+v: %+v to %v: record (-want +got):\n%s", c, q, a, diff)
			}
			checkBody(t, a, q, originate, sent, want, got)
		}
	}
	st := s.mustStats(t)
	checkSums(t, st)
	// What did not come back was silent, unanswered or lost.
	counted.Silent, counted.Unanswered, counted.Lost = st.Silent, st.Unanswered, st.Lost
	if diff := cmp.Diff(counted, st); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

// count adds a probe and what came back to the counters.
func (s *Stats) count(q question, h Host, r answer, copies int) {
	s.Seen++
	*map[probe.Kind]*uint64{
		probe.Echo: &s.EchoRequests, probe.Timestamp: &s.TimestampRequests, probe.Mask: &s.MaskRequests,
	}[q.kind]++
	if copies == 0 {
		return
	}
	s.Answered += uint64(copies)
	s.Duplicated += uint64(copies - 1)
	counter := &s.HostsAnswered
	switch {
	case r.flaw != flawNone:
		counter = &s.Broken
	case r.kind == reply.TimeExceeded:
		counter = &s.TimeExceeded
	case r.kind == reply.Redirect:
		counter = &s.Redirect
	case r.kind == reply.SourceQuench:
		counter = &s.SourceQuench
	case r.kind == reply.ParameterProblem:
		counter = &s.ParameterProblem
	case r.kind == reply.Unreachable && h.Behaviour == PathMTU:
		counter = &s.TooBig
	case r.kind == reply.Unreachable:
		counter = &s.Unreachable
	}
	*counter++
}

// checkBody checks what stands behind the ICMP header.
func checkBody(t *testing.T, a target.Addr, q question, originate uint32, sent []byte, want answer, got decoded) {
	t.Helper()
	switch {
	case want.kind == reply.EchoReply:
		if !bytes.Equal(got.body, sent[42:]) {
			t.Fatalf("the echo reply of %v has other data", a)
		}
	case want.kind == reply.TimestampReply:
		var b []byte
		b = binary.BigEndian.AppendUint32(b, originate)
		b = binary.BigEndian.AppendUint32(b, clockShows(want.clock, originate))
		b = append(b, b[4:]...)
		if !bytes.Equal(got.body, b) {
			t.Fatalf("the timestamp reply of %v has times % x, want % x", a, got.body, b)
		}
	case want.kind.IsError():
		if tagged := q.hasTag && got.quoted >= 48; tagged != want.tagged {
			t.Fatalf("an error about %v quotes %d bytes: tag %v, want %v", a, got.quoted, tagged, want.tagged)
		}
	}
}

// What hashes decide comes in all the forms there are.
func TestVariety(t *testing.T) {
	c := Config{Live: 1, Seed: testrand.New(t).Uint64(), Behaviours: everyBehaviour()}
	w := newWorld(c)
	s := load(t, c)
	seen := map[string]map[any]bool{}
	note := func(what string, value any) {
		if seen[what] == nil {
			seen[what] = map[any]bool{}
		}
		seen[what][value] = true
	}
	for n, a := range slices.Collect(span(0xf0000000, 30_000).All()) {
		q := Sweep{HopLimit: uint8(1 + n%30), Size: 100, DF: true}.question(probe.Kind(n % 3))
		want, copies := w.answer(a, 0, q)
		if copies == 0 {
			continue
		}
		if want.flaw != flawNone {
			note("flaw", want.flaw)
		}
		if !want.flaw.valid() {
			continue
		}
		sent := request(a, q, uint32(n), 0)
		_, frame := s.run(t, sent)
		got, err := decode(sent, frame)
		if err != nil {
			t.Fatal(err)
		}
		r := got.record
		note("kind", r.Kind)
		note("code of "+r.Kind.String(), r.Code)
		if r.Mask.IsValid() {
			note("mask", r.Mask)
		}
		if !r.Kind.IsError() {
			continue
		}
		note("router", r.From)
		note("MTU", r.MTU)
		note("gateway", r.Gateway)
		note("pointer", r.Pointer)
		note("options", int(frame[14]&15)*4-20)
		for _, o := range got.options {
			note("option", o.OptionType)
		}
		if r.Extensions == nil {
			note("quote", min(got.quoted, 49))
			continue
		}
		note("labels", len(r.Extensions.MPLS))
		for _, i := range r.Extensions.Interfaces {
			note("role", i.Role)
			note("interface", [4]bool{i.Index != 0, i.Addr.IsValid(), i.Name != "", i.MTU != 0})
		}
	}
	for what, want := range map[string]int{
		"flaw": int(flawCount), "kind": 8, "mask": 23, "router": 254, "MTU": 6, "pointer": 28,
		"code of unreachable": 16, "code of redirect": 4, "code of time-exceeded": 2, "code of parameter-problem": 3,
		"code of source-quench": 1, "code of echo-reply": 1,
		"options": 11, "quote": 5 /* header, and 8, 12, 20, 28 or more bytes of ICMP */, "labels": 4, "role": 4, "interface": 15,
	} {
		if len(seen[what]) != want {
			t.Errorf("%d values of %s, want %d: %v", len(seen[what]), what, want, seen[what])
		}
	}
	if n := len(seen["gateway"]); n < 200 { // of 254 and none
		t.Errorf("only %d gateways", n)
	}
	for _, o := range []layers.IPv4Option{{OptionType: 1}, {OptionType: 7}, {OptionType: 148}} {
		if !seen["option"][o.OptionType] {
			t.Errorf("IP option %d was never seen: %v", o.OptionType, seen["option"])
		}
	}
}

// Clocks are right, a little or much wrong, or do not count from midnight.
func TestClocks(t *testing.T) {
	w := newWorld(Config{Live: 1})
	var right, near, far, other int
	for a := range span(0xf0000000, 16_000).All() {
		d := w.draw(a, drawClock)
		const now = 1000 // just after midnight, so that clocks wrap around
		shows := clockShows(d, now)
		offset := (int(shows) - now + day + day/2) % day
		offset -= day / 2
		switch {
		case shows>>31 == 1:
			other++
		case shows >= day:
			t.Fatalf("%v shows %d ms since midnight", a, shows)
		case offset == 0:
			right++
		case offset >= -1000 && offset < 1000:
			near++
		case offset >= -6*3600_000 && offset < 6*3600_000:
			far++
		default:
			t.Fatalf("%v is %d ms ahead", a, offset)
		}
	}
	for _, n := range []struct{ got, want int }{{right, 11_000}, {near, 2000}, {far, 2000}, {other, 1000}} {
		if n.got < n.want*9/10 || n.got > n.want*11/10 {
			t.Errorf("%d right, %d nearly, %d far off, %d not standard", right, near, far, other)
		}
	}
}
