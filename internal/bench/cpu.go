// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"

	"xsweep/internal/lab"
	"xsweep/sweep"
)

// cpuRun is one way to send, whose processor time is measured.
type cpuRun struct {
	tx      sweep.Tx
	threads int
	series
}

// cpu measures the processor time of sweeps.
func (b *bench) cpu() ([]row, error) {
	runs := []*cpuRun{{tx: sweep.TxPacket, threads: 1}, {tx: sweep.TxXDP, threads: 1}}
	if b.threads() > 1 {
		runs = append(runs, &cpuRun{tx: sweep.TxXDP, threads: 2})
	}
	var rows []row
	for _, l := range []struct {
		name   string
		config lab.Config
	}{{"nobody answers", lab.Config{Responder: lab.Sink}}, {"10 % live", tenthLive}} {
		err := inLab(l.config, func(*lab.Lab) error {
			for range infoRounds {
				for _, r := range runs {
					if err := b.cpuRound(r); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, r := range runs {
			row := newRow(string(r.tx)+", "+threadsText(r.threads)+", "+l.name+": a million probes", "s", r.series)
			if r != runs[0] {
				row = row.against("packet, 1 thread", runs[0].series)
			}
			rows = append(rows, row)
		}
		for _, r := range runs {
			r.series = nil
		}
	}
	idle, err := b.idleShare()
	return append(rows, idle...), err
}

// cpuRound appends the processor seconds of a million probes at rate max.
func (b *bench) cpuRound(r *cpuRun) error {
	args := []string{"--tx", string(r.tx), "--tx-threads", strconv.Itoa(r.threads), "--cooldown", settle.String()}
	start, err := b.cpuStart(args)
	if err != nil {
		return err
	}
	fast, err := b.child(false, append(args, "--rate", "max", "--max-runtime", maxLoad.String(), sendRange(r.tx, r.threads))...)
	if err != nil {
		return err
	}
	r.series = append(r.series, (fast.cpu.Seconds()-start)*1e6/float64(fast.accepted))
	return nil
}

// cpuStart is the processor time of a sweep of one address, in seconds: it is
// not owed to probes.
func (b *bench) cpuStart(args []string) (float64, error) {
	r, err := b.child(false, append(args, "240.0.0.1")...)
	return r.cpu.Seconds(), err
}

// idleShare measures how much of a core a slow sweep takes: what four seconds
// more of it cost, so that beginning and end do not count.
func (b *bench) idleShare() ([]row, error) {
	const short, long = 1, 5 // seconds
	shares := map[sweep.Tx]series{}
	err := inLab(lab.Config{Responder: lab.Sink}, func(*lab.Lab) error {
		for range infoRounds {
			for _, tx := range []sweep.Tx{sweep.TxPacket, sweep.TxXDP} {
				args := []string{"--tx", string(tx), "--rate", "10k", "--cooldown", "0"}
				var cpu [2]float64
				for k, seconds := range []int{short, long} {
					r, err := b.child(false, append(args, "--max-runtime", strconv.Itoa(seconds)+"s", range131k)...)
					if err != nil {
						return err
					}
					cpu[k] = r.cpu.Seconds()
				}
				shares[tx] = append(shares[tx], 100*(cpu[1]-cpu[0])/(long-short))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return []row{
		newRow("packet, 10k/s: of a core", "%", shares[sweep.TxPacket]).atMost(5, 0),
		newRow("xdp, 10k/s: of a core", "%", shares[sweep.TxXDP]),
	}, nil
}
