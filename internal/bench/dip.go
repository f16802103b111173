// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
	"xsweep/sweep"
	"xsweep/sweep/pace"
	"xsweep/sweep/sink"
)

const (
	// dipWindow is how long a dip must last to be one, and dipStart is how long a
	// sweep may take to come to its rate.
	dipWindow = 100 * time.Millisecond
	dipStart  = 500 * time.Millisecond
	// dipTime is how long a sweep sends: long enough for two checkpoints.
	dipTime = 4500 * time.Millisecond
)

// dipRun is one transmitter, with checkpoints and without by turns.
type dipRun struct {
	tx      sweep.Tx
	threads int
	rounds  int
	lasts   time.Duration // that a sweep sends

	with, without       series // rates
	least, leastWithout series // windows, as a share of the median one
	longest             series // checkpoints, in ms
}

func (r *dipRun) name() string { return fmt.Sprintf("%s, %s", r.tx, threadsText(r.threads)) }

// checkpoint measures what checkpoints do to the send rate.
func (b *bench) checkpoint() ([]row, error) {
	runs := []*dipRun{{tx: sweep.TxXDP, threads: b.threads(), rounds: 3, lasts: dipTime}, {tx: sweep.TxPacket, threads: 1, rounds: 2, lasts: dipTime}}
	err := inLab(tenthLive, func(*lab.Lab) error {
		for _, r := range runs {
			for range r.rounds {
				if err := b.dipRound(r); err != nil {
					return fmt.Errorf("%s: %w", r.name(), err)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if inMemory(os.TempDir()) {
		b.note("%s is in memory, where a checkpoint costs nothing: set TMPDIR to a directory on a disk.", os.TempDir())
	}
	var rows []row
	for _, r := range runs {
		rows = append(rows, r.rows()...)
	}
	return rows, nil
}

func (r *dipRun) rows() []row {
	every := fmt.Sprintf("a checkpoint every %v", sweep.DefaultCheckpointEvery)
	return []row{
		newRow(r.name()+", "+every, perSecond, r.with).against("without", r.without).ratioAtLeast(0.98, 0),
		newRow(r.name()+": least window with a checkpoint", "", r.least).against("the same without", r.leastWithout),
		newRow(r.name()+": longest checkpoint", "ms", r.longest).worst(),
	}
}

// dipRound sweeps with checkpoints and without; which of them comes first, changes
// from round to round.
func (b *bench) dipRound(r *dipRun) error {
	var with, without watched
	first := len(r.with)%2 == 0
	for _, saves := range []bool{first, !first} {
		w, err := b.watchedSweep(r, saves)
		if err != nil {
			return err
		}
		if saves {
			with = w
		} else {
			without = w
		}
	}
	least, err := leastShare(windows(with.readings), with.saved)
	if err != nil {
		return err
	}
	leastWithout, err := leastShare(windows(without.readings), with.saved)
	if err != nil {
		return err
	}
	r.with, r.without = append(r.with, with.rate), append(r.without, without.rate)
	r.least, r.leastWithout = append(r.least, least), append(r.leastWithout, leastWithout)
	longest := time.Duration(0)
	for _, s := range with.saved {
		longest = max(longest, s.to-s.from)
	}
	r.longest = append(r.longest, float64(longest)/float64(time.Millisecond))
	return nil
}

// watched is what was seen of a sweep.
type watched struct {
	rate     float64
	readings []reading
	saved    []stretch // checkpoints
}

// reading is how many probes were sent by a time since the sweep's first reading.
type reading struct {
	at   time.Duration
	sent uint64
}

// stretch is a time since the sweep's first reading.
type stretch struct{ from, to time.Duration }

// watchedSweep sends for a while to the largest range, with records to a file.
func (b *bench) watchedSweep(r *dipRun, saves bool) (w watched, err error) {
	dir, err := os.MkdirTemp("", "xsweep-bench-*")
	if err != nil {
		return w, fmt.Errorf("make a directory for results: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file, err := sink.Open(sink.Config{Path: filepath.Join(dir, "live.csv"), Format: sink.CSV, Checkpointed: saves}, nil)
	if err != nil {
		return w, err
	}
	to := &savedSink{Durable: file}
	c := sweep.Config{
		Rate: pace.Max, Tx: r.tx, Threads: r.threads, Cooldown: settle, MaxRuntime: r.lasts, Backpressure: true, Monitor: new(sweep.Monitor),
	}
	if saves {
		if c.Checkpoint, err = sweep.OpenCheckpoint(filepath.Join(dir, "checkpoint")); err != nil {
			return w, err
		}
		defer func() { err = errors.Join(err, c.Checkpoint.Close()) }()
	}
	ended := make(chan struct{})
	watching := make(chan time.Time)
	go func() {
		var first time.Time
		first, w.readings = watchSending(c.Monitor, ended)
		watching <- first
	}()
	s, err := b.sweepInto(wholeRange, c, to)
	close(ended)
	first := <-watching
	w.rate, w.saved = s.Rate.Mean, to.since(first)
	return w, err
}

// watchSending reads a sweep's progress while it sends, until ended is closed.
func watchSending(m *sweep.Monitor, ended <-chan struct{}) (first time.Time, readings []reading) {
	tick := time.NewTicker(dipWindow)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return first, readings
		case <-tick.C:
		}
		p := m.Progress()
		if p.Phase != sweep.Sending {
			continue
		}
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		readings = append(readings, reading{now.Sub(first), p.Accepted})
	}
}

// savedSink notes when checkpoints are made: they begin with a mark of the
// outputs, and end with a word to them.
type savedSink struct {
	sink.Durable
	began []time.Time
	ended []time.Time
}

func (s *savedSink) Mark() (sink.Mark, error) {
	s.began = append(s.began, time.Now())
	return s.Durable.Mark()
}

func (s *savedSink) Committed() error {
	s.ended = append(s.ended, time.Now())
	return s.Durable.Committed()
}

// since are the checkpoints, by the time since a moment.
func (s *savedSink) since(moment time.Time) []stretch {
	var saved []stretch
	for k := range min(len(s.began), len(s.ended)) {
		saved = append(saved, stretch{s.began[k].Sub(moment), s.ended[k].Sub(moment)})
	}
	return saved
}

// window is the rate of a stretch.
type window struct {
	stretch
	rate float64
}

// windows are the rates between readings, once the sweep has come to its own.
func windows(readings []reading) []window {
	var all []window
	for k := 1; k < len(readings); k++ {
		a, b := readings[k-1], readings[k]
		if a.at >= dipStart && b.at > a.at {
			all = append(all, window{stretch{a.at, b.at}, float64(b.sent-a.sent) / (b.at - a.at).Seconds()})
		}
	}
	return all
}

// leastShare is the least rate of those windows that one of the stretches falls
// into, as a share of the median of all windows.
func leastShare(all []window, stretches []stretch) (float64, error) {
	var rates, touched series
	for _, w := range all {
		rates = append(rates, w.rate)
		if slices.ContainsFunc(stretches, func(s stretch) bool { return s.from < w.to && s.to > w.from }) {
			touched = append(touched, w.rate)
		}
	}
	if len(touched) == 0 {
		return 0, errors.New("no checkpoint was made while the sweep sent")
	}
	return slices.Min(touched) / rates.median(), nil
}

// inMemory says whether a directory is on no disk.
func inMemory(dir string) bool {
	var stat unix.Statfs_t
	return unix.Statfs(dir, &stat) == nil && (stat.Type == unix.TMPFS_MAGIC || stat.Type == unix.RAMFS_MAGIC)
}
