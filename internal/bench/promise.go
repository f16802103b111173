// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math"
	"time"

	"xsweep/internal/lab"
	"xsweep/sweep"
	"xsweep/sweep/pace"
)

const (
	promiseRounds = 2
	topRounds     = 3
	// promiseRuntime is a little more than three whole seconds.
	promiseRuntime = 3100 * time.Millisecond
	promisePrefix  = "rate"
	// maxShare of its largest rate is what a transmitter must still keep.
	maxShare = 0.9
)

// promiseRound is how well one sweep kept the rate promise.
type promiseRound struct {
	worst  float64 // largest error of a whole second, in %
	excess float64 // largest frames - rate x T of any window, in frames
	stalls float64 // that the sweep counted
}

// better says whether noise has disturbed p less than o.
func (p promiseRound) better(o promiseRound) bool {
	if p.worst != o.worst {
		return p.worst < o.worst
	}
	return p.excess < o.excess
}

// promise measures rates where the frames arrive.
func (b *bench) promise() ([]row, error) {
	var rows []row
	var keepers []*keeper
	for _, tx := range []sweep.Tx{sweep.TxPacket, sweep.TxXDP} {
		top, err := b.meteredTop(tx)
		if err != nil {
			return nil, err
		}
		rows = append(rows, newRow(promiseName(tx, "max, with the meter"), perSecond, top))
		keepers = append(keepers, newKeepers(tx, top.median())...)
	}
	var noise []pauses
	for range promiseRounds {
		noise = append(noise, listen())
		for _, k := range keepers {
			p, err := b.keep(k.tx, k.rate)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k.name, err)
			}
			k.rounds = append(k.rounds, p)
		}
	}
	rows = append(noiseRows(noise), rows...)
	for _, k := range keepers {
		rows = append(rows, promiseRows(k.name, k.rounds)...)
	}
	return rows, nil
}

// keeper is a transmitter that keeps a rate.
type keeper struct {
	name   string
	tx     sweep.Tx
	rate   pace.Rate
	rounds []promiseRound
}

func promiseName(tx sweep.Tx, rate string) string {
	return fmt.Sprintf("%s %s %s", promisePrefix, rate, tx)
}

// newKeepers are a transmitter's rates: those of the promise that it can
// reach at all, and nearly all that it can. Whoever sends a thousand a second
// does not ask for xdp.
func newKeepers(tx sweep.Tx, top float64) []*keeper {
	var keepers []*keeper
	for _, r := range []struct {
		name string
		rate pace.Rate
	}{{"1k", 1_000}, {"10k", 10_000}, {"100k", 100_000}, {"1M", 1_000_000}, {"90 % of max", pace.Rate(maxShare * top)}} {
		if float64(r.rate) <= maxShare*top && (tx == sweep.TxPacket || r.rate > 1_000) {
			keepers = append(keepers, &keeper{name: promiseName(tx, r.name), tx: tx, rate: r.rate})
		}
	}
	return keepers
}

// promiseRows makes the rows of one rate. All values are those of the best
// round: a busy machine can only make them worse.
func promiseRows(name string, rounds []promiseRound) []row {
	best := rounds[0]
	var worst, excess, stalls series
	for _, p := range rounds {
		if p.better(best) {
			best = p
		}
		worst = append(worst, p.worst)
		excess = append(excess, p.excess)
		stalls = append(stalls, p.stalls)
	}
	rows := []row{
		newRow(name+": worst second off by", "%", worst).atMost(0.5, 0),
		newRow(name+": most beyond rate x T", "frames", excess).atMost(pace.Burst, 0),
		newRow(name+": stalls counted", "", stalls),
	}
	rows[0].Value, rows[1].Value, rows[2].Value = best.worst, best.excess, best.stalls
	return rows
}

// meteredTop measures the rate that a transmitter reaches where a meter
// receives: it costs the sending CPU some time for each frame, as a veth device
// hands over frames on the spot.
func (b *bench) meteredTop(tx sweep.Tx) (series, error) {
	var rates series
	err := inLab(lab.Config{Responder: lab.Sink, MeterRate: 1}, func(*lab.Lab) error {
		for range topRounds {
			if err := b.appendRate(&rates, sendRange(tx, 1), sweep.Config{Tx: tx}); err != nil {
				return err
			}
		}
		return nil
	})
	return rates, err
}

// keep sweeps at a rate and looks at what arrives.
func (b *bench) keep(tx sweep.Tx, rate pace.Rate) (promiseRound, error) {
	var p promiseRound
	err := inLab(lab.Config{Responder: lab.Sink, MeterRate: uint64(rate)}, func(l *lab.Lab) error {
		s, err := b.sweep(range16M, sweep.Config{Rate: rate, Tx: tx, MaxRuntime: promiseRuntime})
		if err != nil {
			return err
		}
		reading, err := l.Meter()
		if err != nil {
			return err
		}
		if reading.Frames != s.Probes.Accepted {
			return fmt.Errorf("%d frames arrived of %d that were sent", reading.Frames, s.Probes.Accepted)
		}
		p.excess, p.stalls = reading.Burst, float64(s.Rate.Stalls)
		p.worst, err = worstSecond(reading.Seconds, float64(rate))
		return err
	})
	return p, err
}

// worstSecond is the largest error of a second's frames, in % of the rate. The
// last second is left out: it is not whole.
func worstSecond(seconds []uint64, rate float64) (float64, error) {
	if len(seconds) < 2 {
		return 0, errors.New("frames arrived for less than a second")
	}
	worst := 0.0
	for _, frames := range seconds[:len(seconds)-1] {
		worst = max(worst, 100*math.Abs(float64(frames)/rate-1))
	}
	return worst, nil
}
