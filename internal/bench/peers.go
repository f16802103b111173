// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os/exec"
	"strings"

	"xsweep/internal/lab"
	"xsweep/sweep"
	"xsweep/sweep/pace"
	"xsweep/sweep/target"
)

const (
	// peerSteps is how many rates are tried for each number of senders.
	peerSteps = 4
	// peerStep is what the next rate to try is of the one before.
	peerStep = 0.8
)

// Names of figures that the headline looks for.
const (
	xsweepBesidePeer = "xdp, 2 threads, 10 % live"
	zmapLimit        = "zmap" + atItsBest
	atItsBest        = " at its best"
)

// setting is how a tool is run.
type setting struct {
	senders int
	rate    int // probes a second; 0 is as fast as it can
}

func (s setting) String() string {
	if s.rate == 0 {
		return fmt.Sprintf("%s, no rate limit", senders(s.senders))
	}
	return fmt.Sprintf("%s, %s/s asked for", senders(s.senders), short(float64(s.rate)))
}

func senders(n int) string {
	if n == 1 {
		return "1 sender"
	}
	return fmt.Sprintf("%d senders", n)
}

// peers measures other tools that are installed, in the same lab.
func (b *bench) peers() ([]row, error) {
	var rows []row
	for _, t := range peerTools {
		path, err := exec.LookPath(t.name)
		if err != nil {
			b.note("%s: not installed.", t.name)
			continue
		}
		of, err := b.peer(t, path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		rows = append(rows, of...)
	}
	return rows, nil
}

// peer measures one tool: first which rate does best with each number of
// senders, then those settings by turns with xsweep. What counts in a round is
// the best of them in that round, so that a poor moment of the machine while
// they were sought does not count against the tool.
func (b *bench) peer(t peerTool, path string) ([]row, error) {
	version, err := t.version(b.ctx, path)
	if err != nil {
		return nil, err
	}
	var theirs, recall, ours, faults series
	err = inLab(tenthLive, func(l *lab.Lab) error {
		run := func(s setting) (peerResult, error) { return b.runPeer(l, t, path, s) }
		var settings []setting
		for _, n := range t.senders {
			best, err := bestSetting(n, run)
			if err != nil {
				return err
			}
			settings = append(settings, best.setting)
		}
		best := map[setting]int{}
		for range t.rounds {
			r, err := bestOf(settings, run)
			if err != nil {
				return err
			}
			best[r.setting]++
			theirs, recall = append(theirs, r.rate), append(recall, r.recall())
			s, v, err := b.sweepToFile(range4M, sweep.Config{Rate: pace.Max, Tx: sweep.TxXDP, Threads: b.threads()}, tenthLive)
			if err != nil {
				return err
			}
			ours, faults = append(ours, s.Rate.Mean), append(faults, v.faults())
		}
		var wins []string
		for _, s := range settings {
			wins = append(wins, fmt.Sprintf("%s best in %d", s, best[s]))
		}
		b.note("%s %s on %s, in %d rounds: %s.", t.name, version, t.targets, t.rounds, strings.Join(wins, "; "))
		return nil
	})
	if err != nil {
		return nil, err
	}
	gain := newRow("xdp, "+threadsText(b.threads())+", 10 % live", perSecond, ours).against(t.name+atItsBest, theirs)
	if t.name == "zmap" {
		gain = gain.ratioAtLeast(12, 20)
	}
	return []row{
		gain,
		newRow(t.name+": live hosts found", "%", recall),
		newRow("xsweep beside "+t.name+": hosts missed, double or untrue", "", faults).worst().atMost(0, 0),
	}, nil
}

// trial is a setting and what it brought.
type trial struct {
	setting setting
	peerResult
}

// betterThan prefers what finds every host, then what is faster; where neither
// finds every host, what finds more.
func (t trial) betterThan(o trial) bool {
	switch whole := t.missed == 0; {
	case whole != (o.missed == 0):
		return whole
	case whole:
		return t.rate > o.rate
	}
	return t.recall() > o.recall()
}

// bestSetting tries a number of senders without a rate limit, and lower rates as
// long as hosts are missed.
func bestSetting(senders int, run func(setting) (peerResult, error)) (trial, error) {
	var best trial
	s := setting{senders: senders}
	for step := range peerSteps {
		r, err := run(s)
		if err != nil {
			return trial{}, fmt.Errorf("%v: %w", s, err)
		}
		if tried := (trial{s, r}); step == 0 || tried.betterThan(best) {
			best = tried
		}
		if r.missed == 0 {
			break
		}
		s.rate = int(r.rate * peerStep)
	}
	return best, nil
}

// bestOf tries each of the settings once.
func bestOf(settings []setting, run func(setting) (peerResult, error)) (trial, error) {
	var best trial
	for k, s := range settings {
		r, err := run(s)
		if err != nil {
			return trial{}, fmt.Errorf("%v: %w", s, err)
		}
		if tried := (trial{s, r}); k == 0 || tried.betterThan(best) {
			best = tried
		}
	}
	return best, nil
}

// of is what the tool sweeps.
func (t peerTool) of() target.Range { return prefix(t.targets) }
