// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"

	"xsweep/internal/lab"
	"xsweep/sweep"
	"xsweep/sweep/pace"
)

const (
	// packetRounds of half a million probes tell more than half as many of a
	// million: what disturbs one round does not touch the others.
	packetRounds = 7
	// infoRounds is how often figures without a goal are measured.
	infoRounds = 2
)

// packet measures the transmitter that writes Ethernet frames against frames
// that are ready, and what a sweep allocates while it sends.
func (b *bench) packet() ([]row, error) {
	var ready, sent, raw, loop, allocations series
	full := sweep.Config{Rate: pace.Max, Tx: sweep.TxPacket}
	err := inLab(lab.Config{Responder: lab.Sink}, func(*lab.Lab) error {
		fixed, err := newFixedFrames()
		if err != nil {
			return err
		}
		defer fixed.close()
		for range packetRounds {
			rate, err := fixed.send(int(prefix(range524k).Len()), maxLoad)
			if err != nil {
				return err
			}
			ready = append(ready, rate)
			rate, perProbe, err := b.allocations(full)
			if err != nil {
				return err
			}
			sent = append(sent, rate)
			allocations = append(allocations, perProbe)
		}
		for range infoRounds {
			s, err := b.sweep(range524k, sweep.Config{Rate: pace.Max, Tx: sweep.TxRaw})
			if err != nil {
				return err
			}
			raw = append(raw, s.Rate.Mean)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = inLab(lab.Config{Live: 1}, func(*lab.Lab) error {
		for range infoRounds {
			s, err := b.sweep(range524k, full)
			if err != nil {
				return err
			}
			loop = append(loop, s.Rate.Mean)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return []row{
		newRow("packet: sweep at rate max", perSecond, sent).against("fixed frames", ready).ratioAtLeast(0.85, 0.95),
		newRow("packet: allocations a probe", "", allocations).atMost(0.001, 0),
		newRow("packet: every host answers", perSecond, loop).against("fixed frames", ready),
		newRow("raw: sweep at rate max", perSecond, raw).against("fixed frames", ready),
	}, nil
}

// allocations sweeps a few and then many addresses: what the second sweep
// allocates more is owed to its probes, as both are set up alike. It returns
// that per probe, and the second sweep's rate.
func (b *bench) allocations(c sweep.Config) (rate, perProbe float64, err error) {
	few, err := mallocs(func() (sweep.Summary, error) { return b.sweep(range65k, c) })
	if err != nil {
		return 0, 0, err
	}
	many, err := mallocs(func() (sweep.Summary, error) { return b.sweep(range524k, c) })
	if err != nil {
		return 0, 0, err
	}
	more := float64(many.mallocs) - float64(few.mallocs)
	return many.summary.Rate.Mean, more / float64(many.summary.Probes.Accepted-few.summary.Probes.Accepted), nil
}

type allocated struct {
	summary sweep.Summary
	mallocs uint64
}

// mallocs counts the heap objects that the whole process allocates during a
// sweep.
func mallocs(sweeping func() (sweep.Summary, error)) (allocated, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s, err := sweeping()
	runtime.ReadMemStats(&after)
	return allocated{s, after.Mallocs - before.Mallocs}, err
}
