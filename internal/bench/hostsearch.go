// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"xsweep/internal/lab"
	hostbench "xsweep/sweep/bench"
)

const (
	hostSearches = 5
	// leastSearches is how few of them may stand in for all, where other load has
	// spoilt the others.
	leastSearches = 3
	// hostSearchTrial is how long full-length trials of a search are, and
	// hostSearchWarmup the warm-up of each.
	hostSearchTrial  = 200 * time.Millisecond
	hostSearchWarmup = 50 * time.Millisecond
)

// hostSearch searches for known capacities.
func (b *bench) hostSearch() (rows []row, err error) {
	for _, c := range []struct {
		name   string
		bucket lab.Bucket
	}{
		{"50k/s", lab.Bucket{Rate: 50_000, Burst: 64}},
		{"500k/s", lab.Bucket{Rate: 500_000, Burst: 256}},
	} {
		var found series
		err := inLab(lab.Config{Live: 1, Seed: 1, Capacity: c.bucket}, func(*lab.Lab) error {
			s, err := b.openHost(hostbench.Config{MaxRate: 2 * c.bucket.Rate, Tx: hostbench.TxXDP})
			if err != nil {
				return err
			}
			found, err = b.searchRepeats(c.name, func() (hostbench.Throughput, error) { return b.searchNDR(s, 2*c.bucket.Rate) })
			return errors.Join(err, s.Close())
		})
		if err != nil {
			return nil, fmt.Errorf("capacity of %s: %w", c.name, err)
		}
		rows = append(rows, hostSearchRows("search, capacity "+c.name, found, lossless(c.bucket, hostSearchWarmup+hostSearchTrial))...)
	}
	return rows, nil
}

// lossless is the highest rate at which a token bucket that is full at first
// refuses nothing for some time.
func lossless(b lab.Bucket, over time.Duration) float64 {
	return float64(b.Rate) + float64(b.Burst)/over.Seconds()
}

// searchRepeats are the lower bounds of hostSearches searches. One that ended at
// what the generator could send, since others had the CPU, says nothing of the
// target and does not count. In place of the first ones there are others.
func (b *bench) searchRepeats(name string, search func() (hostbench.Throughput, error)) (found series, err error) {
	limited := 0
	for len(found) < hostSearches && len(found)+limited < hostSearches+2 {
		t, err := search()
		switch {
		case err != nil:
			return nil, err
		case t.Limit != "":
			limited++
		default:
			found = append(found, float64(t.Lower))
		}
	}
	if limited > 0 {
		b.note("Capacity of %s: %d searches ended at what the generator could send, and do not count.", name, limited)
	}
	if len(found) < leastSearches {
		return nil, fmt.Errorf("only %d of %d searches found an upper bound: the machine is too busy", len(found), len(found)+limited)
	}
	return found, nil
}

// searchNDR searches for the highest rate without loss.
func (b *bench) searchNDR(s *hostbench.Session, most uint64) (hostbench.Throughput, error) {
	results, _, err := hostbench.Search(b.ctx, s, hostbench.SearchConfig{
		Goals: []hostbench.Goal{{Exceed: 0.5, Trial: hostSearchTrial, Sum: 3 * hostSearchTrial, Width: 0.005}},
		Min:   1000, Max: most, Warmup: hostSearchWarmup,
	})
	if err != nil {
		return hostbench.Throughput{}, err
	}
	return results[0], nil
}

// hostSearchRows holds what repeats of a search found against the truth.
func hostSearchRows(name string, found series, truth float64) []row {
	var off series
	for _, ndr := range found {
		off = append(off, 100*math.Abs(ndr/truth-1))
	}
	spread := 100 * (slices.Max(found) - slices.Min(found)) / found.median()
	return []row{
		newRow(name+": NDR", perSecond, found).against("truth", slices.Repeat(series{truth}, len(found))),
		newRow(name+": NDR off by", "%", off).worst().atMost(2, 0),
		newRow(name+": spread of the repeats", "%", series{spread}).atMost(2, 0),
	}
}
