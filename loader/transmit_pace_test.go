// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab/labtest"
	"xsweep/internal/testrand"
	"xsweep/loader"
	"xsweep/sweep/probe"
	"xsweep/sweep/transmit"
)

// xdpRedirect is what the transmitter returns with a frame (linux/bpf.h).
const xdpRedirect = 4

// frozen is the time of a transmitter whose clock stands.
const frozen = 1 << 30 // ns

// prober is a loaded transmitter that runs turn by turn, over frames that go
// nowhere: without live frames the kernel only looks at what it returns.
type prober struct {
	*loader.Transmit
	ring     *loader.ProbeRing
	template *probe.Template
}

var transmitKey = [16]byte{9, 8, 7}

// newProber loads a transmitter by load and pins the test to its CPU.
func newProber(t *testing.T, load func(loader.TransmitConfig) (*loader.Transmit, error)) *prober {
	t.Helper()
	labtest.Kernel(t)
	source := netip.MustParseAddr("198.18.0.1")
	template, err := probe.NewTemplate(probe.TemplateConfig{
		Key: transmitKey, Source: source, DataLen: probe.PayloadLen,
		SourceMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, NextHop: net.HardwareAddr{2, 0, 0, 0, 0, 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	cpus, err := loader.UsableCPUs()
	if err != nil {
		t.Fatal(err)
	}
	transmit, err := load(loader.TransmitConfig{
		Key: transmitKey, Device: 1, Flows: transmit.KernelFlows(template), Shapes: transmit.KernelShapes(template), Tagged: template.Tagged(), CPUs: cpus[:1],
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := transmit.Close(); err != nil {
			t.Error(err)
		}
	})
	runtime.LockOSThread() // and not unlocked: the thread stays pinned
	var one unix.CPUSet
	one.Set(cpus[0])
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	return &prober{transmit, transmit.Ring(cpus[0]), template}
}

// newFrozenProber loads one whose clock stands.
func newFrozenProber(t *testing.T) *prober {
	t.Helper()
	s := newProber(t, loader.LoadTransmit)
	if err := s.FreezeClock(frozen); err != nil {
		t.Fatal(err)
	}
	return s
}

// turns runs the program so many times over a frame and returns the last action
// and what was written.
func (s *prober) turns(t *testing.T, n int, frame []byte) (action uint32, out []byte) {
	t.Helper()
	out = make([]byte, len(frame))
	action, err := s.Program().Run(&ebpf.RunOptions{Data: frame, DataOut: out, Repeat: uint32(n)})
	if err != nil {
		t.Fatal(err)
	}
	return action, out
}

// sends runs it once and says whether a frame left.
func (s *prober) sends(t *testing.T) bool {
	t.Helper()
	action, _ := s.turns(t, 1, make([]byte, s.template.Len(probe.Echo)))
	if action != xdpDrop && action != xdpRedirect {
		t.Fatalf("action %d", action)
	}
	return action == xdpRedirect
}

// at sets the time of the ring's schedule, in ns.
func (s *prober) at(ns uint64) { s.ring.EpochNs = frozen - ns }

// Each decision of the schedule, at a time that is exact to the nanosecond.
func TestTransmitPace(t *testing.T) {
	const (
		ns    = 256 // the unit of the ring's times
		us    = 1000 * ns
		ms    = 1000 * us
		now   = 500 * ms
		every = 10 * us
	)
	for name, tc := range map[string]struct {
		interval, slack, due uint64
		before               uint64 // the interval before
		excuse               bool
		sends, stalls        bool
		next                 uint64
	}{
		"no rate":                    {0, 0, 7, 0, false, true, false, 7},
		"on time":                    {every, 320 * us, now, every, false, true, false, now + every},
		"early by the least":         {every, 320 * us, now + 1, every, false, false, false, now + 1},
		"early by an interval":       {every, 320 * us, now + every, every, false, false, false, now + every},
		"late within the slack":      {every, 320 * us, now - 100*us, every, false, true, false, now - 100*us + every},
		"late by all of the slack":   {every, 320 * us, now - 320*us, every, false, true, false, now - 320*us + every},
		"late by more":               {every, 320 * us, now - 320*us - 1, every, false, true, true, now - 320*us + every},
		"late by a millisecond":      {every, 5 * ms, now - ms, every, false, true, false, now - ms + every},
		"late by more than that":     {every, 5 * ms, now - ms - 1, every, false, true, true, now + every},
		"excused":                    {every, 320 * us, now - 320*us - 1, every, true, true, false, now - 320*us + every},
		"excused for very long":      {every, 320 * us, 0, every, true, true, false, now + every},
		"excused and on time":        {every, 320 * us, now, every, true, true, false, now + every},
		"no slack, late":             {every, 0, now - 1, every, false, true, true, now + every},
		"one frame in three minutes": {180_000 * ms, 3600_000 * ms, now, 180_000 * ms, false, true, false, now + 180_000*ms},
		"the first of all":           {every, 320 * us, 0, 0, true, true, false, now + every},
		// A new rate begins with nothing saved up, and one frame ahead.
		"raised, very early":       {every, 320 * us, now + 1<<60, 1 << 60, false, false, false, now + every},
		"raised, early":            {every, 320 * us, now + 1, 2 * every, false, false, false, now + every},
		"raised, late":             {every, 320 * us, now - 300*us, 1000 * us, false, false, false, now + every},
		"raised, stalled":          {every, 320 * us, now - ms - 1, 1000 * us, false, false, true, now + every},
		"raised, stalled, excused": {every, 320 * us, now - ms - 1, 1000 * us, true, false, false, now + every},
		"lowered, early":           {every, 320 * us, now + 1, us, false, false, false, now + every},
		"lowered, late":            {every, 320 * us, now - 100*us, us, false, false, false, now + every},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFrozenProber(t)
			r := s.ring
			s.at(now / ns)
			r.Interval, r.Slack, r.Due, r.Paced, r.Produced = tc.interval, tc.slack, tc.due, tc.before, 1
			if tc.excuse {
				r.Idle = 1
			}
			if got := s.sends(t); got != tc.sends || (r.Consumed == 1) != tc.sends {
				t.Errorf("sends %v, %d consumed", got, r.Consumed)
			}
			if tc.interval > 0 && r.Paced != tc.interval {
				t.Errorf("the interval is not kept: %d", r.Paced)
			}
			if r.Due != tc.next || (r.Stalls == 1) != tc.stalls || r.Stalls > 1 {
				t.Errorf("next due at %d, want %d; %d stalls", r.Due, tc.next, r.Stalls)
			}
			if used := r.Excused == r.Idle; used != (tc.sends && tc.interval > 0 || !tc.excuse) {
				t.Errorf("the excuse is used up: %v", used)
			}
		})
	}
}

// However late the program runs, in any window no more frames leave than the
// rate and what may be saved up allow, and without long delays none fewer.
func TestTransmitPaceBurst(t *testing.T) {
	rng := testrand.New(t)
	s := newFrozenProber(t)
	r := s.ring
	const saved = 32 // frames
	for _, interval := range []uint64{100, 1000, 10_000, 250_000} {
		r.Interval, r.Slack = interval*256, saved*interval*256
		r.Idle++
		now, level, sent := uint64(1_000_000), int64(0), uint64(0)
		begin, last, stalls := now, now, r.Stalls
		for range 10_000 {
			switch rng.IntN(200) {
			case 0:
				now += rng.Uint64N(3_000_000)
			case 1, 2, 3:
				now += rng.Uint64N(2 * saved * interval)
			default:
				now += rng.Uint64N(interval)
			}
			s.at(now)
			r.Produced = r.Consumed + 1
			if !s.sends(t) {
				continue
			}
			sent++
			level = max(0, level-int64(now-last)) + int64(interval)
			last = now
			if level > (saved+1)*int64(interval) {
				t.Fatalf("interval %d: %.3f frames beyond the rate", interval, float64(level)/float64(interval))
			}
		}
		if r.Stalls == stalls {
			t.Errorf("interval %d: no stalls", interval)
		}
		r.Idle++
		now += 10_000_000
		s.at(now)
		begin, sent, stalls = now, 0, r.Stalls
		// Half of what may be saved up, or of a millisecond, is caught up with.
		for range 2000 {
			for r.Produced = r.Consumed + 1; s.sends(t); r.Produced = r.Consumed + 1 {
				sent++
			}
			now += rng.Uint64N(min(saved*interval, 1_000_000) / 2)
			s.at(now)
		}
		for r.Produced = r.Consumed + 1; s.sends(t); r.Produced = r.Consumed + 1 {
			sent++
		}
		if want := (now-begin)/interval + 1; r.Stalls != stalls || sent < want || sent > want+saved+1 {
			t.Errorf("interval %d: %d sent, want %d; %d stalls", interval, sent, want, r.Stalls-stalls)
		}
	}
}

// A reading of the clock serves some frames of one batch, not those of the next,
// and never to say that it is too early.
func TestTransmitSharesTheClock(t *testing.T) {
	const (
		batch = 64
		stale = frozen - 1000 // ns
	)
	for name, tc := range map[string]struct {
		turn, fresh, interval, due, hold uint64
		want                             uint64 // what the frame says
	}{
		"in the batch":       {5, 3, 0, 0, 0, stale},
		"the last that may":  {5, 1, 0, 0, 0, stale},
		"used up":            {5, 0, 0, 0, 0, frozen},
		"a new batch":        {0, 3, 0, 0, 0, frozen},
		"due by now":         {5, 3, 256, stale * 256, 0, stale},
		"due since":          {5, 3, 256, (stale + 1) * 256, 0, frozen},
		"held until not now": {5, 3, 0, 0, frozen, frozen},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFrozenProber(t)
			r := s.ring
			r.Batch, r.Turn, r.Fresh, r.NowNs = batch, tc.turn, tc.fresh, stale
			r.Interval, r.Slack, r.Due, r.HoldNs = tc.interval, 1<<40, tc.due, tc.hold
			r.Produced = 1
			action, out := s.turns(t, 1, make([]byte, s.template.Len(probe.Echo)))
			const sentAt = 14 + 20 + 8
			if got := binary.LittleEndian.Uint64(out[sentAt:]); action != xdpRedirect || got != tc.want {
				t.Errorf("action %d, sent at %d, want %d", action, int64(got-frozen), int64(tc.want-frozen))
			}
			if r.Turn != tc.turn+1 {
				t.Errorf("turn %d after %d", r.Turn, tc.turn)
			}
		})
	}
	s := newFrozenProber(t)
	s.ring.Batch, s.ring.Turn = batch, batch-1
	if s.sends(t); s.ring.Turn != 0 {
		t.Errorf("turn %d after the last of a batch", s.ring.Turn)
	}
}

// The same over changes of the rate: in any window no more frames leave than the
// integral of the rate and what may be saved up.
func TestTransmitPaceChanges(t *testing.T) {
	rng := testrand.New(t)
	s := newFrozenProber(t)
	r := s.ring
	const saved = 44 // frames
	r.Idle++
	now, level, most := uint64(1_000_000), 0.0, 0.0
	set := func(interval uint64) { r.Interval, r.Slack = interval*256, saved*interval*256 }
	set(1000)
	drain := func(ns uint64) {
		now += ns
		level = max(0, level-float64(ns)*256/float64(r.Interval))
		s.at(now)
	}
	for range 40_000 {
		if rng.IntN(50) == 0 {
			set([]uint64{100, 1000, 10_000, 100_000, 1_000_000}[rng.IntN(5)])
		}
		switch interval := r.Interval / 256; rng.IntN(20) {
		case 0:
			drain(rng.Uint64N(900_000))
		case 1, 2:
			drain(rng.Uint64N(saved * interval))
		default:
			drain(rng.Uint64N(interval))
		}
		for r.Produced = r.Consumed + 1; s.sends(t); r.Produced = r.Consumed + 1 {
			level++
			most = max(most, level)
		}
	}
	t.Logf("%.3f frames at most", most)
	if most > saved+1.001 {
		t.Errorf("%.3f frames beyond the rate", most)
	}
}
