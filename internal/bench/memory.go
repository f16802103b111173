// SPDX-License-Identifier: Apache-2.0

package main

import "xsweep/internal/lab"

// memory measures the anonymous memory of a sweep of 268 million addresses,
// one in ten of which answers.
func (b *bench) memory() ([]row, error) {
	var peak series
	err := inLab(lab.Config{Live: 0.1, Seed: 1}, func(*lab.Lab) error {
		r, err := b.child(true, "--rate", "max", "--max-runtime", "5s", "--cooldown", "1s", wholeRange)
		peak = append(peak, float64(r.peakAnon)/(1<<20))
		return err
	})
	if err != nil {
		return nil, err
	}
	return []row{newRow("memory: RssAnon, "+wholeRange, "MiB", peak).atMost(64, 0)}, nil
}
