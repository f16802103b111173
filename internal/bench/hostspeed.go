// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"xsweep/internal/lab"
	"xsweep/sweep"
	hostbench "xsweep/sweep/bench"
	"xsweep/sweep/pace"
)

const (
	hostRounds = 3
	// answeredLimit is the limit of a load that is all answered.
	answeredLimit = "fixed live frames, answered"
	// judgedLimit is the same loop with the judge in it.
	judgedLimit = "fixed live frames, answered and judged"
	// hostLimitFrames is how many of them a thread sends in a round.
	hostLimitFrames = 3_000_000
	// hostLook is how long a trial is that says how much can be done.
	hostLook = time.Second
	// hostTries is how often it is tried, as a receiver that gets no CPU for some
	// hundred microseconds loses answers.
	hostTries = 3
	// hostStep is by how much a trial offers less than the one before, until one
	// keeps its rate, and hostSteps how many there are at most.
	hostStep, hostSteps = 0.9, 5
)

// hostRun is a number of threads with a size of probes.
type hostRun struct {
	threads, size int
	// rates are what was sent and answered without pacing, kept the rates
	// of trials that were valid; limits, judged and sweeps those beside them.
	rates, kept, limits, judged, sweeps series
	missing                             series // of every trial
}

func (r *hostRun) name() string { return "xdp, " + threadsText(r.threads) }

// hostSpeed measures how many probes a second are sent and judged, all of them
// answered, and returns the median of one thread besides.
func (b *bench) hostSpeed() (rows []row, rate float64, err error) {
	var runs []*hostRun
	for k := range b.threads() {
		runs = append(runs, &hostRun{threads: k + 1, size: hostbench.MinSize})
	}
	runs = append(runs, &hostRun{threads: 1, size: hostbench.DefaultSize})
	err = inLab(allLive, func(l *lab.Lab) error {
		for range hostRounds {
			for _, r := range runs {
				if err := b.hostRound(l, r); err != nil {
					return fmt.Errorf("%s, %d bytes: %w", r.name(), r.size, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return hostSpeedRows(runs), runs[0].rates.median(), nil
}

// hostSpeedRows makes the rows of the speed.
func hostSpeedRows(runs []*hostRun) (rows []row) {
	var missing series
	for _, r := range runs {
		missing = append(missing, r.missing...)
		if r.size != hostbench.MinSize {
			rows = append(rows, newRow(fmt.Sprintf("%s, %d bytes: sent and judged, all answered", r.name(), r.size), perSecond, r.rates).
				against(fmt.Sprintf("%s, %d bytes", answeredLimit, r.size), r.limits))
			continue
		}
		all := newRow(r.name()+": sent and judged, all answered", perSecond, r.rates)
		rows = append(rows, all.against(answeredLimit, r.limits).ratioAtLeast(0.8, 0), all.against("sweep, 100 % live", r.sweeps))
		if r.plain() {
			rows = append(rows, all.against(judgedLimit, r.judged).ratioAtLeast(0.8, 0),
				newRow(r.name()+": highest valid trial", perSecond, r.kept).against("as above", r.rates))
		}
	}
	return append(rows, newRow("every trial: probes not accounted for", "", missing).worst().atMost(0, 0))
}

// hostRound measures a run, the limit and the sweep by turns.
func (b *bench) hostRound(l *lab.Lab, r *hostRun) error {
	limit, err := r.measureLimits(l)
	if err != nil {
		return err
	}
	if r.size == hostbench.MinSize {
		s, _, err := b.sweepToFile(sendRange(sweep.TxXDP, r.threads), sweep.Config{Rate: pace.Max, Tx: sweep.TxXDP, Threads: r.threads}, allLive)
		if err != nil {
			return err
		}
		r.sweeps = append(r.sweeps, s.Rate.Mean)
	}
	s, err := b.openHost(hostbench.Config{MaxRate: uint64(limit), Size: r.size, Tx: hostbench.TxXDP, Threads: r.threads})
	if err != nil {
		return err
	}
	return errors.Join(b.hostTrials(l, s, r, limit), s.Close())
}

// plain says that it is one thread with the smallest probes, which more is
// asked about.
func (r *hostRun) plain() bool { return r.threads == 1 && r.size == hostbench.MinSize }

// measureLimits appends what bounds a run, and returns the wider bound.
func (r *hostRun) measureLimits(l *lab.Lab) (limit float64, err error) {
	frames, err := newAnsweredFrames(hostAddr, r.size)
	if err != nil {
		return 0, err
	}
	defer frames.close()
	if limit, err = frames.send(l, r.threads, hostLimitFrames); err != nil {
		return 0, err
	}
	r.limits = append(r.limits, limit)
	if r.plain() {
		judged, err := frames.sendJudged(l, hostLimitFrames)
		if err != nil {
			return 0, err
		}
		r.judged = append(r.judged, judged)
	}
	return limit, nil
}

// hostTrials sends as fast as frames are taken. With one thread it then offers
// less, until the rate is kept.
func (b *bench) hostTrials(l *lab.Lab, s *hostbench.Session, r *hostRun, limit float64) error {
	t, missing, err := b.accounted(l, s, hostbench.Load{Rate: uint64(2 * limit), Duration: hostLook, Unpaced: true})
	for tries := 1; err == nil && t.Lost > 0 && tries < hostTries; tries++ {
		r.missing = append(r.missing, missing)
		t, missing, err = b.accounted(l, s, hostbench.Load{Rate: uint64(2 * limit), Duration: hostLook, Unpaced: true})
	}
	if err != nil {
		return err
	}
	if t.Lost > 0 {
		return fmt.Errorf("%d of %d probes were lost, in the last of %d trials that all lost some: their rate says nothing", t.Lost, t.Sent, hostTries)
	}
	r.rates, r.missing = append(r.rates, t.RateAnswered), append(r.missing, missing)
	if !r.plain() {
		return nil
	}
	rate := t.RateAnswered
	for range hostSteps {
		rate *= hostStep
		if t, missing, err = b.accounted(l, s, hostbench.Load{Rate: uint64(rate), Duration: hostLook / 2}); err != nil {
			return err
		}
		r.missing = append(r.missing, missing)
		if t.Valid && t.Lost == 0 {
			r.kept = append(r.kept, t.RateAnswered)
			return nil
		}
	}
	r.kept = append(r.kept, 0) // the machine is too busy to keep any
	return nil
}
