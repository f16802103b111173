// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// Goal is a question of a search: up to which load is no more than a given share
// of the probes lost? (RFC 9971, search goal.)
type Goal struct {
	// Loss is the goal loss ratio: 0 for NDR.
	Loss float64
	// Exceed is the goal exceed ratio: the share of the duration sum in which more
	// may be lost than that. RFC 9971 has one half, so that one bad moment of
	// either side does not decide.
	Exceed float64
	// Trial is how long a full-length trial is, Sum the goal duration sum: how
	// much of them decides about a load.
	Trial, Sum time.Duration
	// Width is how far apart the bounds may be in the end, as a share of the upper
	// one.
	Width float64
}

// SearchConfig says what is searched for, and where.
type SearchConfig struct {
	Goals []Goal
	// Min and Max bound the loads, in probes a second.
	Min, Max uint64
	// Warmup is that of each trial, Burst as in Load.
	Warmup time.Duration
	Burst  int
	// Tell is told of each trial and what is known then. It may be nil.
	Tell func(Trial, []Throughput)
}

// search is one under way.
type search struct {
	SearchConfig
	run     Runner
	trials  []Trial
	results map[uint64][]outcome // by load
	ceiling bool                 // Max is what the generator can
	hint    uint64               // answers a second under an overload that was none as asked for; 0: none
	sent    float64              // the most that the generator has sent in any trial, probes a second
}

// outcome is a trial as the search sees it.
type outcome struct {
	duration time.Duration
	loss     float64
	answered float64 // a second
}

// preludes are how much shorter than full length the trials of each phase are.
// The first ones only say where to look (RFC 9971, section 5.2).
var preludes = []float64{0.25, 1}

// How often a load is tried before it counts as one that the generator cannot
// send: where it is well below what it has sent before, where it is close to what it
// can, and where it is far off. Each may have been a moment when others had the CPU.
const (
	maxEasy  = 12
	maxClose = 5
	maxFar   = 2
	easy     = 0.5
	farOff   = 0.1
)

// Search finds the bounds of all goals. Trials of one goal serve the others too:
// that is the multiple-loss-ratio search of RFC 9971 (MLRsearch), in a simple form.
//
// It begins with Max, then asks for each goal, from the strictest on, first in
// short trials and then in full-length ones, at a load between the highest that
// reached the goal and the lowest that did not, until the two are close. What a
// load is, decide the trials at just that load. A higher load that reached a goal
// behind a lower one that did not counts for nothing.
//
// With an error it returns what is known.
func Search(ctx context.Context, run Runner, c SearchConfig) ([]Throughput, []Trial, error) {
	s := &search{SearchConfig: c, run: run, results: map[uint64][]outcome{}}
	slices.SortStableFunc(s.Goals, func(a, b Goal) int { return cmp.Compare(a.Loss, b.Loss) })
	if s.Min < 1 || s.Max < s.Min || len(s.Goals) == 0 {
		return nil, nil, fmt.Errorf("search from %d to %d probes a second for %d goals: nothing to search", s.Min, s.Max, len(s.Goals))
	}
	err := s.all(ctx)
	return s.throughputs(), s.trials, err
}

func (s *search) all(ctx context.Context) error {
	// Twice: what a short trial says of Max is not enough, but what is answered
	// under overload is where the capacity is near.
	for phase, part := range preludes {
		for _, g := range s.Goals {
			if err := s.goal(ctx, g, part, phase > 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// goal narrows the bounds of one goal, by trials of a part of the full length.
func (s *search) goal(ctx context.Context, g Goal, part float64, final bool) error {
	trial := time.Duration(float64(g.Trial) * part)
	width := g.Width
	if !final {
		width *= 2
	}
	for {
		lower, upper := s.bounds(g, trial)
		load, done := s.next(g, trial, lower, upper, width)
		if done {
			return nil
		}
		if err := s.measure(ctx, load, trial); err != nil {
			return err
		}
	}
}

// next is the load to measure now, or none if the bounds are close enough.
func (s *search) next(g Goal, trial time.Duration, lower, upper uint64, width float64) (load uint64, done bool) {
	switch {
	case upper == 0 && lower >= s.Max, lower == 0 && upper != 0 && upper <= s.Min:
		return 0, true
	case upper != 0 && lower != 0 && float64(upper-lower) <= max(width*float64(upper), 1):
		return 0, true
	}
	// What is not decided yet is measured again first.
	if load, ok := s.undecided(g, trial, lower, upper); ok {
		return load, false
	}
	hintLower, hintUpper := s.hints(g, trial)
	within := func(load uint64) bool {
		return load != 0 && load >= s.Min && load <= s.Max && load > lower && (upper == 0 || load < upper)
	}
	switch {
	case within(hintLower):
		return hintLower, false
	case within(hintUpper):
		return hintUpper, false
	case upper == 0 && lower == 0 && within(s.hint) && !s.measured(s.hint, trial):
		return s.hint, false
	case upper == 0 && lower == 0:
		return s.Max, false
	case lower != 0 && (upper > 2*lower || upper == 0 && s.hint != 0 && s.Max > 2*lower):
		// What was answered under overload may be just the capacity. If it is not, only
		// the order of magnitude is known.
		if step := s.expansion(g, trial, lower); step <= 2*g.Width {
			return lower + uint64(math.Ceil(float64(lower)*step)), false
		}
		return uint64(math.Sqrt(float64(lower) * float64(cmp.Or(upper, s.Max)))), false
	case upper == 0: // go up in growing steps
		return min(s.Max, lower+uint64(math.Ceil(float64(lower)*s.expansion(g, trial, lower)))), false
	case lower == 0:
		// Under overload as many are answered as can be, or fewer.
		if guess := s.forwarded(upper); guess >= s.Min && float64(guess) < float64(upper)*(1-4*g.Width) {
			return guess, false
		}
		down := uint64(float64(upper) * (1 - s.expansion(g, trial, upper)))
		return max(s.Min, min(down, upper-1)), false
	}
	return lower + (upper-lower)/2, false
}

// expansion is how far the next load is from the last one, as a share of it,
// where only one bound is known: it doubles with every trial that did not help.
func (s *search) expansion(g Goal, trial time.Duration, from uint64) float64 {
	step := g.Width
	for load := range s.results {
		if s.measured(load, trial) && load <= 2*from && load >= from/2 {
			step *= 2
		}
	}
	return min(step, 0.5)
}

// forwarded is how many answers a second came at a load, a little less.
func (s *search) forwarded(load uint64) uint64 {
	least := math.Inf(1)
	for _, r := range s.results[load] {
		least = min(least, r.answered)
	}
	if math.IsInf(least, 1) {
		return 0
	}
	return uint64(least)
}

func (s *search) measured(load uint64, trial time.Duration) bool {
	return slices.ContainsFunc(s.results[load], func(o outcome) bool { return o.duration >= trial })
}

// class is what a load is for a goal.
type class int

const (
	unknown class = iota
	isLower       // the goal is reached
	isUpper       // it is not
)

// classify decides about a load by its trials (RFC 9971, appendix A): those of at
// least a length count in full, and of the shorter ones as much as more of them went
// badly than may. The load is a bound once no further trial of the duration sum could
// change that.
func (s *search) classify(g Goal, trial time.Duration, load uint64) class {
	var good, bad, shortGood, shortBad float64
	for _, o := range s.results[load] {
		sum := &good
		switch reached := o.loss <= g.Loss; {
		case !reached && o.duration < trial:
			sum = &shortBad
		case !reached:
			sum = &bad
		case o.duration < trial:
			sum = &shortGood
		}
		*sum += o.duration.Seconds()
	}
	bad += max(0, shortBad-shortGood*g.Exceed/(1-g.Exceed))
	whole := max(good+bad, g.sum(trial).Seconds())
	allowed := whole * g.Exceed
	optimistic, pessimistic := bad <= allowed, whole-good <= allowed
	switch {
	case optimistic && pessimistic:
		return isLower
	case !optimistic && !pessimistic:
		return isUpper
	}
	return unknown
}

// sum is how much of trials decides about a load: in a phase of shorter ones, one.
func (g Goal) sum(trial time.Duration) time.Duration {
	if trial < g.Trial {
		return trial
	}
	return g.Sum
}

// conditional is the conditional throughput at a load (RFC 9971, appendix B): the
// answers a second in the worst of the full-length trials, but for those that may
// go badly.
func (s *search) conditional(g Goal, load uint64) float64 {
	var losses []outcome
	sum := 0.0
	for _, o := range s.results[load] {
		if o.duration >= g.Trial {
			losses = append(losses, o)
			sum += o.duration.Seconds()
		}
	}
	if len(losses) == 0 {
		return 0
	}
	slices.SortFunc(losses, func(a, b outcome) int { return cmp.Compare(a.loss, b.loss) })
	remaining := max(g.Sum.Seconds(), sum) * (1 - g.Exceed)
	loss := losses[0].loss
	for _, o := range losses {
		if remaining <= 0 {
			return float64(load) * (1 - loss)
		}
		loss = o.loss
		remaining -= o.duration.Seconds()
	}
	if remaining > 0 {
		return 0
	}
	return float64(load) * (1 - loss)
}

// loads are those that were measured, ascending.
func (s *search) loads() []uint64 {
	var loads []uint64
	for load := range s.results {
		loads = append(loads, load)
	}
	slices.Sort(loads)
	return loads
}

// bounds are the relevant ones: the lowest upper bound, and the highest lower
// bound below it; 0 where there is none.
func (s *search) bounds(g Goal, trial time.Duration) (lower, upper uint64) {
	for _, load := range s.loads() {
		switch s.classify(g, trial, load) {
		case isUpper:
			return lower, load
		case isLower:
			lower = load
		}
	}
	return lower, 0
}

// undecided is a load between the bounds that has had trials, but not enough.
func (s *search) undecided(g Goal, trial time.Duration, lower, upper uint64) (uint64, bool) {
	for _, load := range s.loads() {
		if load > lower && (upper == 0 || load < upper) && s.measured(load, trial) && s.classify(g, trial, load) == unknown {
			return load, true
		}
	}
	return 0, false
}

// hints are the bounds that shorter trials have found.
func (s *search) hints(g Goal, trial time.Duration) (lower, upper uint64) {
	shorter := time.Duration(float64(g.Trial) * preludes[0])
	if trial <= shorter {
		return 0, 0
	}
	return s.bounds(Goal{Loss: g.Loss, Exceed: g.Exceed, Trial: g.Trial, Sum: g.Sum}, shorter)
}

// measure runs a trial. A load that the generator cannot send lowers Max.
func (s *search) measure(ctx context.Context, load uint64, trial time.Duration) error {
	best := 0.0
	for try := 1; ; try++ {
		t, err := s.run.Trial(ctx, Load{Rate: load, Duration: trial, Warmup: s.Warmup, Burst: s.Burst, Settle: true, Purpose: "search"})
		if err != nil {
			return err
		}
		s.trials = append(s.trials, t)
		if t.Valid {
			s.results[load] = append(s.results[load], outcome{trial, t.LossRatio(), t.RateAnswered})
		}
		if s.Tell != nil {
			s.Tell(t, s.throughputs())
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case t.silent:
			return s.silent(ctx, load, trial)
		case t.Valid:
			s.sent = max(s.sent, t.RateSent)
			return nil
		}
		best, s.sent = max(best, t.RateSent), max(s.sent, t.RateSent)
		lossy := t.Sent > 0 && t.LossRatio() >= limitedLoss
		if lossy {
			s.hint = uint64(t.RateAnswered)
		}
		// What the target loses most of need not be sent exactly: that tells where to
		// look, and no more.
		tries := maxClose
		switch {
		case float64(load) < easy*s.sent:
			tries = maxEasy
		case lossy:
			tries = 1
		case math.Abs(t.Generator.PacingError) >= farOff:
			tries = maxFar
		}
		if try < tries {
			continue
		}
		// Loads above are out of reach as well.
		reach := min(uint64(best*0.98), uint64(float64(load)*0.95), load-1)
		if reach < s.Min {
			return fmt.Errorf("the generator cannot even send %d probes a second: %s", load, t.Reason)
		}
		s.Max, s.ceiling = min(s.Max, reach), true
		return nil
	}
}

// silent finds out whether a target that answered nothing at a load is gone, or
// only answers nothing when it gets too much.
func (s *search) silent(ctx context.Context, load uint64, trial time.Duration) error {
	if gentle := max(s.Min, gentleRate); gentle < load {
		t, err := s.run.Trial(ctx, Load{Rate: gentle, Duration: max(trial, gentleTrial), Warmup: s.Warmup, Settle: true, Purpose: "search"})
		if err != nil {
			return err
		}
		s.trials = append(s.trials, t)
		if s.Tell != nil {
			s.Tell(t, s.throughputs())
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !t.silent {
			s.results[load] = append(s.results[load], outcome{trial, 1, 0})
			return nil
		}
	}
	return ErrSilent
}

// gentleRate, for gentleTrial at least, is what anybody alive answers some of.
const (
	gentleRate  = 100
	gentleTrial = 100 * time.Millisecond
)

// throughputs are what is known now.
func (s *search) throughputs() []Throughput {
	var list []Throughput
	for _, g := range s.Goals {
		lower, upper := s.bounds(g, g.Trial)
		t := Throughput{Goal: g.Loss, Lower: lower, Upper: upper}
		switch {
		case upper == 0 && lower == 0:
			t.Limit = "not found"
		case upper == 0 && s.ceiling:
			t.Limit = "generator"
		case upper == 0:
			t.Limit = "max-rate"
		case lower == 0:
			t.Limit = "min-rate"
		}
		t.Conditional = s.conditional(g, lower)
		list = append(list, t)
	}
	return list
}
