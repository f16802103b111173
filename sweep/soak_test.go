// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"os"
	"testing"
	"time"

	"xsweep/internal/lab"
	"xsweep/sweep/pace"
	"xsweep/sweep/reply"
	"xsweep/sweep/sink"
	"xsweep/sweep/target"
)

// soakEnv says how long TestSoak sweeps, as a Go duration.
const soakEnv = "XSWEEP_TEST_SOAK"

// soakFirst is the first address of what it sweeps.
const soakFirst = target.Addr(0xf0000000)

// tally is a sink that remembers who was found, one bit a target.
type tally struct {
	found          []uint64
	written, twice uint64
}

func (k *tally) Write(records []reply.Record) error {
	for _, r := range records {
		a, _ := target.AddrFrom(r.Addr)
		n := uint64(a - soakFirst)
		if k.has(n) {
			k.twice++
		}
		k.found[n/64] |= 1 << (n % 64)
	}
	k.written += uint64(len(records))
	return nil
}

func (k *tally) has(n uint64) bool { return k.found[n/64]&(1<<(n%64)) != 0 }

func (k *tally) Counts() sink.Counts {
	return sink.Counts{Path: "tallied", Format: "none", Written: k.written}
}

func (k *tally) Close() error { return nil }

// A long sweep from inside the kernel, at the highest rate at which the link and
// this machine lose nothing (of 4 million and its halves), finds exactly who is
// there. At any rate, whom it does not find is just whose answer the link lost.
func TestSoak(t *testing.T) {
	lasts := 30 * time.Second
	if text := os.Getenv(soakEnv); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil || lasts <= 0 {
			t.Fatalf("%s=%q: must be a duration such as 30s", soakEnv, text)
		}
	}
	world := lab.Config{Live: 0.1, Seed: 12}
	l := startLab(t, world)
	for rate := pace.Rate(4_000_000); rate > 1000; rate /= 2 {
		if soak(t, l, world, rate, min(lasts, time.Second/4)) && soak(t, l, world, rate, lasts) || t.Failed() {
			return
		}
	}
	t.Error("no rate is free of loss")
}

// soak sweeps for so long at a rate, and says whether that was reached and the
// link lost nothing.
func soak(t *testing.T, l *lab.Lab, world lab.Config, rate pace.Rate, lasts time.Duration) bool {
	t.Helper()
	n := uint64(float64(rate) * lasts.Seconds())
	span := target.Range{First: soakFirst, Last: soakFirst + target.Addr(n) - 1}
	before := labStats(t, l)
	kept := &tally{found: make([]uint64, n/64+1)}
	s, err := Run(t.Context(), Config{Targets: []target.Target{{Range: span}}, Tx: TxXDP, Rate: rate, Cooldown: time.Second / 2, Seed: n}, kept)
	if err != nil {
		t.Fatal(err)
	}
	after := labStats(t, l)
	missed := after.RepliesRefused - before.RepliesRefused
	t.Logf("%v: %.0f a second for %v, %d answers lost by the link, %d stalls, %d tried again",
		rate, s.Rate.Mean, lasts, missed, s.Rate.Stalls, s.Probes.Retries)
	checkDevice(t, &s)
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	if got := after.Seen - before.Seen; s.Probes.Accepted != n || got != n || s.Probes.Unconfirmed != 0 || kept.twice > 0 || len(s.Losses()) > 0 {
		t.Errorf("%d probes arrived of %d, %+v; %d found twice, losses %q", got, n, s.Probes, kept.twice, s.Losses())
	}
	var truth uint64
	for a := range world.Truth(target.NewSet(span), 1) {
		if truth++; !kept.has(uint64(a - soakFirst)) {
			missed--
		}
	}
	if missed != 0 || kept.written > truth {
		t.Errorf("%d found of %d, which the link does not explain: %d", kept.written, truth, int64(missed))
	}
	return after.RepliesRefused == before.RepliesRefused && s.Rate.Mean > 0.9*float64(rate)
}
