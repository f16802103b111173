// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"xsweep/loader"
	"xsweep/sweep/transmit"
)

// sumUp makes the trial of what the threads and the judge have counted.
func (r *running) sumUp() (Trial, error) {
	t := &r.trial
	s := r.s
	stats, err := s.judge.Stats()
	if err != nil {
		return Trial{}, err
	}
	r.line.end(r.ended, stats)
	flows, err := s.judge.Flows()
	if err != nil {
		return Trial{}, err
	}
	errored, err := s.judge.TargetErrors()
	if err != nil {
		return Trial{}, err
	}
	if !r.load.Unpaced {
		t.RateOffered = float64(r.load.Rate)
	}
	if t.Overload = r.load.Overload; t.Overload > 0 {
		// Of both parts, which take as long as each other.
		t.RateOffered *= (1 + t.Overload) / 2
	}
	t.Size, t.Burst = s.config.Size, r.load.Burst
	t.Duration, t.Purpose = r.load.Duration.Seconds(), r.load.Purpose
	refused := r.countSent(errored)
	t.Answered = stats.Verdicts[loader.BenchAnswered]
	t.Duplicate = stats.Verdicts[loader.BenchDuplicate]
	t.Reordered = stats.Reordered
	t.Late = stats.Verdicts[loader.BenchLate]
	t.Errors = stats.Verdicts[loader.BenchError]
	t.RTT, t.RTTScheduled = newLatency(&stats.Sent), newLatency(&stats.Scheduled)
	brokenOff := t.silent || t.interrupted
	// A short trial ends before it is looked at for that.
	if v := stats.Verdicts; r.handed() > 0 && !t.interrupted && v[loader.BenchWarmup]+t.Answered+t.Late+t.Duplicate+v[loader.BenchOvertaken] == 0 {
		t.silent = true
	}
	t.Verdicts = map[string]uint64{}
	for v, n := range stats.Verdicts {
		t.Verdicts[loader.BenchVerdict(v).String()] = n
	}
	// Some drivers count what the judge takes among what they drop.
	if taken := stats.Taken(); t.Generator.RxDropped >= taken {
		t.Generator.RxDropped -= taken
	}
	end := s.clock.Now()
	if r.last.at != 0 {
		end = r.last.at
	}
	places := map[netip.Addr]int{}
	for i, a := range s.config.Targets {
		places[a] = i
	}
	for _, f := range flows {
		target := &t.Targets[places[f.Target]]
		target.Answered += f.Answered
		t.Jitter = max(t.Jitter, f.Jitter)
		if f.First {
			gap := max(f.Gap, r.silence(f.Arrived, end))
			target.Outage = max(target.Outage, gap)
			t.Outage = max(t.Outage, gap)
		}
	}
	// Nobody knows which probes were refused: not those that were answered.
	for i := range t.Targets {
		target := &t.Targets[i]
		some := min(refused, target.Sent-min(target.Answered, target.Sent))
		target.Sent -= some
		refused -= some
		t.Sent += target.Sent
	}
	if t.Answered > t.Sent {
		return Trial{}, fmt.Errorf("trial does not add up: %d answered of %d sent", t.Answered, t.Sent)
	}
	t.Lost = t.Sent - t.Answered
	r.rates()
	if r.load.Overload > 0 {
		r.recovery()
	}
	allowed := s.config.PacingError
	if brokenOff {
		allowed = 1 // the rate was not to be kept any longer
	}
	if r.load.Overload > 0 {
		allowed = max(allowed, switching)
	}
	t.check(allowed)
	if asked := float64(r.load.Rate) * r.load.Overload; t.Valid && asked > 0 && t.RateOverload < asked*(1-switching) {
		t.Valid, t.Reason = false, fmt.Sprintf("the generator sent %.0f probes a second in the overload instead of %.0f%s", t.RateOverload, asked, t.Generator.excuse())
	}
	if t.Valid && r.load.Overload > 0 && t.Recovery == nil {
		t.Valid, t.Reason = false, "the window moved on before it was known which probes were lost"
	}
	if t.interrupted && t.Valid {
		t.Valid, t.Reason = false, "interrupted"
	}
	return *t, t.Check()
}

// switching is the share of an overload that may pass before its rate is reached: a
// transmitter in the kernel may have to begin anew.
const switching = 0.05

// silence is how long before the end of the sending the last answer came, if any
// was to come since.
func (r *running) silence(arrived uint64, end int64) uint64 {
	from := max(int64(arrived), r.first.at)
	if r.first.at == 0 || end <= from {
		return 0
	}
	return uint64(end - from)
}

// countSent says what each target was sent that counts, and returns how many
// frames were refused. A transmitter hands over the first probes first.
func (r *running) countSent(errored map[netip.Addr]uint64) (refused uint64) {
	t, s := &r.trial, r.s
	threads, targets := uint64(s.config.Threads), uint64(len(s.targets))
	t.Targets = make([]TargetResult, targets)
	for i, a := range s.config.Targets {
		t.Targets[i].Addr, t.Targets[i].Errors = a, errored[a]
	}
	var counts transmit.Counts
	for _, w := range r.senders {
		counts.Add(w.tx.Counts())
		handed, warm := w.tx.Handed(), r.warm/threads
		for i := range targets {
			if handed > warm { // the numbers from warm to below handed that leave i
				t.Targets[i].Sent += below(handed, i, targets) - below(warm, i, targets)
			}
		}
	}
	g := &t.Generator
	g.Transmitter, g.Threads = string(s.tx), s.config.Threads
	g.Stalls, g.Retries, g.Unconfirmed = counts.Stalls, counts.Retries, counts.Unconfirmed
	for errno, n := range counts.Refused {
		if g.Refused == nil {
			g.Refused = map[string]uint64{}
		}
		name := unix.ErrnoName(errno)
		if name == "" {
			name = "errno " + errno.Error()
		}
		g.Refused[name] += n
		refused += n
	}
	return refused
}

// below is how many of the numbers below n leave i when divided by a divisor.
func below(n, i, divisor uint64) uint64 { return (n + divisor - 1 - i) / divisor }

// rates says how many probes a second were sent and answered.
func (r *running) rates() {
	t := &r.trial
	seconds := 0.0
	if t.Sent == 0 { // it did not get through the warm-up
		t.RateSent = float64(r.handed()) * float64(time.Second) / float64(max(r.ended-r.began, 1))
		return
	}
	if r.last.at > r.first.at && r.first.at != 0 && r.last.at-r.first.at > int64(5*lookEvery) {
		t.RateSent = float64(r.last.handed-r.first.handed) * float64(time.Second) / float64(r.last.at-r.first.at)
		if t.RateSent > 0 {
			seconds = float64(t.Sent) / t.RateSent
		}
	} else {
		// Too short to be looked at twice.
		seconds = t.Duration
		if r.load.Overload > 0 {
			seconds *= 2
		}
		t.RateSent = float64(t.Sent) / max(seconds, 1e-9)
	}
	if from, to := r.first, r.turned; from.at != 0 && to.at > from.at {
		t.RateOverload = float64(to.handed-from.handed) * float64(time.Second) / float64(to.at-from.at)
	}
	if seconds > 0 {
		t.RateAnswered = float64(t.Answered) / seconds
	}
}

// recovery is when the last probe was lost behind the overload; nil if nobody knows.
func (r *running) recovery() {
	if !r.line.allKnown {
		return
	}
	lost := r.line.lastLost - min(r.line.lastLost, r.switched)
	ns := uint64(float64(lost) * float64(time.Second) / float64(r.load.Rate))
	r.trial.Recovery = &ns
}
