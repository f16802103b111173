// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"xsweep/internal/lab"
	"xsweep/sweep"
	"xsweep/sweep/pace"
	"xsweep/sweep/target"
)

const (
	// sendRounds of about a second each tell more than half as many of two:
	// what disturbs one round does not touch the others.
	sendRounds = 5
	// infoRounds is how often figures without a goal are measured.
	infoRounds = 2
)

// What bounds the transmitters, by the names that the report gives it.
const (
	packetLimit = "fixed frames, sendmmsg"
	xdpLimit    = "fixed live frames"
)

// manyThreads is how many threads the figures of several threads have.
const manyThreads = 2

// sendRates are the rates of one transmitter to a sink, by threads less one,
// and those of its limit in the same rounds.
type sendRates struct {
	sweep, limit [manyThreads]series
}

// send measures the transmitters against frames that are ready.
func (b *bench) send() ([]row, error) {
	var packet, xdp sendRates
	var raw series
	config := lab.Config{Responder: lab.Sink}
	err := inLab(config, func(l *lab.Lab) error {
		live, err := newFixedLiveFrames(silent(config)[0])
		if err != nil {
			return err
		}
		defer live.close()
		for range sendRounds {
			for k := range b.threads() {
				threads := k + 1
				rate, err := sendFixedFrames(threads, silent(config))
				if err != nil {
					return err
				}
				packet.limit[k] = append(packet.limit[k], rate)
				if err := b.appendRate(&packet.sweep[k], sendRange(sweep.TxPacket, threads), sweep.Config{Tx: sweep.TxPacket, Threads: threads}); err != nil {
					return err
				}
				if rate, err = live.send(l, threads, liveFrames); err != nil {
					return err
				}
				xdp.limit[k] = append(xdp.limit[k], rate)
				if err := b.appendRate(&xdp.sweep[k], sendRange(sweep.TxXDP, threads), sweep.Config{Tx: sweep.TxXDP, Threads: threads}); err != nil {
					return err
				}
			}
		}
		for range infoRounds {
			if err := b.appendRate(&raw, range524k, sweep.Config{Tx: sweep.TxRaw}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var rows []row
	for k := range b.threads() {
		threads := threadsText(k + 1)
		p := newRow("packet, "+threads, perSecond, packet.sweep[k]).against(packetLimit, packet.limit[k])
		x := newRow("xdp, "+threads, perSecond, xdp.sweep[k]).against(xdpLimit, xdp.limit[k])
		gain := newRow("xdp, "+threads, perSecond, xdp.sweep[k]).against("packet, "+threads, packet.sweep[k])
		if k == 0 {
			p = p.ratioAtLeast(0.85, 0.95)
			x = x.ratioAtLeast(0.70, 0.85)
			gain = gain.ratioAtLeast(5, 7)
		}
		rows = append(rows, p, x, gain)
	}
	return append(rows, newRow("raw, 1 thread", perSecond, raw).against(packetLimit, packet.limit[0])), nil
}

// threads yields the numbers of threads less one that this machine can do.
func (b *bench) threads() int { return min(manyThreads, b.cpus) }

func threadsText(threads int) string {
	if threads == 1 {
		return "1 thread"
	}
	return fmt.Sprintf("%d threads", threads)
}

// sendRange is what a transmitter sends to in about a second.
func sendRange(tx sweep.Tx, threads int) string {
	switch {
	case tx == sweep.TxXDP:
		return range4M
	case threads > 1:
		return range1M
	}
	return range524k
}

// appendRate sweeps at rate max and appends the rate.
func (b *bench) appendRate(rates *series, prefixText string, c sweep.Config) error {
	c.Rate = pace.Max
	s, err := b.sweep(prefixText, c)
	if err != nil {
		return err
	}
	*rates = append(*rates, s.Rate.Mean)
	return nil
}

// sendFixedFrames sends ready-made frames from as many threads and returns the
// rate of all together.
func sendFixedFrames(threads int, to []target.Addr) (perSecond float64, err error) {
	frames := make([]*fixedFrames, threads)
	for i := range frames {
		if frames[i], err = newFixedFrames(to); err != nil {
			return 0, err
		}
		defer frames[i].close()
	}
	type result struct {
		accepted int
		err      error
	}
	results := make(chan result, threads)
	n := int(prefix(range524k).Len())
	start := time.Now()
	for _, f := range frames {
		go func() {
			accepted, err := f.send(n, maxLoad)
			results <- result{accepted, err}
		}()
	}
	accepted := 0
	for range frames {
		r := <-results
		if r.err != nil {
			err = r.err
		}
		accepted += r.accepted
	}
	return float64(accepted) / time.Since(start).Seconds(), err
}
