// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"net/netip"
	"slices"
	"testing"

	"xsweep/internal/lab"
	"xsweep/sweep/pace"
	"xsweep/sweep/target"
)

// Two threads that share a queue as fast as they can overrun it: what it had no
// room for is sent again, nothing twice, and nothing is lost.
func TestXDPOneQueue(t *testing.T) {
	targets := named(t, "240.16.0.0/16")
	world := lab.Config{Live: 0.1, Queues: 1, Seed: 4}
	var truth []netip.Addr
	for a := range world.Truth(target.SetOf(targets), 1) {
		truth = append(truth, a.Netip())
	}
	l := startLab(t, world)
	retries := uint64(0)
	for range 10 {
		s, records := undisturbed(t, l, Config{Targets: targets, Tx: TxXDP, Threads: 2, Rate: pace.Max, RecordAll: true})
		var found []netip.Addr
		for _, r := range records {
			found = append(found, r.Addr)
		}
		if !slices.Equal(sorted(found), truth) {
			t.Errorf("%d found, want %d", len(found), len(truth))
		}
		verdicts(t, &s, map[string]uint64{"first": uint64(len(truth))})
		if s.Probes.Accepted != s.Probes.Due || len(s.Losses()) > 0 || s.Probes.Unconfirmed > 0 {
			t.Errorf("probes %+v, losses %q", s.Probes, s.Losses())
		}
		t.Logf("%.0f a second, %d tried again", s.Rate.Mean, s.Probes.Retries)
		if retries += s.Probes.Retries; retries > 0 || t.Failed() {
			break
		}
	}
	if retries == 0 && !t.Failed() {
		t.Error("the queue was never full: nothing is shown")
	}
}
