// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"xsweep/bpf"
	"xsweep/internal/testrand"
	"xsweep/sweep/target"
)

func TestParseBucket(t *testing.T) {
	for text, want := range map[string]Bucket{
		"50k": {50_000, DefaultBurst}, "1:1": {1, 1}, "1.5k:10": {1500, 10}, "1G:1M": {1e9, 1e6}, "7:2k": {7, 2000},
	} {
		if got, err := ParseBucket(text); err != nil || got != want {
			t.Errorf("%s is read as %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", ":", "0", "1.5", "-1", "1.1G", "50k:", "50k:0", "50k:1.5", "50k:1.1M", "50k:64:1", "50k/s", "max"} {
		if got, err := ParseBucket(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

func TestParseOutage(t *testing.T) {
	for text, want := range map[string]Outage{
		"10s:250ms": {10 * time.Second, 250 * time.Millisecond}, "1ms:1ms": {time.Millisecond, time.Millisecond},
	} {
		if got, err := ParseOutage(text); err != nil || got != want {
			t.Errorf("%s is read as %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "10s", "10s:", ":1s", "1s:2s", "0s:0s", "10s:0s", "10s:-1s", "10:1", "10s:1s:1s"} {
		if got, err := ParseOutage(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

// The arithmetic of the program neither overflows nor lets a bucket be faster
// than it says, at every corner.
func TestBucketArithmetic(t *testing.T) {
	for _, rate := range []uint64{1, 3, 7_000_001, maxBucketRate} {
		for _, burst := range []uint64{1, maxBucketBurst} {
			b := Bucket{rate, burst}
			if b.interval()*rate < uint64(time.Second)<<limitShift {
				t.Errorf("%v: an interval of %d is too short", b, b.interval())
			}
			if b.tolerance()/b.interval() != burst-1 || b.tolerance() >= 1<<61 {
				t.Errorf("%v: a tolerance of %d is not %d intervals", b, b.tolerance(), burst-1)
			}
		}
	}
}

// flood gives requests to the program from two threads for a while, as fast as
// they go, to addresses in turn, and checks that buckets gave all that they have
// meanwhile, and not one more: full to begin with, and then never again, since a
// bucket fills more slowly than a thread can pause.
func flood(t *testing.T, s *simnet, length time.Duration, total Bucket, addrs ...target.Addr) {
	t.Helper()
	now := func() time.Duration {
		d, err := monotonic()
		if err != nil {
			t.Error(err)
		}
		return d
	}
	begin := now()
	for _, a := range addrs { // until all are empty
		for action := uint32(xdpRedirect); action != xdpDrop; {
			action, _ = s.run(t, echoRequest(a, 0))
		}
	}
	before, empty := s.mustStats(t).HostsAnswered, now()
	var threads sync.WaitGroup
	for range 2 {
		threads.Go(func() {
			for k := 0; now()-empty < length; k++ {
				s.run(t, echoRequest(addrs[k%len(addrs)], 0))
			}
			for _, a := range addrs { // what has come since the last turn
				s.run(t, echoRequest(a, 0))
			}
		})
	}
	threads.Wait()
	for _, a := range addrs {
		for action := uint32(xdpRedirect); action != xdpDrop; {
			action, _ = s.run(t, echoRequest(a, 0))
		}
	}
	answered := s.mustStats(t).HostsAnswered
	most := now() - begin
	if got, low := float64(answered-before), length.Seconds()*float64(total.Rate)*(1-1e-5)-2*float64(len(addrs)); got < low {
		t.Errorf("%v answered %.0f in more than %v, want at least %.1f", total, got, length, low)
	}
	if got, high := float64(answered), float64(total.Burst)+most.Seconds()*float64(total.Rate); got > high {
		t.Errorf("%v answered %.0f in less than %v, want at most %.1f", total, got, most, high)
	}
}

// All CPUs share one bucket, which takes exactly its rate and its burst.
func TestCapacity(t *testing.T) {
	b := Bucket{Rate: 20_000, Burst: 4000} // a pause of 200 ms loses nothing
	s := load(t, Config{Live: 1, Capacity: b})
	flood(t, s, 500*time.Millisecond, b, 0xf0000001, 0xf0000002)
	st := s.mustStats(t)
	checkSums(t, st)
	if st.OverCapacity == 0 || st.OverCapacity+st.HostsAnswered != st.EchoRequests {
		t.Errorf("not the rest is over capacity: %+v", st)
	}
}

// Each address has a bucket of its own; those that are 65,536 apart share one.
func TestLimiter(t *testing.T) {
	b := Bucket{Rate: 5000, Burst: 2000}
	for _, tc := range []struct {
		addrs   []target.Addr
		buckets uint64
	}{
		{[]target.Addr{0xf0000001, 0xf0000002, 0xf000ffff}, 3},
		{[]target.Addr{0xf0000001, 0xf0010001}, 1},
	} {
		s := load(t, Config{Live: 1, Limiter: b})
		flood(t, s, 500*time.Millisecond, Bucket{b.Rate * tc.buckets, b.Burst * tc.buckets}, tc.addrs...)
		st := s.mustStats(t)
		checkSums(t, st)
		if st.OverLimit == 0 || st.OverLimit+st.HostsAnswered != st.EchoRequests {
			t.Errorf("not the rest is over the limit: %+v", st)
		}
	}
}

// A bucket that fills by one packet a second has its burst, and hardly more.
func TestBursts(t *testing.T) {
	for _, burst := range []uint64{1, 64, 1000} {
		s := load(t, Config{Live: 1, Capacity: Bucket{1, burst}})
		begin := time.Now()
		for range 2 * burst {
			s.run(t, echoRequest(0xf0000001, 0))
		}
		high := burst + uint64(time.Since(begin).Seconds())
		if got := s.mustStats(t).HostsAnswered; got < burst || got > high {
			t.Errorf("%d answered, want %d to %d", got, burst, high)
		}
	}
}

// Capacity and limiter are about what hosts answer: errors and other kinds of
// probes take nothing.
func TestLimitsOfOthers(t *testing.T) {
	s := load(t, Config{Live: 1, Behaviours: Weights{Unreachable: 1}, Capacity: Bucket{1, 1}, Limiter: Bucket{1, 1}})
	for range 10 {
		s.run(t, echoRequest(0xf0000001, 0))
	}
	if st := s.mustStats(t); st.Unreachable != 10 {
		t.Errorf("errors are limited: %+v", st)
	}
}

// In an outage nothing comes through, and outside all does, by the clock that
// Began tells.
func TestOutage(t *testing.T) {
	const every, length = 20 * time.Millisecond, 5 * time.Millisecond
	o := Outage{every, length}
	began, err := monotonic()
	if err != nil {
		t.Fatal(err)
	}
	s := load(t, Config{Live: 1, Outage: o}, func(spec *ebpf.CollectionSpec) {
		if err := spec.Variables[bpf.SimnetVarEpoch].Set(uint64(began)); err != nil {
			t.Fatal(err)
		}
	})
	if got := s.mustStats(t).Began; got != began {
		t.Errorf("began at %v, want %v", got, began)
	}
	checked := map[bool]int{}
	for deadline := time.Now().Add(patience); min(checked[true], checked[false]) < 100; {
		if time.Now().After(deadline) {
			t.Fatalf("outages and others: %v", checked)
		}
		before, _ := monotonic()
		action, _ := s.run(t, echoRequest(0xf0000001, 0))
		after, _ := monotonic()
		out := o.Out(before - began)
		if after-before > length/2 || o.Out(after-began) != out {
			continue // either would be right
		}
		checked[out]++
		if want := map[bool]uint32{true: xdpDrop, false: xdpRedirect}[out]; action != want {
			t.Fatalf("%v after the beginning: action %d, want %d", before-began, action, want)
		}
	}
	st := s.mustStats(t)
	checkSums(t, st)
	if st.Outage < uint64(checked[true]) {
		t.Errorf("counters %+v, outages %d", st, checked[true])
	}
}

// Loss and duplicates per probe follow from the index in the payload, in
// whatever order and however often it comes.
func TestPerProbe(t *testing.T) {
	r := testrand.New(t)
	c := Config{Live: 1, Loss: 0.3, Duplicate: 0.4, PerProbe: true, Seed: r.Uint64()}
	s := load(t, c)
	const data = 42
	var want Stats
	for range 4000 {
		a, index := target.Addr(0xf0000000+r.Uint32N(2)), r.Uint64N(1000)<<28|1
		q := echoProbe
		q.length = ipLen + icmpLen + 16 + r.IntN(20)
		frame := request(a, q, 42, 0)
		binary.LittleEndian.PutUint64(frame[data+8:], index)
		checksumMessage(frame[34 : 14+q.length])
		action, _ := s.run(t, frame)
		want.Seen++
		want.EchoRequests++
		lost := c.IndexLost(a, index)
		if lost != (action == xdpDrop) {
			t.Fatalf("%+v: index %#x of %v: lost is %v, action %d", c, index, a, lost, action)
		}
		if lost {
			want.Lost++
			continue
		}
		want.HostsAnswered++
		want.Answered++
		if c.IndexDuplicated(a, index) {
			want.Answered++
			want.Duplicated++
		}
	}
	if diff := cmp.Diff(want, s.mustStats(t)); diff != "" {
		t.Errorf("%+v: counters (-want +got):\n%s", c, diff)
	}
	for name, share := range map[string][2]float64{
		"lost":       {float64(want.Lost) / float64(want.Seen), c.Loss},
		"duplicated": {float64(want.Duplicated) / float64(want.HostsAnswered), c.Duplicate},
	} {
		if share[0] < share[1]-0.1 || share[0] > share[1]+0.1 {
			t.Errorf("%s: %.3f, want about %v", name, share[0], share[1])
		}
	}
}

// With fewer than 16 bytes of data there is no index: it goes by number and host.
func TestPerProbeWithoutIndex(t *testing.T) {
	c := Config{Live: 1, Loss: 0.5, Duplicate: 0.5, PerProbe: true, Seed: testrand.New(t).Uint64()}
	s := load(t, c)
	q := echoProbe
	q.length = ipLen + icmpLen + 15
	const a = target.Addr(0xf0000001)
	var got, want []bool
	for k := range 200 {
		action, _ := s.run(t, request(a, q, 42, 0))
		got, want = append(got, action == xdpDrop), append(want, c.Lost(a, k))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v: lost %v, want %v", c, got, want)
	}
	if st := s.mustStats(t); (st.Duplicated > 0) != c.Host(a).Duplicate {
		t.Errorf("%+v: host %+v, counters %+v", c, c.Host(a), st)
	}
}

// With every setting at once the program still is one that the verifier takes,
// far from its limit of a million instructions.
func TestSimnetWithAll(t *testing.T) {
	everything := Weights{}
	for b := range everything {
		everything[b] = 1
	}
	s := load(t, Config{
		Responder: Delay, Live: 0.9, Loss: 0.1, Duplicate: 0.1, PerProbe: true, Behaviours: everything, MeterRate: 1000,
		Capacity: Bucket{1000, 64}, Limiter: Bucket{100, 10}, Outage: Outage{time.Second, time.Millisecond},
	})
	info, err := s.objects.XsweepSimnet.Info()
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := info.VerifiedInstructions(); ok && n > 200_000 {
		t.Errorf("the verifier looked at %d instructions", n)
	} else {
		t.Logf("the verifier looked at %d instructions", n)
	}
}
