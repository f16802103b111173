// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"testing"
	"time"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
	"xsweep/sweep/pace"
	"xsweep/sweep/reply"
)

// lazy is a sink that takes a batch only when it is told to, until it is let go.
type lazy struct {
	keeper
	take, letGo chan struct{}
}

func (l *lazy) Write(records []reply.Record) error {
	select {
	case <-l.take:
	case <-l.letGo:
	}
	return l.keeper.Write(records)
}

// With a sink that does not take records, sending stops before any is lost, and
// goes on when it does; without backpressure the filter goes on, and what is
// lost is counted.
func TestBackpressure(t *testing.T) {
	labtest.Kernel(t)
	for _, tx := range []Tx{TxPacket, TxXDP} {
		for _, backpressure := range []bool{true, false} {
			t.Run(string(tx)+" "+map[bool]string{true: "held", false: "lossy"}[backpressure], func(t *testing.T) {
				startLab(t, lab.Config{Live: 1})
				out := &lazy{take: make(chan struct{}), letGo: make(chan struct{})}
				c := brief(Config{
					Targets: named(t, "240.0.0.0/12"), Tx: tx, Rate: pace.Max, Threads: 1, Backpressure: backpressure,
					Monitor: new(Monitor), MaxRuntime: 20 * time.Second,
				})
				done := make(chan Summary)
				go func() {
					s, err := Run(t.Context(), c, out)
					if err != nil {
						t.Error(err)
					}
					done <- s
				}()
				// Until it is held, or has lost something.
				for before := uint64(0); ; {
					time.Sleep(20 * time.Millisecond) // a look now and then, not a wait for something
					p := c.Monitor.Progress()
					if p.Phase == Sending && p.Accepted > 50_000 && p.Accepted == before || p.Lost > 0 || p.Phase > Sending {
						break
					}
					before = p.Accepted
				}
				close(out.letGo)
				s := <-done
				if err := s.Check(); err != nil {
					t.Error(err)
				}
				lost := s.Packets.Verdicts["record_lost"]
				switch {
				case backpressure && (lost > 0 || s.Rate.Held == 0 || s.Targets.Answered != 1<<20):
					t.Errorf("held for %d ns, lost %d, answered %d", s.Rate.Held, lost, s.Targets.Answered)
				case !backpressure && (lost == 0 || s.Rate.Held != 0 || s.Targets.Answered+lost != 1<<20):
					t.Errorf("held for %d ns, lost %d, answered %d", s.Rate.Held, lost, s.Targets.Answered)
				}
				if uint64(len(out.records)) != s.Targets.Answered {
					t.Errorf("%d records of %d that answered", len(out.records), s.Targets.Answered)
				}
			})
		}
	}
}

// Senders look before all of them together can have filled much of a ring.
func TestLookEvery(t *testing.T) {
	for _, tc := range []struct {
		bytes, threads int
		want           uint64
	}{{16 << 20, 1, 16 << 20 / 48 / 8}, {16 << 20, 2, 16 << 20 / 48 / 16}, {64 << 10, 64, 2}, {64, 4, 1}} {
		if got := lookEvery(tc.bytes, tc.threads); got != tc.want {
			t.Errorf("%d bytes, %d threads: %d, want %d", tc.bytes, tc.threads, got, tc.want)
		}
	}
}
