// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"xsweep/internal/lab"
	"xsweep/sweep"
	"xsweep/sweep/pace"
)

// biasRate leaves the link idle most of the time, so that frames wait for
// their own batch alone.
const biasRate = pace.Rate(100_000)

// bias measures by how much batches lengthen round-trip times.
func (b *bench) bias() ([]row, error) {
	batches := []int{1, 4, 8, 16}
	rounds := make([]series, len(batches))
	err := inLab(lab.Config{Live: 1}, func(*lab.Lab) error {
		for range infoRounds {
			for k, batch := range batches {
				s, err := b.sweep(range65k, sweep.Config{Rate: biasRate, Tx: sweep.TxPacket, Batch: batch})
				if err != nil {
					return err
				}
				rounds[k] = append(rounds[k], float64(s.RTT.P50)/1000)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var rows []row
	for k, batch := range batches {
		r := newRow(fmt.Sprintf("rtt p50 at batch %d, %v/s", batch, biasRate), "us", rounds[k])
		if k > 0 {
			r = r.against("batch 1", rounds[0])
		}
		rows = append(rows, r)
	}
	return rows, nil
}
