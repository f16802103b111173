// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"math"
	"net/netip"
	"time"

	"xsweep/internal/lab"
	hostbench "xsweep/sweep/bench"
)

// hostDrain is how long trials wait for late answers: in a lab there are none.
const hostDrain = 100 * time.Millisecond

// hostbench measures how fast and how exactly `xsweep bench` sends and judges.
func (b *bench) hostbench() ([]row, error) {
	rows, rate, err := b.hostSpeed()
	if err != nil {
		return nil, err
	}
	more, err := b.hostAccount(uint64(rate / 2))
	return append(rows, more...), err
}

// hostAddr is the host that is benchmarked.
var hostAddr = prefix(range16k).First + 7

// openHost opens a session with the host. Where c says nothing the drain time is
// hostDrain and the size that of `xsweep bench`.
func (b *bench) openHost(c hostbench.Config) (*hostbench.Session, error) {
	c.Targets = []netip.Addr{hostAddr.Netip()}
	c.Log = slog.New(slog.DiscardHandler)
	if c.Drain == 0 {
		c.Drain = hostDrain
	}
	if c.Size == 0 {
		c.Size = hostbench.DefaultSize
	}
	return hostbench.Open(b.ctx, c)
}

// accounted runs a trial without a warm-up, and says how many of its probes and
// answers are not accounted for.
func (b *bench) accounted(l *lab.Lab, s *hostbench.Session, load hostbench.Load) (t hostbench.Trial, missing float64, err error) {
	load.Warmup, load.Settle = 0, true
	before, err := l.Stats()
	if err != nil {
		return t, 0, err
	}
	if t, err = s.Trial(b.ctx, load); err != nil {
		return t, 0, err
	}
	after, err := l.Stats()
	return t, unaccounted(t, before, after), err
}

// unaccounted is how many probes of a trial without a warm-up the responder has
// not counted, or not been sent, and how many answers that came to the sender's
// device were not judged as such, or made up. All of them are first answers, in
// time, so that whatever else one was judged shows as missing.
func unaccounted(t hostbench.Trial, before, after lab.Stats) float64 {
	apart := func(a, b uint64) float64 { return math.Abs(float64(a) - float64(b)) }
	arrived := after.EchoRequests - before.EchoRequests
	returned := after.Answered - before.Answered - (after.RepliesRefused - before.RepliesRefused)
	return apart(t.Sent, arrived) + apart(t.Answered, returned)
}
