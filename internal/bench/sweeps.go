// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"xsweep/internal/lab"
	"xsweep/sweep"
	"xsweep/sweep/sink"
	"xsweep/sweep/target"
)

// Ranges that nobody owns (RFC 1112 section 4: class E).
const (
	range16k   = "240.0.0.0/18"
	range65k   = "240.0.0.0/16"
	range131k  = "240.0.0.0/15"
	range524k  = "240.0.0.0/13"
	range1M    = "240.0.0.0/12"
	range4M    = "240.0.0.0/10"
	range16M   = "240.0.0.0/8"
	wholeRange = "240.0.0.0/4"
)

// maxLoad bounds every load on machines that are far slower than expected.
const maxLoad = 6 * time.Second

// noCooldown is what sweep.Config takes for none.
const noCooldown = time.Duration(-1)

func prefix(text string) target.Range {
	r, ok := target.RangeFromPrefix(netip.MustParsePrefix(text))
	if !ok {
		panic("bench: " + text + " is not an IPv4 prefix")
	}
	return r
}

// inLab runs f with a lab whose sender side is this process's namespace.
func inLab(c lab.Config, f func(*lab.Lab) error) error {
	c.InPlace = true
	l, err := lab.Start(c)
	if err != nil {
		return err
	}
	return errors.Join(f(l), l.Close())
}

// settle is a cooldown that lets the last replies of a lab through: they are
// there at once, but their records are read only so often.
const settle = 200 * time.Millisecond

// discard is a sink that formats records and throws them away.
func discard() sink.Sink { return sink.NewWriter(io.Discard, sink.Config{Path: "discard"}) }

// sweep sweeps prefix, in this process. Losses are an error: its figures would
// mean nothing.
func (b *bench) sweep(prefixText string, c sweep.Config) (sweep.Summary, error) {
	s, err := b.sweepInto(prefixText, c, discard())
	if losses := s.Losses(); err == nil && losses != nil {
		return sweep.Summary{}, fmt.Errorf("sweep %s: it lost something: %s", prefixText, strings.Join(losses, "; "))
	}
	return s, err
}

// sweepInto sweeps prefix into a sink. The seed is always the same, and an
// account that does not add up is an error.
func (b *bench) sweepInto(prefixText string, c sweep.Config, to sink.Sink) (sweep.Summary, error) {
	c.Targets = []target.Target{{Range: prefix(prefixText), Text: prefixText}}
	c.Seed = 1
	if c.Cooldown == 0 {
		c.Cooldown = noCooldown
	}
	if c.MaxRuntime == 0 {
		c.MaxRuntime = maxLoad
	}
	s, err := sweep.Run(b.ctx, c, to)
	if err == nil {
		err = s.Check()
	}
	if err == nil && s.Probes.Accepted == 0 {
		err = errors.New("it sent nothing")
	}
	if err != nil {
		return sweep.Summary{}, fmt.Errorf("sweep %s: %w", prefixText, err)
	}
	return s, nil
}
