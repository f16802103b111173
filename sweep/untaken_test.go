// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"runtime"
	"slices"
	"testing"

	"xsweep/sweep/pace"
)

// What a transmitter took and did not hand over is not done: the run that goes on
// counts its targets, and no target of an earlier run is taken off.
func TestUntaken(t *testing.T) {
	const targets = 256
	for _, tc := range []struct {
		probes   int
		previous spans
		left     uint64
		done     spans
		swept    uint64
	}{
		{1, nil, 0, spans{{0, 256}}, 256},
		{1, nil, 100, spans{{0, 156}}, 156},
		{1, spans{{0, 10}, {150, 200}}, 100, spans{{0, 156}}, 156 - 10 - 6},
		{2, nil, 100, spans{{0, 412}}, 256},
		{2, nil, 300, spans{{0, 212}}, 212},
		{2, spans{{0, 256}}, 300, spans{{0, 212}}, 0},
	} {
		stop, err := pace.NewStop()
		if err != nil {
			t.Fatal(err)
		}
		plan := newPlan(t, Config{Targets: named(t, "240.0.0.0/24"), Probes: tc.probes, ProbeInterval: -1, Threads: 1})
		s := haltingSender(plan, newParts(plan, batch, 0, 0), stop, -1, 0)
		s.progress.previous = tc.previous
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // and not unlocked: its timers are changed
			done <- s.send()
		}()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		s.recent = nil
		for i := range uint64(len(s.parts.ends) * tc.probes) { // as if nothing had been handed over
			first := i * batch % targets
			s.recent = append(s.recent, given{part: part{pass: uint32(i * batch / targets), first: first, next: first + batch}})
		}
		s.untaken(tc.left)
		if got := s.ledger.standing().done; !slices.Equal(s.ledger.done, tc.done) {
			t.Errorf("%+v: done %v, %v", tc, s.ledger.done, got)
		}
		if n := s.progress.taken; n != uint64(targets*tc.probes)-tc.left {
			t.Errorf("%+v: %d taken", tc, n)
		}
		if s.progress.swept != tc.swept {
			t.Errorf("%+v: %d swept", tc, s.progress.swept)
		}
		stop.Close()
	}
}

// Parts are remembered until they are handed over, and no longer.
func TestRemember(t *testing.T) {
	h := &halting{}
	s := &sender{tx: h}
	for i := range uint64(10_000) {
		s.taken += batch
		s.remember(part{first: i})
		h.handed = s.taken - min(s.taken, 50*batch)
		if n := len(s.recent); n > 300 || n < 50 && i >= 50 || s.recent[n-1].part.first != i {
			t.Fatalf("%d parts are remembered after %d", n, i)
		}
	}
}
