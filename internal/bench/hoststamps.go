// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"xsweep/internal/lab"
	hostbench "xsweep/sweep/bench"
)

const (
	hostStampRounds = 3
	// hostStampTime is how long a trial is whose latencies are compared: at 100k a
	// second its probes and those of the warm-up are fewer than hopProbes.
	hostStampTime   = time.Second
	hostStampWarmup = 100 * time.Millisecond
)

// stampRun is one way to send at one rate.
type stampRun struct {
	name string
	tx   hostbench.Tx
	rate uint64
	goal bool

	p50, p99           series // us: of the trial's latencies less that of the hop's
	beyond50, beyond99 series // us: of the hop's
	toHop50, toHop99   series // us: from the stamp to the hop
}

// hostStamps measures by how much the latencies of a trial exceed those that a hop
// between sender and responder sees of the same probes.
func (b *bench) hostStamps() (rows []row, err error) {
	runs := []*stampRun{
		{name: "xdp, 10k/s", tx: hostbench.TxXDP, rate: 10_000, goal: true},
		{name: "xdp, 100k/s", tx: hostbench.TxXDP, rate: 100_000, goal: true},
		{name: "packet, 1k/s", tx: hostbench.TxPacket, rate: 1000, goal: true},
		{name: "packet, 10k/s", tx: hostbench.TxPacket, rate: 10_000, goal: true},
		{name: "packet, 100k/s", tx: hostbench.TxPacket, rate: 100_000, goal: true},
	}
	chain, err := lab.StartChain(lab.Config{Live: 1, Seed: 1, InPlace: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, chain.Close()) }()
	h, err := newHop(chain, byIndex)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	for range hostStampRounds {
		for _, r := range runs {
			if err := b.stampRound(h, r); err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	for _, r := range runs {
		rows = append(rows, r.rows()...)
	}
	return rows, nil
}

// rows makes the rows of a run.
func (r *stampRun) rows() []row {
	p50 := newRow(r.name+": RTT p50 beyond the hop's", "us", r.p50).against("hop p50", r.beyond50)
	p99 := newRow(r.name+": RTT p99 beyond the hop's", "us", r.p99).against("hop p99", r.beyond99)
	if r.goal {
		p50, p99 = p50.atMost(2, 0), p99.atMost(5, 0)
	}
	return []row{p50, p99,
		newRow(r.name+": from stamp to hop p50", "us", r.toHop50),
		newRow(r.name+": from stamp to hop p99", "us", r.toHop99)}
}

// stampRound runs one trial and compares the distributions.
func (b *bench) stampRound(h *hop, r *stampRun) error {
	t, passed, err := b.stampTrial(h, hostbench.Config{Tx: r.tx, MaxRate: r.rate}, hostbench.Load{Rate: r.rate, Duration: hostStampTime})
	if err != nil {
		return err
	}
	var toHop, beyond series
	for _, p := range passed {
		toHop, beyond = append(toHop, p.toHop()), append(beyond, p.beyond())
	}
	r.p50 = append(r.p50, float64(t.RTT.P50)/1000-beyond.quantile(0.5))
	r.p99 = append(r.p99, float64(t.RTT.P99)/1000-beyond.quantile(0.99))
	r.beyond50, r.beyond99 = append(r.beyond50, beyond.quantile(0.5)), append(r.beyond99, beyond.quantile(0.99))
	r.toHop50, r.toHop99 = append(r.toHop50, toHop.quantile(0.5)), append(r.toHop99, toHop.quantile(0.99))
	return nil
}

// stampTrial runs a trial and reads what the hop saw of the probes that count.
func (b *bench) stampTrial(h *hop, c hostbench.Config, load hostbench.Load) (t hostbench.Trial, passed []probePassage, err error) {
	if err := h.forget(); err != nil {
		return t, nil, err
	}
	s, err := b.openHost(c)
	if err != nil {
		return t, nil, err
	}
	load.Warmup, load.Settle = hostStampWarmup, true
	t, err = s.Trial(b.ctx, load)
	if err = errors.Join(err, s.Close()); err != nil {
		return t, nil, err
	}
	all, err := h.probes()
	if err != nil {
		return t, nil, err
	}
	passed, err = counted(all, t)
	return t, passed, err
}

// counted are the probes of a trial that count: the last ones, as those of the
// warm-up go before. All must have been answered, and seen both ways.
func counted(all []probePassage, t hostbench.Trial) ([]probePassage, error) {
	if uint64(len(all)) < t.Sent {
		return nil, fmt.Errorf("the hop has seen only %d probes of %d", len(all), t.Sent)
	}
	passed := all[uint64(len(all))-t.Sent:]
	for i, p := range passed {
		if p.BackNs == 0 || p.IndexAttempt-passed[0].IndexAttempt != uint64(i)<<8 {
			return nil, fmt.Errorf("the hop has not seen probe %d or its reply", i)
		}
	}
	if t.Lost > 0 {
		return nil, fmt.Errorf("%d of %d probes were lost", t.Lost, t.Sent)
	}
	return passed, nil
}
