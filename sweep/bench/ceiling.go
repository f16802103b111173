// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"fmt"
	"time"
)

// Ceiling is the most that a sender sends into a loop that drops everything: what
// it could do if neither wire nor target held it up.
type Ceiling struct {
	Rate        float64 `json:"rate"` // probes a second
	Transmitter Tx      `json:"transmitter"`
	Threads     int     `json:"threads"`
	Size        int     `json:"size"` // bytes of ICMP data
}

const (
	// ceilingDuration is long enough for the mean to be that of a second.
	ceilingDuration = 300 * time.Millisecond
	// ceilingMost bounds the probes of that time: no device takes as many.
	ceilingMost = 100_000_000
)

// Ceiling sends as fast as the device takes probes, to targets that drop them. The
// machine is busy meanwhile, for less than a second.
func (s *Session) Ceiling(ctx context.Context) (Ceiling, error) {
	t, err := s.Trial(ctx, Load{Rate: ceilingMost, Duration: ceilingDuration, Unpaced: true, Purpose: "ceiling"})
	switch {
	case err != nil:
		return Ceiling{}, err
	case t.interrupted:
		return Ceiling{}, context.Cause(ctx)
	case t.RateSent <= 0:
		return Ceiling{}, fmt.Errorf("nothing was sent: %s", t.Reason)
	}
	return Ceiling{Rate: t.RateSent, Transmitter: s.tx, Threads: s.config.Threads, Size: s.config.Size}, nil
}

// Transmitter is the way that the session sends.
func (s *Session) Transmitter() Tx { return s.tx }
