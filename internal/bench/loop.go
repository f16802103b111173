// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"xsweep/internal/lab"
	"xsweep/sweep"
	"xsweep/sweep/pace"
	"xsweep/sweep/sink"
	"xsweep/sweep/target"
)

const (
	loopRounds = 5
	// allRounds is how often the loop is measured where every host answers.
	allRounds = 3
)

// loopRun is one transmitter with one number of threads in the whole loop.
type loopRun struct {
	tx      sweep.Tx
	threads int
	rates   series
	faults  series // addresses that were missed, found twice or made up
}

func (r *loopRun) name() string { return fmt.Sprintf("%s, %s", r.tx, threadsText(r.threads)) }

// loop measures the whole loop: probes go out, hosts answer, the filter judges
// and records are written to a file, which is then compared with the truth.
func (b *bench) loop() ([]row, error) {
	var rows []row
	for _, share := range []struct {
		name   string
		config lab.Config
		rounds int
	}{
		{"10 % live", tenthLive, loopRounds},
		{"100 % live", lab.Config{Live: 1, Seed: 1}, allRounds},
	} {
		runs, err := b.loopRuns(share.config, share.rounds)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", share.name, err)
		}
		rows = append(rows, loopRows(share.name, runs, share.config.Live < 1)...)
	}
	return rows, nil
}

// tenthLive is the network that most figures of the whole loop are for.
var tenthLive = lab.Config{Live: 0.1, Seed: 1}

// loopRuns measures all transmitters by turns.
func (b *bench) loopRuns(c lab.Config, rounds int) ([]*loopRun, error) {
	var runs []*loopRun
	for k := range b.threads() {
		runs = append(runs, &loopRun{tx: sweep.TxPacket, threads: k + 1}, &loopRun{tx: sweep.TxXDP, threads: k + 1})
	}
	err := inLab(c, func(*lab.Lab) error {
		for range rounds {
			for _, r := range runs {
				s, v, err := b.sweepToFile(sendRange(r.tx, r.threads), sweep.Config{Rate: pace.Max, Tx: r.tx, Threads: r.threads}, c)
				if err != nil {
					return err
				}
				r.rates = append(r.rates, s.Rate.Mean)
				r.faults = append(r.faults, v.faults())
			}
		}
		return nil
	})
	return runs, err
}

// loopRows makes the rows of one share of live hosts. runs are packet and xdp
// with one thread, then with two.
func loopRows(name string, runs []*loopRun, goals bool) []row {
	var rows []row
	for k := 0; k+1 < len(runs); k += 2 {
		packet, xdp := runs[k], runs[k+1]
		gain := newRow(loopName(xdp, name), perSecond, xdp.rates).against(packet.name(), packet.rates)
		if goals {
			gain = gain.ratioAtLeast(4, 0)
		}
		rows = append(rows, newRow(loopName(packet, name), perSecond, packet.rates), gain)
	}
	if len(runs) == 4 {
		more := newRow(loopName(runs[3], name), perSecond, runs[3].rates).against(runs[1].name(), runs[1].rates)
		if goals {
			more = more.ratioAtLeast(1.5, 0)
		}
		rows = append(rows, more)
	}
	var faults series
	for _, r := range runs {
		faults = append(faults, r.faults...)
	}
	return append(rows, newRow("each sweep of them, "+name+": hosts missed, double or untrue", "", faults).worst().atMost(0, 0))
}

// loopName is how the loop's figures of a run are called.
func loopName(r *loopRun, share string) string { return r.name() + ", " + share }

// sweepToFile sweeps with records written to a file, and compares the file
// with the truth of the lab. Losses are not an error: they are found out.
func (b *bench) sweepToFile(prefixText string, c sweep.Config, truth lab.Config) (s sweep.Summary, v verdict, err error) {
	file, err := scratchFile()
	if err != nil {
		return s, v, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	c.Cooldown = settle
	if s, err = b.sweepInto(prefixText, c, sink.NewWriter(file, sink.Config{Path: "results"})); err != nil {
		return s, v, err
	}
	if left := s.Targets.Swept; left != prefix(prefixText).Len() {
		return s, v, fmt.Errorf("sweep %s: only %d addresses were swept in %v", prefixText, left, maxLoad)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return s, v, fmt.Errorf("read the results: %w", err)
	}
	found := newCensus(prefix(prefixText))
	if err := found.read(file); err != nil {
		return s, v, err
	}
	return s, found.compare(truth.Truth(target.NewSet(found.of), 1)), nil
}

// scratchFile makes a file without a name: it is gone when it is closed, and
// when this program ends in whatever way.
func scratchFile() (*os.File, error) {
	file, err := os.CreateTemp("", "xsweep-bench-*")
	if err != nil {
		return nil, fmt.Errorf("make a file for results: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("unlink the file for results: %w", err), file.Close())
	}
	return file, nil
}
