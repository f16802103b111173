// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"time"
)

// Load is what one trial sends.
type Load struct {
	// Rate is in probes a second, over all targets and threads.
	Rate uint64
	// Duration is how long probes are sent that count, Warmup how long before that.
	Duration, Warmup time.Duration
	// Burst sends so many at once, as fast as the device takes them, and then none
	// until the rate is kept; 0 sends evenly.
	Burst int
	// Unpaced sends as fast as the device takes probes until Duration has passed,
	// and Rate only bounds how many; without a warm-up.
	Unpaced bool
	// Overload is how many times the rate is sent until Duration has passed; then
	// the rate itself is sent for as long again. 0: none.
	Overload float64
	// Settle ends the drain time a tenth of a second after all probes were
	// answered: what comes later can only be duplicates.
	Settle bool
	// Purpose is noted in the trial.
	Purpose string
}

// Runner runs trials.
type Runner interface {
	Trial(context.Context, Load) (Trial, error)
}

// Trial is what came of one load.
type Trial struct {
	RateOffered  float64 `json:"rate_offered"`
	RateSent     float64 `json:"rate_sent"`
	RateAnswered float64 `json:"rate_answered"`

	// Sent is Answered and Lost. Of the lost ones, Late came after the drain time.
	Sent      uint64 `json:"sent"`
	Answered  uint64 `json:"answered"`
	Lost      uint64 `json:"lost"`
	Duplicate uint64 `json:"duplicate"`
	Reordered uint64 `json:"reordered"`
	Late      uint64 `json:"late"`
	Errors    uint64 `json:"errors"` // error messages, also those for the warm-up

	// RTT is from the send stamp, RTTScheduled from when a probe was to leave.
	RTT          Latency `json:"rtt"`
	RTTScheduled Latency `json:"rtt_scheduled"`
	Jitter       float64 `json:"jitter"` // ns (RFC 3550), the largest of any flow's
	Outage       uint64  `json:"outage"` // ns, the longest time without an answer from a target

	// Valid is false if the generator fell behind; Reason says by what.
	Valid  bool   `json:"valid"`
	Reason string `json:"reason,omitempty"`

	Size  int `json:"size"`            // bytes of ICMP data
	Burst int `json:"burst,omitempty"` // probes at once
	// Overload is how many times the rate was sent first; the trial's rates are then
	// those of both parts, and RateOverload what was sent in the first.
	Overload     float64        `json:"overload,omitempty"`
	RateOverload float64        `json:"rate_overload,omitempty"`
	Duration     float64        `json:"duration"` // s, as asked for
	Started      time.Time      `json:"started"`
	Purpose      string         `json:"purpose,omitempty"` // of a trial among others
	Generator    Generator      `json:"generator"`
	Targets      []TargetResult `json:"targets"`
	Seconds      []Second       `json:"seconds,omitempty"`
	// Recovery is how long after an overload probes were still lost, in ns; only
	// of a trial with one.
	Recovery *uint64           `json:"recovery,omitempty"`
	Verdicts map[string]uint64 `json:"verdicts"`

	interrupted bool
	silent      bool // ended after the warm-up, since nobody answered
}

// LossRatio is the share of the probes that were lost; 0 if none was sent.
func (t *Trial) LossRatio() float64 {
	if t.Sent == 0 {
		return 0
	}
	return float64(t.Lost) / float64(t.Sent)
}

// Exploring says whether the trial only helps to find something: then its load is
// another one each time.
func (t *Trial) Exploring() bool { return t.Purpose == "search" || t.Purpose == "limiter" }

// Interrupted says whether the trial was broken off.
func (t *Trial) Interrupted() bool { return t.interrupted }

// Generator is what the sender says of itself.
type Generator struct {
	Transmitter string            `json:"transmitter"`
	Threads     int               `json:"threads"`
	PacingError float64           `json:"pacing_error"` // of the rate sent, as a share of that offered
	Stalls      uint64            `json:"stalls"`
	Retries     uint64            `json:"retries"`
	Refused     map[string]uint64 `json:"refused,omitempty"` // by errno
	Unconfirmed uint64            `json:"unconfirmed"`
	// RxDropped are frames that the device dropped before the judge saw them,
	// TxDropped those that it dropped on their way out: also those that are among
	// Retries. BacklogDropped are those that found a CPU's receive queue full, of
	// any device of the machine.
	RxDropped      uint64 `json:"rx_dropped"`
	TxDropped      uint64 `json:"tx_dropped"`
	BacklogDropped uint64 `json:"backlog_dropped"`
	// CPU is the CPU time of this process in CPUs; a thread of xdp takes a whole one
	// at any rate. CPUWait is the time that its threads waited for a CPU that others
	// had, in the same unit.
	CPU     float64 `json:"cpu"`
	CPUWait float64 `json:"cpu_wait"`
}

// saturated is the share of a CPU from which on a thread has no rest.
const saturated = 0.97

// excuse says why the generator was too slow, as far as its CPUs tell.
func (g *Generator) excuse() string {
	threads := float64(max(g.Threads, 1))
	switch {
	case g.CPUWait/threads > 0.02:
		return fmt.Sprintf(": others had its CPU for %.0f %% of the time", 100*g.CPUWait/threads)
	case g.CPU/threads > saturated:
		return ": its CPU can do no more"
	}
	return ""
}

// TargetResult is what came of the probes to one target.
type TargetResult struct {
	Addr     netip.Addr `json:"addr"`
	Sent     uint64     `json:"sent"`
	Answered uint64     `json:"answered"`
	Errors   uint64     `json:"errors"`
	Outage   uint64     `json:"outage"` // ns
}

// DefaultPacingError is how far the rate may be off in a valid trial, as a share
// of it: what package pace promises.
const DefaultPacingError = 0.005

// check finds out whether the generator did what it was asked to.
func (t *Trial) check(allowed float64) {
	g := &t.Generator
	var refused uint64
	for _, n := range g.Refused {
		refused += n
	}
	if t.RateOffered > 0 {
		g.PacingError = t.RateSent/t.RateOffered - 1
	}
	if t.Sent > 0 {
		// Pacing may be ahead or behind by a batch at either end, or by a burst.
		batch := min(max(t.RateOffered/1000, 1), 64)
		allowed += (2 + 2*max(batch, float64(t.Burst))) / float64(t.Sent)
	}
	// A few dropped frames can be anybody's.
	explains := func(dropped uint64) bool { return t.Lost > 0 && dropped*20 >= t.Lost }
	unsent := g.TxDropped - min(g.TxDropped, g.Retries+refused)
	switch {
	case t.Sent == 0 && refused == 0 && t.RateSent > 0 && g.PacingError < -allowed:
		t.Reason = fmt.Sprintf("the generator sent %.0f probes a second instead of %.0f, and did not get through the warm-up%s", t.RateSent, t.RateOffered, g.excuse())
	case t.Sent == 0:
		t.Reason = "nothing was sent that counts"
	case refused > 0:
		t.Reason = fmt.Sprintf("the device refused %d frames", refused)
	case explains(unsent):
		t.Reason = fmt.Sprintf("the sending device dropped %d frames", unsent)
	case explains(g.RxDropped):
		t.Reason = fmt.Sprintf("the receiving device dropped %d frames before they were judged", g.RxDropped)
	case explains(g.BacklogDropped):
		t.Reason = fmt.Sprintf("%d frames found the receive queue of a CPU full", g.BacklogDropped)
	case math.Abs(g.PacingError) > allowed:
		t.Reason = fmt.Sprintf("the generator sent %.0f probes a second instead of %.0f%s", t.RateSent, t.RateOffered, g.excuse())
	case t.Verdicts["overtaken"] > 0:
		t.Reason = fmt.Sprintf("the window moved past %d answers", t.Verdicts["overtaken"])
	}
	t.Valid = t.Reason == ""
}

// Check verifies the identities that hold in every trial.
func (t *Trial) Check() error {
	var targets, sent uint64
	for _, r := range t.Targets {
		targets += r.Answered
		sent += r.Sent
	}
	switch {
	case t.Sent != t.Answered+t.Lost:
		return fmt.Errorf("trial does not add up: %d sent, %d answered, %d lost", t.Sent, t.Answered, t.Lost)
	case t.Late > t.Lost:
		return fmt.Errorf("trial does not add up: %d late of %d lost", t.Late, t.Lost)
	case t.RTT.Count != t.Answered || t.RTTScheduled.Count != t.Answered:
		return fmt.Errorf("trial does not add up: %d answered, latencies of %d and %d", t.Answered, t.RTT.Count, t.RTTScheduled.Count)
	case targets != t.Answered:
		return fmt.Errorf("trial does not add up: %d answered, %d by the targets' own account", t.Answered, targets)
	case sent != t.Sent:
		return fmt.Errorf("trial does not add up: %d sent, %d by the targets' own account", t.Sent, sent)
	}
	return nil
}
