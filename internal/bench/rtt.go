// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"xsweep/internal/lab"
	"xsweep/sweep"
	"xsweep/sweep/pace"
	"xsweep/sweep/reply"
	"xsweep/sweep/sink"
)

const rttRounds = 3

// rttRun is one way to send at one rate.
type rttRun struct {
	name   string
	prefix string
	config sweep.Config

	p50, p99, beyond series // us: quantiles of the error, and the median beyond the hop
}

// rtt measures by how much the RTTs that a sweep reports exceed those that a
// hop between sender and responder sees of the same packets.
func (b *bench) rtt() (rows []row, err error) {
	var runs []*rttRun
	for _, rate := range []struct {
		rate   pace.Rate
		prefix string
	}{{10_000, range16k}, {100_000, range65k}} {
		for _, way := range []struct {
			name   string
			config sweep.Config
		}{
			{"packet, batch 1", sweep.Config{Tx: sweep.TxPacket, Batch: 1}},
			{"packet", sweep.Config{Tx: sweep.TxPacket}},
			{"xdp", sweep.Config{Tx: sweep.TxXDP}},
		} {
			way.config.Rate, way.config.Cooldown = rate.rate, settle
			runs = append(runs, &rttRun{name: fmt.Sprintf("%s, %v/s", way.name, rate.rate), prefix: rate.prefix, config: way.config})
		}
	}
	chain, err := lab.StartChain(lab.Config{Live: 1, InPlace: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, chain.Close()) }()
	h, err := newHop(chain, byTarget)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	for range rttRounds {
		for _, r := range runs {
			if err := b.rttRound(h, r); err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	for _, r := range runs {
		rows = append(rows,
			newRow(r.name+": error p50", "us", r.p50).against("beyond the hop p50", r.beyond),
			newRow(r.name+": error p99", "us", r.p99).against("beyond the hop p50", r.beyond))
	}
	return rows, nil
}

// rttRound sweeps once and compares record by record.
func (b *bench) rttRound(h *hop, r *rttRun) error {
	reported := &rttSink{rtts: make([]time.Duration, hopTargets)}
	s, err := b.sweepInto(r.prefix, r.config, reported)
	if err != nil {
		return err
	}
	beyond, err := h.passages()
	if err != nil {
		return err
	}
	var errs, took series
	for k, rtt := range reported.rtts {
		if rtt == 0 {
			continue
		}
		if beyond[k] == 0 {
			return fmt.Errorf("the hop has not seen the probe or the reply of target %d", k)
		}
		errs = append(errs, microseconds(rtt-beyond[k]))
		took = append(took, microseconds(beyond[k]))
	}
	if uint64(len(errs)) != s.Targets.Swept {
		return fmt.Errorf("only %d of %d targets have a round-trip time", len(errs), s.Targets.Swept)
	}
	r.p50 = append(r.p50, errs.quantile(0.5))
	r.p99 = append(r.p99, errs.quantile(0.99))
	r.beyond = append(r.beyond, took.quantile(0.5))
	return nil
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// rttSink keeps the RTT of each record, by the last 16 bits of the target.
type rttSink struct {
	rtts   []time.Duration
	counts sink.Counts
}

func (s *rttSink) Write(records []reply.Record) error {
	for _, r := range records {
		if r.RTT != reply.RTTUnknown {
			s.rtts[addrOf(r.Addr)%hopTargets] = r.RTT
		}
	}
	s.counts.Written += uint64(len(records))
	return nil
}

func (s *rttSink) Counts() sink.Counts { return s.counts }
func (s *rttSink) Close() error        { return nil }
