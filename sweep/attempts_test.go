// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"xsweep/internal/lab"
	"xsweep/internal/route"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
	"xsweep/sweep/target"
	"xsweep/sweep/transmit"
)

// halting stands in for a transmitter that takes everything, but halts for a
// while before one of its batches, as a machine does that gives the thread no
// time.
type halting struct {
	waiter *pace.Waiter
	batch  int
	haltAt int // batches before the halt
	halt   time.Duration

	batches int
	handed  uint64
	sent    map[uint32][]int64 // when, by target
}

func (h *halting) Batch() int              { return h.batch }
func (h *halting) Idle()                   {}
func (h *halting) SetRate(pace.Rate) error { return nil }
func (h *halting) Drain() (int, error)     { return 0, nil }
func (h *halting) Handed() uint64          { return h.handed }
func (h *halting) Counts() transmit.Counts { return transmit.Counts{} }
func (h *halting) Close() error            { return nil }
func (h *halting) Send(p []probe.Probe) (int, error) {
	if h.batches == h.haltAt {
		h.waiter.Until(h.waiter.Now() + int64(h.halt))
	}
	h.batches++
	h.handed += uint64(len(p))
	for _, p := range p {
		h.sent[p.Target] = append(h.sent[p.Target], h.waiter.Now())
	}
	return len(p), nil
}

const batch = 8

func haltingSender(plan *Plan, parts *parts, stop *pace.Stop, haltAt int, halt time.Duration) *sender {
	w := pace.NewWaiter(pace.NewClock(), stop)
	return &sender{
		plan: plan, parts: parts, skips: new(route.Skips), waiter: w, ledger: new(ledger),
		tx: &halting{waiter: w, batch: batch, haltAt: haltAt, halt: halt, sent: map[uint32][]int64{}},
	}
}

// Any two probes to one target are the probe interval apart at least, also if
// a pass was held up in its middle: the next one must not catch up with it.
func TestAttemptsApart(t *testing.T) {
	const targets, interval = 256, 20 * time.Millisecond
	stop, err := pace.NewStop()
	if err != nil {
		t.Fatal(err)
	}
	defer stop.Close()
	for name, tc := range map[string]struct {
		haltAt  int
		halt    time.Duration
		threads int
	}{
		"no halt":                         {-1, 0, 1},
		"a short halt":                    {targets / batch / 2, 10 * time.Millisecond, 1},
		"a halt longer than the interval": {targets / batch / 2, 30 * time.Millisecond, 1},
		"a halt at the end":               {targets/batch - 1, 30 * time.Millisecond, 1},
		"a halt in the second pass":       {targets/batch + 5, 15 * time.Millisecond, 1},
		"three threads":                   {5, 10 * time.Millisecond, 3},
		"as many threads as can be":       {0, 10 * time.Millisecond, 16},
	} {
		t.Run(name, func(t *testing.T) {
			plan := newPlan(t, Config{
				Targets: named(t, "240.0.0.0/24"), Probes: 3, ProbeInterval: interval, Threads: tc.threads,
			})
			parts := newParts(plan, batch, 0, 0)
			sent := map[uint32][]int64{}
			firstPass := uint64(0)
			senders := make([]*sender, tc.threads)
			var threads sync.WaitGroup
			for k := range senders {
				threads.Go(func() {
					runtime.LockOSThread() // and not unlocked: its timers are changed
					senders[k] = haltingSender(plan, parts, stop, tc.haltAt, tc.halt)
					if err := senders[k].send(); err != nil {
						t.Error(err)
					}
				})
			}
			threads.Wait()
			for _, s := range senders {
				firstPass += s.progress.swept
				for addr, times := range s.tx.(*halting).sent {
					sent[addr] = append(sent[addr], times...)
				}
			}
			if len(sent) != targets || firstPass != targets {
				t.Errorf("%d targets were probed, %d counted, want %d", len(sent), firstPass, targets)
			}
			least := time.Hour
			for addr, times := range sent {
				if len(times) != 3 {
					t.Fatalf("%#x got %d probes", addr, len(times))
				}
				slices.Sort(times)
				for i := 1; i < len(times); i++ {
					least = min(least, time.Duration(times[i]-times[i-1]))
				}
			}
			if least < interval {
				t.Errorf("two probes to one target were only %v apart, not %v", least, interval)
			}
		})
	}
}

// The same on the wire: records tell when each probe has left, and they are of
// every reply.
func TestRunAttemptsApart(t *testing.T) {
	const probes, interval = 3, 50 * time.Millisecond
	// Arrival times are times of day, which run a little differently from the
	// clock that probes are sent by.
	const clocks = 2 * time.Millisecond
	l := startLab(t, lab.Config{Live: 1})
	s, records := undisturbed(t, l, Config{
		Targets: named(t, "240.6.0.0/23"), Probes: probes, ProbeInterval: interval, RecordAll: true, Rate: 20_000,
	})
	sent := map[netip.Addr]*[probes + 1]time.Time{}
	for _, r := range records {
		if sent[r.Addr] == nil {
			sent[r.Addr] = new([probes + 1]time.Time)
		}
		sent[r.Addr][r.Attempt] = r.Time.Add(-r.RTT)
	}
	verdicts(t, &s, map[string]uint64{"first": 512, "repeat": 1024})
	for addr, times := range sent {
		for attempt := 2; attempt <= probes; attempt++ {
			if gap := times[attempt].Sub(times[attempt-1]); gap < interval-clocks {
				t.Errorf("%v: attempts %d and %d are %v apart, not %v", addr, attempt-1, attempt, gap, interval)
			}
		}
	}
}

// A shard beyond the number of targets has nothing to send, in any pass.
func TestAttemptsOfNothing(t *testing.T) {
	runtime.LockOSThread() // and not unlocked: its timers are changed
	stop, err := pace.NewStop()
	if err != nil {
		t.Fatal(err)
	}
	defer stop.Close()
	plan := newPlan(t, Config{
		Targets: named(t, "240.0.0.0/30"), Probes: 3, ProbeInterval: time.Millisecond, Shard: target.Shard{Index: 5, Count: 5},
	})
	s := haltingSender(plan, newParts(plan, batch, 0, 0), stop, -1, 0)
	if err := s.send(); err != nil || len(s.tx.(*halting).sent) != 0 {
		t.Errorf("%d targets were probed, %v", len(s.tx.(*halting).sent), err)
	}
}
