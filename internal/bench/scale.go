// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"xsweep/internal/lab"
	"xsweep/sweep"
	"xsweep/sweep/pace"
	"xsweep/sweep/reply"
	"xsweep/sweep/sink"
	"xsweep/sweep/target"
)

const (
	// scaleRounds of the small sweep come before the large one, and as many
	// after it.
	scaleRounds = 6
	// scaleLimit bounds the sweep of 268 million addresses on slow machines.
	scaleLimit = 150 * time.Second
)

// scale measures what an address costs in a sweep of 268 million, and whether
// that sweep finds all there is.
func (b *bench) scale() ([]row, error) {
	config := sweep.Config{Rate: pace.Max, Tx: sweep.TxXDP, Threads: b.threads(), Cooldown: settle, MaxRuntime: scaleLimit}
	var small, large, rate, faults series
	err := inLab(tenthLive, func(*lab.Lab) error {
		before, err := b.smallCosts(config)
		if err != nil {
			return err
		}
		found := &censusSink{census: newCensus(prefix(wholeRange))}
		s, err := b.sweepInto(wholeRange, config, found)
		if err != nil {
			return err
		}
		after, err := b.smallCosts(config)
		if err != nil {
			return err
		}
		small = append(small, append(before, after...).median())
		large = append(large, sendingTime(s)*1e9/float64(s.Probes.Accepted))
		rate = append(rate, s.Rate.Mean)
		v := found.compare(tenthLive.Truth(target.NewSet(found.of), 1))
		if left := s.Targets.Unprobed; left > 0 {
			b.note("%d of %d addresses were not swept in %v: this machine needs longer.", left, found.of.Len(), scaleLimit)
		}
		b.note("%s: %d addresses swept, %d of them live; %d of those missed, %d found twice, %d found that are not live.",
			wholeRange, s.Targets.Swept, v.live, v.missed, v.twice, v.untrue)
		faults = append(faults, v.faults())
		return nil
	})
	if err != nil {
		return nil, err
	}
	cost := newRow("xdp, "+threadsText(b.threads())+", an address of "+wholeRange, "ns", large).against("of "+range1M, small)
	cost.Goal = &goal{OfRatio: true, Bound: 1.1}
	return []row{
		cost,
		newRow("xdp, "+threadsText(b.threads())+", "+wholeRange+", 10 % live", perSecond, rate),
		newRow(wholeRange+": hosts missed, double or untrue", "", faults).worst().atMost(0, 0),
	}, nil
}

// smallCosts are what an address costs in sweeps of a million, in nanoseconds.
// What a sweep takes to start and to end, whatever its size, is left out by
// subtracting a sweep of 65,536 addresses, as it does not show in a long one.
func (b *bench) smallCosts(c sweep.Config) (series, error) {
	var costs series
	for range scaleRounds {
		tiny, err := b.sweepInto(range65k, c, &censusSink{census: newCensus(prefix(range65k))})
		if err != nil {
			return nil, err
		}
		small, err := b.sweepInto(range1M, c, &censusSink{census: newCensus(prefix(range1M))})
		if err != nil {
			return nil, err
		}
		costs = append(costs, (sendingTime(small)-sendingTime(tiny))*1e9/float64(small.Probes.Accepted-tiny.Probes.Accepted))
	}
	return costs, nil
}

// sendingTime is how long a sweep sent, in seconds.
func sendingTime(s sweep.Summary) float64 { return float64(s.Probes.Accepted) / s.Rate.Mean }

// censusSink takes records into a census.
type censusSink struct {
	*census
	counts sink.Counts
}

func (s *censusSink) Write(records []reply.Record) error {
	for _, r := range records {
		s.add(addrOf(r.Addr))
	}
	s.counts.Written += uint64(len(records))
	return nil
}

func (s *censusSink) Counts() sink.Counts {
	c := s.counts
	c.Path = fmt.Sprintf("census of %d addresses", s.of.Len())
	return c
}

func (s *censusSink) Close() error { return nil }
