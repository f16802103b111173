// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
	"xsweep/sweep"
	"xsweep/sweep/pace"
)

// Each sweep is held against its limit, xdp against packet with as many threads,
// and two threads against one; a fault of any sweep is a fault.
func TestLoopRows(t *testing.T) {
	run := func(tx sweep.Tx, threads int, rate, limit, faults float64) *loopRun {
		return &loopRun{tx: tx, threads: threads, rates: series{rate}, limits: series{limit}, faults: series{0, faults}}
	}
	runs := []*loopRun{
		run(sweep.TxPacket, 1, 400, 500, 0), run(sweep.TxXDP, 1, 2000, 4000, 0),
		run(sweep.TxPacket, 2, 600, 800, 1), run(sweep.TxXDP, 2, 3000, 8000, 0),
	}
	const want = `packet, 1 thread, some live / fixed frames, sendmmsg: 0.8
xdp, 1 thread, some live / fixed live frames: 0.5
xdp, 1 thread, some live / packet, 1 thread: 5 ok
packet, 2 threads, some live / fixed frames, sendmmsg: 0.75
xdp, 2 threads, some live / fixed live frames: 0.375
xdp, 2 threads, some live / packet, 2 threads: 5 ok
xdp, 2 threads, some live / xdp, 1 thread: 1.5 ok
every sweep, some live: hosts missed, double or untrue / : - missed
`
	var got strings.Builder
	for _, r := range loopRows("some live", runs) {
		fmt.Fprintln(&got, strings.TrimSpace(fmt.Sprintf("%s / %s: %s %s", r.What, r.Limit, plain(r.Ratio), r.verdict())))
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// What a sweep writes to a file is found out, whether or not it is the truth.
func TestSweepToFile(t *testing.T) {
	labtest.Kernel(t)
	c := lab.Config{Live: 0.3, Seed: 5}
	err := inLab(c, func(*lab.Lab) error {
		for _, tt := range []struct {
			truth lab.Config
			right bool
		}{{c, true}, {lab.Config{Live: 0.3, Seed: 6}, false}} {
			s, v, err := testBench().sweepToFile("240.0.0.0/20", sweep.Config{Rate: pace.Max, Tx: sweep.TxPacket}, tt.truth)
			if err != nil {
				return err
			}
			if s.Targets.Swept != 4096 || v.live == 0 || (v.faults() == 0) != tt.right {
				t.Errorf("seed %d: %d swept, %+v", tt.truth.Seed, s.Targets.Swept, v)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
