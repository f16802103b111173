// SPDX-License-Identifier: Apache-2.0

package main

import "xsweep/internal/lab"

// cpu measures the processor time of sweeps to a responder that drops.
func (b *bench) cpu() ([]row, error) {
	const slowSeconds = 3
	var perMillion, share series
	err := inLab(lab.Config{Responder: lab.Sink}, func(*lab.Lab) error {
		for range infoRounds {
			// What a sweep of one address takes is not owed to its probes.
			start, err := b.child(false, "--cooldown", "0", "240.0.0.1")
			if err != nil {
				return err
			}
			fast, err := b.child(false, "--rate", "max", "--tx", "packet", "--cooldown", "0", "--max-runtime", maxLoad.String(), range524k)
			if err != nil {
				return err
			}
			perMillion = append(perMillion, (fast.cpu-start.cpu).Seconds()*1e6/float64(fast.accepted))
			slow, err := b.child(false, "--rate", "10k", "--tx", "packet", "--cooldown", "0", "--max-runtime", "3s", range131k)
			if err != nil {
				return err
			}
			share = append(share, 100*(slow.cpu-start.cpu).Seconds()/slowSeconds)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return []row{
		newRow("cpu: a million probes, packet", "s", perMillion),
		newRow("cpu: sweep at 10k/s, of a core", "%", share),
	}, nil
}
