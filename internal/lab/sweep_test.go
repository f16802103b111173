// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/testrand"
	"xsweep/sweep/probe"
	"xsweep/sweep/reply"
	"xsweep/sweep/target"
)

var everyKind = []probe.Kind{probe.Echo, probe.Timestamp, probe.Mask}

// find is the first address from first on whose host is as wanted.
func find(t *testing.T, c Config, first target.Addr, wanted func(Host) bool) target.Addr {
	t.Helper()
	for a := first; a < first+100_000; a++ {
		if h := c.Host(a); h.Live && wanted(h) {
			return a
		}
	}
	t.Fatal("there is no such host")
	return 0
}

func records(c Config, a target.Addr, s Sweep) []reply.Record {
	return slices.Collect(c.Records(span(a, 1), s))
}

// What a sweep writes of one host, by hand.
func TestRecordsOfOneHost(t *testing.T) {
	sweep := func(change func(*Sweep)) Sweep {
		s := DefaultSweep()
		s.Kinds, s.Probes, s.Replies = everyKind, 2, AllReplies
		change(&s)
		return s
	}
	type line struct {
		kind      reply.Kind
		attempt   uint8
		size      uint16
		duplicate bool
	}
	const echo, timestamp, mask = reply.EchoReply, reply.TimestampReply, reply.AddressMaskReply
	type wish = func(Host) bool
	once := func(b Behaviour) wish { return func(h Host) bool { return h.Behaviour == b && !h.Duplicate } }
	for _, tc := range []struct {
		name  string
		loss  float64
		host  wish
		sweep Sweep
		want  []line
	}{
		{"the first reply", 0, once(Normal), sweep(func(*Sweep) {}), []line{{echo, 1, 28, false}}},
		{"every reply", 0, once(Normal), sweep(func(s *Sweep) { s.All = true }), []line{
			{echo, 1, 28, false}, {timestamp, 0, 20, true}, {mask, 0, 12, true},
			{echo, 2, 28, true}, {timestamp, 0, 20, true}, {mask, 0, 12, true},
		}},
		{"in the order of kinds", 0, once(Normal), sweep(func(s *Sweep) {
			s.Kinds = []probe.Kind{probe.Mask, probe.Echo}
		}), []line{{mask, 0, 12, false}}},
		{"too small for a tag", 0, once(Normal), sweep(func(s *Sweep) { s.Size = 19 }), []line{{echo, 0, 27, false}}},
		{"answered twice", 0, func(h Host) bool { return h.Behaviour == EchoOnly && h.Duplicate }, sweep(func(s *Sweep) {
			s.Probes, s.All = 1, true
		}), []line{{echo, 1, 28, false}, {echo, 1, 28, true}}},
		{"timestamps only", 0, once(TimestampOnly), sweep(func(s *Sweep) { s.All, s.Probes = true, 1 }), []line{{timestamp, 0, 20, false}}},
		{"errors are not wanted", 0, once(Unreachable), sweep(func(s *Sweep) { s.Replies = PositiveReplies }), nil},
		{"replies are not wanted", 0, once(Normal), sweep(func(s *Sweep) { s.Replies = ErrorReplies }), nil},
		{"nothing", 0, once(SilentHost), sweep(func(s *Sweep) { s.All = true }), nil},
		{"all is lost", 1, once(Normal), sweep(func(s *Sweep) { s.All = true }), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Config{Live: 1, Seed: 9, Duplicate: 0.5, Loss: tc.loss, Behaviours: everyBehaviour()}
			a := find(t, c, 0xf0000000, tc.host)
			var got []line
			for _, r := range records(c, a, tc.sweep) {
				got = append(got, line{r.Kind, r.Attempt, r.Size, r.Duplicate})
				if r.Addr != a.Netip() || r.From != a.Netip() || r.TTL != c.Host(a).TTL || r.Type != r.Kind.Type() {
					t.Errorf("record %+v", r)
				}
				if r.RTT != reply.RTTUnknown || r.ClockOffset != reply.OffsetUnknown || !r.Time.IsZero() {
					t.Errorf("what is not determined is known: %+v", r)
				}
				if r.Mask.IsValid() != (r.Kind == mask) {
					t.Errorf("mask %v of %v", r.Mask, r.Kind)
				}
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(line{})); diff != "" {
				t.Errorf("%v (-want +got):\n%s", a, diff)
			}
		})
	}
}

// Errors: who says what about which probe.
func TestRecordsOfErrors(t *testing.T) {
	c := Config{Live: 1, Seed: 9, Behaviours: everyBehaviour()}
	s := DefaultSweep()
	s.Kinds, s.Probes, s.Replies, s.All = []probe.Kind{probe.Echo, probe.Timestamp}, 2, AllReplies, true
	far := func(b Behaviour) func(Host) bool {
		return func(h Host) bool { return h.Behaviour == b && h.Hops >= 5 }
	}
	kinds := func(records []reply.Record) (kinds []string) {
		for _, r := range records {
			name := r.Kind.String()
			if r.Duplicate {
				name += " again"
			}
			kinds = append(kinds, name)
		}
		return kinds
	}
	for _, tc := range []struct {
		behaviour Behaviour
		want      []string
	}{
		{Unreachable, []string{"unreachable", "unreachable again", "unreachable again", "unreachable again"}},
		{ParameterProblem, []string{"parameter-problem", "parameter-problem again", "parameter-problem again", "parameter-problem again"}},
		{Redirect, []string{"redirect", "timestamp-reply", "echo-reply again", "timestamp-reply again"}},
		{SourceQuench, []string{"source-quench", "timestamp-reply", "echo-reply again", "timestamp-reply again"}},
		{PathMTU, []string{"echo-reply", "timestamp-reply again", "echo-reply again", "timestamp-reply again"}},
		{EchoOnly, []string{"echo-reply", "echo-reply again"}},
	} {
		t.Run(tc.behaviour.String(), func(t *testing.T) {
			a := find(t, c, 0xf0000000, far(tc.behaviour))
			got := records(c, a, s)
			if diff := cmp.Diff(tc.want, kinds(got)); diff != "" {
				t.Errorf("%v (-want +got):\n%s", a, diff)
			}
			hops := c.Host(a).Hops
			for _, r := range got {
				if !r.Kind.IsError() {
					continue
				}
				left := int(r.TTL) + int(hops) - 1
				if !netip.MustParsePrefix("203.0.113.0/24").Contains(r.From) || r.Addr != a.Netip() ||
					left != 64 && left != 255 || r.QuotedTTL != 64-(hops-1) {
					t.Errorf("%d hops: %+v", hops, r)
				}
				if r.Gateway.IsValid() != (r.Kind == reply.Redirect) || (r.MTU != 0) != (r.Kind == reply.Unreachable && r.Code == 4) {
					t.Errorf("gateway %v and MTU %d of %v", r.Gateway, r.MTU, r.Kind)
				}
			}
		})
	}

	t.Run("a probe that is too big", func(t *testing.T) {
		s := s
		s.DF, s.Size, s.Probes = true, 1400-27, 1
		a := find(t, c, 0xf0000000, far(PathMTU))
		got := records(c, a, s)
		if diff := cmp.Diff([]string{"unreachable", "timestamp-reply"}, kinds(got)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		mtu := int(got[0].MTU)
		if got[0].Code != 4 || !slices.Contains([]int{296, 576, 1006, 1280, 1400}, mtu) {
			t.Errorf("%+v", got[0])
		}
		s.Size = mtu - 28
		if diff := cmp.Diff([]string{"echo-reply", "timestamp-reply again"}, kinds(records(c, a, s))); diff != "" {
			t.Errorf("a probe of just the MTU (-want +got):\n%s", diff)
		}
		s.Size++
		if got := records(c, a, s); got[0].Kind != reply.Unreachable {
			t.Errorf("a byte more than the MTU: %+v", got[0])
		}
		s.DF = false
		if got := records(c, a, s); got[0].Kind != reply.EchoReply {
			t.Errorf("without DF: %+v", got[0])
		}
	})

	t.Run("on the way", func(t *testing.T) {
		a := find(t, c, 0xf0000000, far(Normal))
		hops := c.Host(a).Hops
		s := s
		s.Probes, s.All = 1, false
		routers := map[netip.Addr]bool{}
		for s.HopLimit = 1; s.HopLimit <= hops; s.HopLimit++ {
			got := records(c, a, s)
			if len(got) != 1 || got[0].Kind != reply.TimeExceeded || got[0].QuotedTTL != 1 {
				t.Fatalf("TTL %d: %+v", s.HopLimit, got)
			}
			routers[got[0].From] = true
			if left := int(got[0].TTL) + int(s.HopLimit) - 1; left != 64 && left != 255 {
				t.Errorf("TTL %d: arrives with %d", s.HopLimit, got[0].TTL)
			}
		}
		if len(routers) < int(hops)-1 { // two may have the same address
			t.Errorf("%d routers on a way of %d hops", len(routers), hops)
		}
		if got := records(c, a, s); len(got) != 1 || got[0].Kind != reply.EchoReply {
			t.Errorf("TTL %d, one more than routers: %+v", s.HopLimit, got)
		}
		// Nobody on the way knows that the host is silent, but nothing is heard of it.
		s.HopLimit = 1
		if got := records(c, find(t, c, 0xf0000000, far(SilentHost)), s); got != nil {
			t.Errorf("a silent host: %+v", got)
		}
	})
}

// Broken hosts are not heard, but for those whose errors have bad objects only.
func TestRecordsOfBrokenHosts(t *testing.T) {
	c := Config{Live: 1, Seed: 9, Behaviours: only(Broken)}
	s := DefaultSweep()
	s.Replies = AllReplies
	w := newWorld(c)
	valid := 0
	for a := range span(0xf0000000, 5000).All() {
		got := records(c, a, s)
		want := 0
		if f := flawOf(w.draw(a, drawDetail)); f == flawObjectsChecksum || f == flawObjectsLength {
			want = 1
			valid++
		}
		if len(got) != want {
			t.Fatalf("%v: %+v", a, got)
		}
		if want == 1 && (got[0].Kind != reply.Unreachable || got[0].Extensions != nil || got[0].Size < 8+128+4+8) {
			t.Errorf("%v: %+v", a, got[0])
		}
	}
	if valid < 500 || valid > 1000 {
		t.Errorf("%d of 5000 are valid, want about 714", valid)
	}
}

// Lost probes count: which one is redirected does not depend on loss, and if
// that one is lost none is.
func TestRedirectIsOfTheFirstProbe(t *testing.T) {
	c := Config{Live: 1, Loss: 0.5, Seed: 3, Behaviours: only(Redirect)}
	s := DefaultSweep()
	s.Probes, s.Replies, s.All = 4, AllReplies, true
	redirects := 0
	for a := range span(0xf0000000, 1000).All() {
		for k, r := range records(c, a, s) {
			if r.Kind == reply.Redirect {
				redirects++
				if k != 0 || c.Lost(a, 0) {
					t.Errorf("%v: record %d is a redirect, first probe lost %v", a, k, c.Lost(a, 0))
				}
			}
		}
	}
	if redirects < 400 || redirects > 600 {
		t.Errorf("%d redirects for 1000 targets, want about 500", redirects)
	}
}

// Records, counts, answering addresses and truth say the same.
func TestRecordsAgree(t *testing.T) {
	r := testrand.New(t)
	for range 30 {
		c := Config{Live: 0.8, Loss: r.Float64() / 2, Duplicate: r.Float64(), Seed: r.Uint64()}
		if r.IntN(3) > 0 {
			c.Behaviours = everyBehaviour()
		}
		if r.IntN(4) == 0 {
			c = Config{Responder: Kernel}
		}
		s := Sweep{Kinds: everyKind[:1+r.IntN(3)], Probes: 1 + r.IntN(3), HopLimit: uint8(1 + r.IntN(64)), Size: r.IntN(100), Replies: AllReplies}
		set := span(0xc6120000-200+target.Addr(r.IntN(600)), 1000)
		var positive, errors []target.Addr
		var last netip.Addr
		for r := range c.Records(set, s) {
			if r.Addr.Less(last) {
				t.Fatalf("%v behind %v", r.Addr, last)
			}
			last = r.Addr
			a, _ := target.AddrFrom(r.Addr)
			if skipped.Contains(a) {
				t.Fatalf("a record of %v", a)
			}
			switch {
			case !r.Kind.IsError():
				positive = append(positive, a)
			case len(errors) == 0 || errors[len(errors)-1] != a:
				errors = append(errors, a)
			}
		}
		if diff := cmp.Diff(positive, slices.Collect(c.Answering(set, s))); diff != "" {
			t.Errorf("%+v: answering (-want +got):\n%s", c, diff)
		}
		var want Counts
		want.Answered = uint64(len(positive))
		for _, a := range errors {
			if slices.Contains(positive, a) {
				want.Both++
			} else {
				want.ErrorsOnly++
			}
		}
		want.Silent = set.Subtract(skipped).Len() - want.Answered - want.ErrorsOnly
		if got := c.Counts(set, s); got != want {
			t.Errorf("%+v: %+v, want %+v", c, got, want)
		}
		usual := DefaultSweep()
		usual.Probes = s.Probes
		if diff := cmp.Diff(slices.Collect(c.Answering(set, usual)), slices.Collect(c.Truth(set, s.Probes))); diff != "" {
			t.Errorf("%+v: truth (-want +got):\n%s", c, diff)
		}
	}
}

// The first positive reply and the first of each error are written in any case,
// and what else All brings are duplicates.
func TestAllAddsDuplicates(t *testing.T) {
	c := Config{Live: 1, Duplicate: 0.5, Seed: 11, Behaviours: everyBehaviour()}
	s := DefaultSweep()
	s.Kinds, s.Probes, s.Replies = everyKind, 3, AllReplies
	set := span(0xf0000000, 3000)
	few := slices.Collect(c.Records(set, s))
	s.All = true
	var firsts []reply.Record
	duplicates := 0
	for r := range c.Records(set, s) {
		if r.Duplicate {
			duplicates++
		} else {
			firsts = append(firsts, r)
		}
	}
	if diff := cmp.Diff(few, firsts, equalAddrs); diff != "" || duplicates < len(few) {
		t.Errorf("%d duplicates; firsts (-want +got):\n%s", duplicates, diff)
	}
}

func TestSweepValidate(t *testing.T) {
	for _, tc := range []struct {
		change func(*Sweep)
		err    string
	}{
		{func(*Sweep) {}, ""},
		{func(s *Sweep) { s.Size = MaxSize }, ""},
		{func(s *Sweep) { s.Kinds = nil }, "probe: "},
		{func(s *Sweep) { s.Probes = 0 }, "probes 0"},
		{func(s *Sweep) { s.HopLimit = 0 }, "ttl 0"},
		{func(s *Sweep) { s.Size = -1 }, "size -1"},
		{func(s *Sweep) { s.Size = math.MaxInt }, "size 9"},
	} {
		s := DefaultSweep()
		tc.change(&s)
		err := s.Validate()
		if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.err)) {
			t.Errorf("%+v: error %v, want %q", s, err, tc.err)
		}
	}
	for _, r := range []Replies{PositiveReplies, ErrorReplies, AllReplies} {
		if got, err := ParseReplies(r.String()); got != r || err != nil {
			t.Errorf("%v reads back as %v, %v", r, got, err)
		}
	}
	if _, err := ParseReplies("none"); err == nil {
		t.Error("none are replies")
	}
}

func BenchmarkRecords(b *testing.B) {
	c := Config{Live: 1, Behaviours: everyBehaviour()}
	s := DefaultSweep()
	s.Kinds, s.Replies = everyKind, AllReplies
	n := 0
	for range c.Records(span(0, b.N), s) {
		n++
	}
}
