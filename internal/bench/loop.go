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

const loopRounds = 5

// loopRun is one transmitter with one number of threads in the whole loop.
type loopRun struct {
	tx      sweep.Tx
	threads int
	rates   series
	limits  series // of the transmitter, in the same rounds
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
		{"100 % live", allLive, infoRounds},
	} {
		runs, err := b.loopRuns(share.config, share.rounds)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", share.name, err)
		}
		rows = append(rows, loopRows(share.name, runs)...)
	}
	return rows, nil
}

// tenthLive is the network that most figures of the whole loop are for.
var (
	tenthLive = lab.Config{Live: 0.1, Seed: 1}
	allLive   = lab.Config{Live: 1, Seed: 1}
)

// loopRuns measures all transmitters by turns.
func (b *bench) loopRuns(c lab.Config, rounds int) ([]*loopRun, error) {
	var runs []*loopRun
	for k := range b.threads() {
		runs = append(runs, &loopRun{tx: sweep.TxPacket, threads: k + 1}, &loopRun{tx: sweep.TxXDP, threads: k + 1})
	}
	err := inLab(c, func(l *lab.Lab) error {
		limit, err := newLoopLimit(l, c)
		if err != nil {
			return err
		}
		defer limit.close()
		for range rounds {
			for _, r := range runs {
				if err := limit.measure(r); err != nil {
					return err
				}
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

// loopLimit measures what bounds the loop: what each transmitter's limit does
// in the same lab, to where nobody answers. Where everybody does there is none.
type loopLimit struct {
	lab    *lab.Lab
	silent []target.Addr
	live   *fixedLiveFrames
}

func newLoopLimit(l *lab.Lab, c lab.Config) (*loopLimit, error) {
	limit := &loopLimit{lab: l, silent: silent(c)}
	var err error
	if len(limit.silent) > 0 {
		limit.live, err = newFixedLiveFrames(limit.silent[0])
	}
	return limit, err
}

// measure appends the limit of a run.
func (m *loopLimit) measure(r *loopRun) error {
	if m.live == nil {
		return nil
	}
	var rate float64
	var err error
	if r.tx == sweep.TxXDP {
		rate, err = m.live.send(m.lab, r.threads, liveFrames/2)
	} else {
		rate, err = sendFixedFrames(r.threads, m.silent)
	}
	r.limits = append(r.limits, rate)
	return err
}

func (m *loopLimit) close() {
	if m.live != nil {
		m.live.close()
	}
}

// loopRows makes the rows of one share of live hosts. runs are packet and xdp
// with one thread, then with two. Goals are for where there are limits.
func loopRows(name string, runs []*loopRun) []row {
	var rows []row
	for k := 0; k+1 < len(runs); k += 2 {
		packet, xdp := runs[k], runs[k+1]
		p, x := newRow(loopName(packet, name), perSecond, packet.rates), newRow(loopName(xdp, name), perSecond, xdp.rates)
		gain := x.against(packet.name(), packet.rates)
		if len(packet.limits) == 0 {
			rows = append(rows, p, gain)
			continue
		}
		rows = append(rows, p.against(packetLimit, packet.limits), x.against(xdpLimit, xdp.limits), gain.ratioAtLeast(4, 0))
	}
	if len(runs) == 2*manyThreads {
		more := newRow(loopName(runs[3], name), perSecond, runs[3].rates).against(runs[1].name(), runs[1].rates)
		if len(runs[3].limits) > 0 {
			more = more.ratioAtLeast(1.5, 0)
		}
		rows = append(rows, more)
	}
	var faults series
	for _, r := range runs {
		faults = append(faults, r.faults...)
	}
	return append(rows, newRow("every sweep, "+name+": hosts missed, double or untrue", "", faults).worst().atMost(0, 0))
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
