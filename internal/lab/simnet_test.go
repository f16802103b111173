// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"xsweep/bpf"
	"xsweep/internal/lab/labtest"
	"xsweep/internal/testrand"
	"xsweep/sweep/probe"
	"xsweep/sweep/target"
)

// Actions of enum xdp_action in linux/bpf.h.
const (
	xdpDrop     = 1
	xdpPass     = 2
	xdpRedirect = 4
)

// load loads simnet without a device, as changed by change.
func load(t *testing.T, c Config, change ...func(*ebpf.CollectionSpec)) *simnet {
	t.Helper()
	labtest.Kernel(t)
	spec, err := simnetSpec(c, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(spec)
	}
	s, err := loadSimnet(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// run gives one frame to the program and returns its action and what has
// become of the frame.
func (s *simnet) run(t *testing.T, frame []byte) (uint32, []byte) {
	t.Helper()
	out := make([]byte, len(frame)+256)
	options := ebpf.RunOptions{Data: frame, DataOut: out}
	action, err := s.objects.XsweepSimnet.Run(&options)
	if err != nil {
		t.Fatal(err)
	}
	return action, options.DataOut
}

func (s *simnet) mustStats(t *testing.T) Stats {
	t.Helper()
	c, err := s.stats()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The program and its Go twin agree on the fate of each probe, on TTLs and on
// who answers twice.
func TestSimnetTwin(t *testing.T) {
	r := testrand.New(t)
	for range 4 {
		c := Config{Live: 0.5 + r.Float64()/2, Loss: r.Float64() / 2, Duplicate: r.Float64(), Seed: r.Uint64()}
		s := load(t, c)
		var want Stats
		probed := map[target.Addr]int{}
		var last target.Addr
		for range 5000 {
			a := target.Addr(r.Uint32())
			if r.IntN(3) == 0 { // again, and so with another fate
				a = last
			}
			last = a
			host, k := c.Host(a), probed[a]
			want.Seen++
			want.EchoRequests++
			request := echoRequest(a, r.Uint32())
			action, reply := s.run(t, request)
			switch {
			case !host.Live:
				want.Silent++
				if action != xdpDrop {
					t.Fatalf("%+v: silent %v: action %d", c, a, action)
				}
				continue
			case c.Lost(a, k):
				want.Lost++
				if action != xdpDrop {
					t.Fatalf("%+v: probe %d of %v should be lost: action %d", c, k, a, action)
				}
			default:
				want.HostsAnswered++
				want.Answered++
				if host.Duplicate {
					want.Answered++
					want.Duplicated++
				}
				if action != xdpRedirect {
					t.Fatalf("%+v: probe %d of %v should be answered: action %d", c, k, a, action)
				}
				if diff := cmp.Diff(wantReply(request, host.TTL), reply); diff != "" {
					t.Fatalf("%+v: reply of %v (-want +got):\n%s", c, a, diff)
				}
			}
			probed[a]++
			if diff := cmp.Diff(want, s.mustStats(t)); diff != "" {
				t.Fatalf("%+v: counters after probe %d of %v (-want +got):\n%s", c, k, a, diff)
			}
		}
	}
}

// One valid request, and what one change makes of it.
func TestSimnetFrames(t *testing.T) {
	const ip, icmp = 14, 34
	request := echoRequest(0xf0000001, 42)
	options := slices.Insert(slices.Clone(request), icmp, 1, 1, 1, 0) // three no-operations, end
	options[ip] = 0x46
	binary.BigEndian.PutUint16(options[ip+2:], uint16(len(options)-ip))
	checksumHeader(options[ip : icmp+4])
	change := func(f func(frame []byte)) []byte {
		frame := slices.Clone(request)
		f(frame)
		return frame
	}
	answered := Stats{Seen: 1, EchoRequests: 1, HostsAnswered: 1, Answered: 1}
	passed, malformed := Stats{Seen: 1, Passed: 1}, Stats{Seen: 1, Malformed: 1}
	for _, tc := range []struct {
		name   string
		frame  []byte
		action uint32
		stats  Stats
	}{
		{"echo request", request, xdpRedirect, answered},
		{"with options", options, xdpRedirect, answered},
		{"with padding", append(slices.Clone(request), 0, 0, 0), xdpRedirect, answered},
		{"code that is not 0", change(func(f []byte) { f[icmp+1] = 3 }), xdpRedirect, answered},
		{"ARP", change(func(f []byte) { f[13] = 6 }), xdpPass, passed},
		{"IPv6", change(func(f []byte) { f[ip] = 0x65 }), xdpPass, passed},
		{"UDP", change(func(f []byte) { f[ip+9] = 17 }), xdpPass, passed},
		{"echo reply", change(func(f []byte) { f[icmp] = 0 }), xdpPass, passed},
		{"timestamp reply", change(func(f []byte) { f[icmp] = 14 }), xdpPass, passed},
		{"address mask reply", change(func(f []byte) { f[icmp] = 18 }), xdpPass, passed},
		{"type 136", change(func(f []byte) { f[icmp] = 136 }), xdpPass, passed},
		{"short timestamp", change(func(f []byte) { f[icmp], f[ip+3] = 13, 39 }), xdpPass, malformed},
		{"short address mask", change(func(f []byte) { f[icmp], f[ip+3] = 17, 31 }), xdpPass, malformed},
		{"more fragments", change(func(f []byte) { f[ip+6] = 0x20 }), xdpPass, passed},
		{"fragment offset", change(func(f []byte) { f[ip+7] = 1 }), xdpPass, passed},
		{"don't fragment", change(func(f []byte) { f[ip+6] = 0x40 }), xdpRedirect, answered},
		{"header too short", change(func(f []byte) { f[ip] = 0x44 }), xdpPass, malformed},
		{"length too long", change(func(f []byte) { f[ip+3]++ }), xdpPass, malformed},
		{"length too short", change(func(f []byte) { f[ip+3] = 27 }), xdpPass, malformed},
		{"cut in the header", request[:ip+19], xdpPass, malformed},
		{"cut in the message", request[:icmp+7], xdpPass, malformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Config{Live: 1}
			s := load(t, c)
			action, out := s.run(t, tc.frame)
			if action != tc.action {
				t.Errorf("action %d, want %d", action, tc.action)
			}
			if diff := cmp.Diff(tc.stats, s.mustStats(t)); diff != "" {
				t.Errorf("counters (-want +got):\n%s", diff)
			}
			if tc.action != xdpRedirect {
				if diff := cmp.Diff(tc.frame, out); diff != "" {
					t.Errorf("the frame has changed (-want +got):\n%s", diff)
				}
				return
			}
			// Adjusted checksums keep an error: compare with how wrong they were.
			before, after := checksumErrors(tc.frame), checksumErrors(out)
			if before != after {
				t.Errorf("checksums: header and message sum to %#x, before to %#x", after, before)
			}
			if out[ip+8] != c.Host(0xf0000001).TTL || out[icmp+4*int(out[ip]&0xf)-20] != 0 {
				t.Errorf("not the host's echo reply: % x", out)
			}
		})
	}
}

// Replies to timestamp and address mask requests have their own length, and a
// checksum that is as wrong as the request's where that has the same.
func TestSimnetQuestions(t *testing.T) {
	c := Config{Live: 1}
	s := load(t, c)
	const icmp = 34
	a := target.Addr(0xf0000001)
	for kind, want := range map[probe.Kind]int{probe.Timestamp: timestampLen, probe.Mask: maskLen} {
		for _, more := range []int{0, 1, 4, 100} {
			q := Sweep{HopLimit: 64}.question(kind)
			q.length += more
			sent := request(a, q, 42, 0)
			_, frame := s.run(t, sent)
			got, err := decode(sent, frame)
			if err != nil || len(got.faults) > 0 || int(got.record.Size) != want || got.record.Type != kind.ReplyType() {
				t.Errorf("%v request of %d bytes: %+v, %v", kind, q.length, got, err)
			}
		}
		sent := request(a, Sweep{HopLimit: 64}.question(kind), 42, 0)
		sent[icmp+2] ^= 1
		before := checksumErrors(sent)
		_, frame := s.run(t, sent)
		if after := checksumErrors(frame); after != before || after[1] == 0xffff {
			t.Errorf("a wrong checksum of a %v request sums to %#x, and that of the reply to %#x", kind, before, after)
		}
	}
	st := s.mustStats(t)
	checkSums(t, st)
	if st.TimestampRequests != 5 || st.MaskRequests != 5 || st.HostsAnswered != 10 {
		t.Errorf("counters %+v", st)
	}
}

// A frame with VLAN tags gets its host's reply, but no error.
func TestSimnetTaggedFrames(t *testing.T) {
	c := Config{Live: 1}
	s := load(t, c)
	a := target.Addr(0xf0000000)
	for c.Host(a).Hops == 0 {
		a++
	}
	for _, tc := range []struct {
		ttl    uint8
		action uint32
		want   Stats
	}{
		{64, xdpRedirect, Stats{Seen: 1, EchoRequests: 1, HostsAnswered: 1, Answered: 1}},
		{1, xdpDrop, Stats{Seen: 2, EchoRequests: 2, HostsAnswered: 1, Answered: 1, Failed: 1}},
	} {
		q := echoProbe
		q.ttl = tc.ttl
		frame := slices.Insert(request(a, q, 42, 0), 12, 0x81, 0, 0, 1)
		if action, _ := s.run(t, frame); action != tc.action {
			t.Errorf("TTL %d: action %d, want %d", tc.ttl, action, tc.action)
		}
		if diff := cmp.Diff(tc.want, s.mustStats(t)); diff != "" {
			t.Errorf("TTL %d: counters (-want +got):\n%s", tc.ttl, diff)
		}
	}
}

func TestSimnetThresholds(t *testing.T) {
	for _, tc := range []struct {
		config Config
		want   Stats
	}{
		{Config{}, Stats{Silent: 500}},
		{Config{Live: 1}, Stats{HostsAnswered: 500, Answered: 500}},
		{Config{Live: 1, Duplicate: 1}, Stats{HostsAnswered: 500, Answered: 1000, Duplicated: 500}},
		{Config{Live: 1, Loss: 1}, Stats{Lost: 500}},
		{Config{Responder: Sink}, Stats{Sunk: 500}},
	} {
		s := load(t, tc.config)
		for a := range span(0xf0000000, 500).All() {
			s.run(t, echoRequest(a, 0))
		}
		tc.want.Seen, tc.want.EchoRequests = 500, 500
		if diff := cmp.Diff(tc.want, s.mustStats(t)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tc.config, diff)
		}
	}
}

// With no room to count, each probe is the first of its address, and that is
// counted.
func TestSimnetStateFull(t *testing.T) {
	c := Config{Live: 1, Loss: 0.5}
	s := load(t, c, func(spec *ebpf.CollectionSpec) { spec.Maps[bpf.SimnetMapArrivals].MaxEntries = 4 })
	for k := range uint32(4) {
		if err := s.objects.Arrivals.Put(k, uint32(0)); err != nil {
			t.Fatal(err)
		}
	}
	a := target.Addr(0xf0000000)
	for range 3 {
		want := uint32(xdpRedirect)
		if c.Lost(a, 0) {
			want = xdpDrop
		}
		if action, _ := s.run(t, echoRequest(a, 0)); action != want {
			t.Errorf("action %d, want %d", action, want)
		}
	}
	if got := s.mustStats(t).StateFull; got != 3 {
		t.Errorf("state_full is %d, want 3", got)
	}
}
