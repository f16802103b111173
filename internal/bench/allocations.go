// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"

	"xsweep/internal/lab"
	"xsweep/sweep"
	"xsweep/sweep/pace"
)

// allocationRounds is how often allocations are counted.
const allocationRounds = 2

// mostAllocations a probe: that of a batch of 64 would be 16 times as many.
const mostAllocations = 0.001

// allocations measures what sweeps allocate for each probe while they send,
// and for each probe with its answer while they send and collect.
func (b *bench) allocations() ([]row, error) {
	var rows []row
	for _, l := range []struct {
		name   string
		config lab.Config
	}{{"nobody answers", lab.Config{Responder: lab.Sink}}, {"every host answers", lab.Config{Live: 1}}} {
		var packet, xdp series
		err := inLab(l.config, func(*lab.Lab) error {
			for range allocationRounds {
				perProbe, err := b.allocated(range65k, range524k, sweep.Config{Rate: pace.Max, Tx: sweep.TxPacket, Cooldown: settle})
				if err != nil {
					return err
				}
				packet = append(packet, perProbe)
				perProbe, err = b.allocated(range524k, range4M, sweep.Config{Rate: pace.Max, Tx: sweep.TxXDP, Cooldown: settle})
				if err != nil {
					return err
				}
				xdp = append(xdp, perProbe)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		rows = append(rows,
			newRow("packet, "+l.name, "", packet).atMost(mostAllocations, 0),
			newRow("xdp, "+l.name, "", xdp).atMost(mostAllocations, 0))
	}
	return rows, nil
}

// allocated sweeps a few and then many addresses: what the second sweep
// allocates more is owed to its probes, as both are set up alike. It returns
// that per probe.
func (b *bench) allocated(few, many string, c sweep.Config) (perProbe float64, err error) {
	less, err := b.mallocs(few, c)
	if err != nil {
		return 0, err
	}
	more, err := b.mallocs(many, c)
	if err != nil {
		return 0, err
	}
	return (float64(more.mallocs) - float64(less.mallocs)) / float64(more.probes-less.probes), nil
}

type allocated struct {
	probes, mallocs uint64
}

// mallocs counts the heap objects that the whole process allocates during a
// sweep. Losses do not matter here: their place is the group loop.
func (b *bench) mallocs(prefixText string, c sweep.Config) (allocated, error) {
	var before, after runtime.MemStats
	sink := discard()
	runtime.ReadMemStats(&before)
	s, err := b.sweepInto(prefixText, c, sink)
	runtime.ReadMemStats(&after)
	return allocated{s.Probes.Accepted, after.Mallocs - before.Mallocs}, err
}
