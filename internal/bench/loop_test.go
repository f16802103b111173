// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
	"xsweep/sweep"
	"xsweep/sweep/pace"
)

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
