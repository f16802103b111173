// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"xsweep/internal/lab"
	"xsweep/sweep"
	"xsweep/sweep/pace"
	"xsweep/sweep/reply"
	"xsweep/sweep/sink"
)

const (
	pressureRounds = 3
	// slowRate is how many records a second the slow sink takes: far fewer than
	// there are answers.
	slowRate = 200_000
	// slowRange takes the slow sink some five seconds, and has several times the
	// records that are held sending for. freeRange has more than the rings hold.
	slowRange = range1M
	freeRange = range4M
	// slowLimit bounds the sweep that waits for the sink.
	slowLimit = 30 * time.Second
)

// slowSink takes so many records a second.
type slowSink struct {
	sink.Sink
	rate float64
	free time.Time // when it is through with what it took
}

func (s *slowSink) Write(records []reply.Record) error {
	if now := time.Now(); s.free.Before(now) {
		s.free = now
	}
	s.free = s.free.Add(time.Duration(float64(len(records)) / s.rate * float64(time.Second)))
	time.Sleep(time.Until(s.free))
	return s.Sink.Write(records)
}

// pressureRun is one kind of sweep into a sink that is too slow, or is not.
type pressureRun struct {
	sent   series // probes a second
	judged series // packets a second, while probes were sent
	lost   series // answers without a record, in % of all
	astray series // answers that are neither written nor counted as lost
}

// backpressure measures what a sink does to the sweep that cannot keep up.
func (b *bench) backpressure() ([]row, error) {
	var slow, free, fast pressureRun
	c := sweep.Config{Rate: pace.Max, Tx: sweep.TxXDP, Threads: b.threads(), Cooldown: settle, MaxRuntime: slowLimit}
	err := inLab(allLive, func(l *lab.Lab) error {
		for range pressureRounds {
			for _, m := range []struct {
				run          *pressureRun
				of           string
				slow, yields bool
			}{{&fast, freeRange, false, false}, {&free, freeRange, true, false}, {&slow, slowRange, true, true}} {
				to := discard()
				if m.slow {
					to = &slowSink{Sink: to, rate: slowRate}
				}
				c.Backpressure = m.yields
				if err := b.pressureRound(l, m.run, m.of, c, to); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return pressureRows(&slow, &free, &fast), nil
}

func (b *bench) pressureRound(l *lab.Lab, r *pressureRun, of string, c sweep.Config, to sink.Sink) error {
	before, err := l.Stats()
	if err != nil {
		return err
	}
	s, err := b.sweepInto(of, c, to)
	if err != nil {
		return err
	}
	after, err := l.Stats()
	if err != nil {
		return err
	}
	if s.Probes.Unsent["stopped"] > 0 {
		return fmt.Errorf("sweep %s: it had not sent all in %v", of, c.MaxRuntime)
	}
	r.add(s, after.Answered-after.RepliesRefused-(before.Answered-before.RepliesRefused))
	return nil
}

// add takes a sweep's figures; arrived is how many answers its device was given.
func (r *pressureRun) add(s sweep.Summary, arrived uint64) {
	lost := s.Packets.Verdicts["record_lost"] + s.Records.Lost
	r.sent = append(r.sent, s.Rate.Mean)
	r.judged = append(r.judged, float64(s.Packets.Judged)/sendingTime(s))
	r.lost = append(r.lost, 100*float64(lost)/float64(arrived))
	r.astray = append(r.astray, float64(arrived)-float64(lost+s.Records.Sinks[0].Written))
}

func pressureRows(slow, free, fast *pressureRun) []row {
	taken := fmt.Sprintf("a sink of %s", withUnit(slowRate, perSecond))
	astray := append(append(series(nil), slow.astray...), append(free.astray, fast.astray...)...)
	for k, v := range astray {
		astray[k] = max(v, -v)
	}
	return []row{
		newRow("with backpressure, "+taken+": records lost", "%", slow.lost).worst().atMost(0, 0),
		newRow("with backpressure, "+taken+": sent", perSecond, slow.sent).against("a fast sink", fast.sent),
		newRow("without, "+taken+": judged", perSecond, free.judged).against("a fast sink", fast.judged).ratioAtLeast(0.95, 0),
		newRow("without, "+taken+": records lost", "%", free.lost),
		newRow("every sweep: answers neither written nor counted as lost", "", astray).worst().atMost(0, 0),
	}
}
