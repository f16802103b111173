// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"testing"
	"time"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
	"xsweep/sweep"
)

func testBench() *bench { return &bench{ctx: context.Background(), cpus: 1} }

// The hop sees each probe and each reply, and what it sees lies within what
// the sender reports.
func TestHopLiesWithin(t *testing.T) {
	labtest.Kernel(t)
	chain, err := lab.StartChain(lab.Config{Live: 1, InPlace: true})
	if err != nil {
		t.Fatal(err)
	}
	defer chain.Close()
	h, err := newHop(chain, byTarget)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	for _, tx := range []sweep.Tx{sweep.TxPacket, sweep.TxXDP} {
		sink := &rttSink{rtts: make([]time.Duration, hopTargets)}
		s, err := testBench().sweepInto("240.0.0.0/23", sweep.Config{Rate: 10_000, Tx: tx, Cooldown: settle}, sink)
		if err != nil {
			t.Fatal(err)
		}
		beyond, err := h.passages()
		if err != nil {
			t.Fatal(err)
		}
		if s.Targets.Answered != 512 {
			t.Errorf("%s: %d hosts answered, want 512", tx, s.Targets.Answered)
		}
		for k := range 512 {
			if beyond[k] <= 0 || sink.rtts[k] <= beyond[k] {
				t.Errorf("%s: target %d: reported %v, beyond the hop %v", tx, k, sink.rtts[k], beyond[k])
			}
		}
		for k := 512; k < hopTargets; k++ {
			if beyond[k] != 0 {
				t.Fatalf("%s: target %d got no probe and took %v", tx, k, beyond[k])
			}
		}
	}
}
