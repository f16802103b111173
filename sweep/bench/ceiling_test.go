// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"testing"
	"time"

	"xsweep/internal/lab"
)

// The ceiling is what a loop gets that takes all: every probe that was handed over
// has arrived there, and much more cannot be sent.
func TestCeiling(t *testing.T) {
	for _, tx := range []Tx{TxPacket, TxXDP} {
		t.Run(string(tx), func(t *testing.T) {
			l := startLab(t, lab.Config{Responder: lab.Sink})
			s := open(t, Config{Tx: tx, Drain: time.Millisecond})
			unpaced := try(t, s, Load{Rate: ceilingMost, Duration: 100 * time.Millisecond, Unpaced: true})
			stats, err := l.Stats()
			if err != nil {
				t.Fatal(err)
			}
			if unpaced.Sent == 0 || unpaced.Sent != stats.EchoRequests || unpaced.RateOffered != 0 {
				t.Errorf("%d sent, %d arrived, %.0f a second offered", unpaced.Sent, stats.EchoRequests, unpaced.RateOffered)
			}
			c, err := s.Ceiling(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			// (Others may have the machine in either of them.)
			if c.Rate < unpaced.RateSent/20 || c.Rate > 20*unpaced.RateSent || c.Transmitter != tx || c.Threads != 1 || c.Size != DefaultSize {
				t.Errorf("%+v, but %.0f a second were sent before", c, unpaced.RateSent)
			}
			if trial := try(t, s, Load{Rate: uint64(20 * c.Rate), Duration: 100 * time.Millisecond}); trial.Valid {
				t.Errorf("%.0f a second were sent, the ceiling is %.0f", trial.RateSent, c.Rate)
			}
		})
	}
}

// An interrupted measurement has no result.
func TestCeilingInterrupted(t *testing.T) {
	startLab(t, lab.Config{Responder: lab.Sink})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if c, err := open(t, Config{Tx: TxPacket}).Ceiling(ctx); err == nil {
		t.Errorf("%+v", c)
	}
}
