// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"xsweep/sweep/bench"
	"xsweep/sweep/pace"
)

// What a search has by default, which has many trials.
const (
	searchRate     = pace.Rate(4_000_000)
	packetRate     = pace.Rate(500_000) // more than packet sends
	searchDuration = 2 * time.Second
	searchWarmup   = 250 * time.Millisecond
)

// latencyTries is how often a trial of latencies is run that is not valid.
const latencyTries = 3

// maxTrials bounds the trials of a curve.
const maxTrials = 1000

// completeMode checks what kind of benchmark is asked for.
func (f *benchFlags) completeMode() error {
	var modes []string
	for _, m := range []struct {
		flag string
		set  bool
	}{{"--search", f.search}, {"--sweep", f.sweep != ""}, {"--soak", f.soak != 0}, {"--recovery", f.recovery != 0}} {
		if m.set {
			modes = append(modes, m.flag)
		}
	}
	if len(modes) > 1 {
		return fmt.Errorf("%s exclude each other: give one", strings.Join(modes, " and "))
	}
	for _, flag := range []string{"loss", "min-rate", "max-rate", "trials", "width"} {
		if f.changed(flag) && !f.search {
			return fmt.Errorf("--%s: only with --search", flag)
		}
	}
	switch {
	case f.search:
		return f.completeSearch()
	case f.sweep != "":
		return f.completeSweep()
	case f.soak < 0:
		return fmt.Errorf("--soak %v: must be above 0", f.soak)
	case f.soak > 0:
		f.duration = f.soak
	case f.recovery != 0 && !(f.recovery > 1): // nor is it NaN
		return fmt.Errorf("--recovery %v: a factor above 1", f.recovery)
	}
	if f.recovery > 0 && f.burst > 0 {
		return errors.New("--burst: not with --recovery")
	}
	return f.atLeastOne(f.rate)
}

// atLeastOne refuses trials without a probe.
func (f *benchFlags) atLeastOne(rate pace.Rate) error {
	if float64(rate)*f.duration.Seconds() < 0.5 {
		return fmt.Errorf("--duration %v: at %v probes a second that is less than one", f.duration, rate)
	}
	return nil
}

func (f *benchFlags) completeSearch() error {
	for word := range strings.SplitSeq(f.loss, ",") {
		ratio, err := parseRatio(strings.TrimSpace(word))
		if err != nil || ratio >= 1 {
			return fmt.Errorf("--loss: %q must be a share below 100%%, such as 0.5%%", word)
		}
		if slices.Contains(f.goals, ratio) {
			return fmt.Errorf("--loss: %q stands there twice", word)
		}
		f.goals = append(f.goals, ratio)
	}
	if !f.changed("duration") {
		f.duration = searchDuration
	}
	if !f.changed("warmup") {
		f.warmup = searchWarmup
	}
	if f.config.Tx == bench.TxPacket && !f.changed("max-rate") {
		f.maxRate = packetRate
	}
	switch {
	case f.changed("rate"):
		return errors.New("--rate: a search finds it: use --min-rate and --max-rate")
	case f.maxRate == pace.Max || f.minRate == pace.Max:
		return errors.New("--max-rate max: give a number")
	case f.maxRate < f.minRate:
		return fmt.Errorf("--max-rate %v: is below --min-rate, which is %v", f.maxRate, f.minRate)
	case f.trials < 1 || f.trials > 100:
		return fmt.Errorf("--trials %d: must be 1 to 100", f.trials)
	case f.width < 0.0001:
		return fmt.Errorf("--width %v: must be at least 0.01%%", showRatio(f.width))
	}
	if float64(f.minRate)*f.duration.Seconds() < 4 {
		return fmt.Errorf("--duration %v: the first trials take a quarter of it, which at --min-rate %v is less than a probe", f.duration, f.minRate)
	}
	return nil
}

// completeSweep reads A:B:STEP.
func (f *benchFlags) completeSweep() error {
	var rates []pace.Rate
	words := strings.Split(f.sweep, ":")
	for _, word := range words {
		rate, err := pace.ParseRate(word)
		if err != nil || rate == pace.Max {
			return fmt.Errorf("--sweep %q: must be three rates, such as 10k:100k:10k", f.sweep)
		}
		rates = append(rates, rate)
	}
	if len(rates) != 3 || rates[0] > rates[1] {
		return fmt.Errorf("--sweep %q: must be three rates from low to high and the step, such as 10k:100k:10k", f.sweep)
	}
	if f.changed("rate") {
		return errors.New("--rate: not with --sweep, which has its own")
	}
	if n := (rates[1]-rates[0])/rates[2] + 1; n > maxTrials {
		return fmt.Errorf("--sweep %q: %d trials are too many: at most %d", f.sweep, n, maxTrials)
	}
	for rate := rates[0]; rate <= rates[1]; rate += rates[2] {
		f.loads = append(f.loads, uint64(rate))
	}
	return f.atLeastOne(rates[0])
}

// highest is the highest load of any trial.
func (f *benchFlags) highest() uint64 {
	switch {
	case f.search:
		return uint64(f.maxRate)
	case len(f.loads) > 0:
		return f.loads[len(f.loads)-1]
	case f.recovery > 0:
		return uint64(float64(f.rate) * f.recovery)
	}
	return uint64(f.rate)
}

// mode runs the trials of one size.
func (f *benchFlags) mode(ctx context.Context, session *bench.Session, result *bench.Result) error {
	if f.search {
		return f.runSearch(ctx, session, result)
	}
	loads := f.loads
	if len(loads) == 0 {
		loads = []uint64{uint64(f.rate)}
	}
	for _, rate := range loads {
		load := bench.Load{Rate: rate, Duration: f.duration, Warmup: f.warmup, Burst: f.burst, Overload: f.recovery}
		t, err := session.Trial(ctx, load)
		if err != nil {
			return err
		}
		f.note(result, t, nil)
		if ctx.Err() != nil || !result.Answered() {
			return nil
		}
	}
	return nil
}

// note adds a trial to the result and tells of it.
func (f *benchFlags) note(result *bench.Result, t bench.Trial, known []bench.Throughput) {
	result.Trials = append(result.Trials, t)
	f.view.trial(&t, known)
}

// runSearch searches, then measures what follows from it.
func (f *benchFlags) runSearch(ctx context.Context, session *bench.Session, result *bench.Result) error {
	size := session.Size()
	c := bench.SearchConfig{Min: uint64(f.minRate), Max: uint64(f.maxRate), Warmup: f.warmup, Burst: f.burst}
	for _, loss := range f.goals {
		c.Goals = append(c.Goals, bench.Goal{Loss: loss, Exceed: 0.5, Trial: f.duration, Sum: time.Duration(f.trials) * f.duration, Width: f.width})
	}
	c.Tell = func(t bench.Trial, known []bench.Throughput) { f.note(result, t, known) }
	found, _, err := bench.Search(ctx, session, c)
	if errors.Is(err, context.Canceled) {
		result.Interrupted, err = true, nil
	}
	silent := errors.Is(err, bench.ErrSilent)
	if silent {
		err = nil // the verdict says so
	}
	var base uint64
	for i := range found {
		found[i].Size = size
		if base == 0 {
			base = found[i].Lower
		}
		if found[i].Goal == 0 {
			result.NDR = append(result.NDR, found[i])
		} else {
			result.PDR = append(result.PDR, found[i])
		}
	}
	if err != nil || silent || ctx.Err() != nil || base == 0 {
		return err
	}
	if f.modest && found[len(found)-1].Limit == "max-rate" {
		f.config.Log.Warn(fmt.Sprintf("the search ended at %d probes a second, the most that is tried unasked: --max-rate goes further", f.maxRate))
	}
	var relaxed bench.Latency
	for _, share := range []uint64{10, 50, 90} {
		load := bench.Load{Rate: max(base*share/100, 1), Duration: f.duration, Warmup: f.warmup, Burst: f.burst, Purpose: fmt.Sprintf("latency at %d %%", share)}
		for try, valid := 0, false; try < latencyTries && !valid && ctx.Err() == nil; try++ {
			t, err := session.Trial(ctx, load)
			if err != nil {
				return err
			}
			f.note(result, t, found)
			if valid = t.Valid; share == 50 {
				relaxed = t.RTT
			}
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	upper := found[len(found)-1].Upper
	if upper == 0 {
		return nil // nothing limits it
	}
	if 4*upper > uint64(f.maxRate) {
		f.config.Log.Warn(fmt.Sprintf("whether the target only limits its answers was not tried: that takes a --max-rate of %d", 4*upper))
		return nil
	}
	limiter, trials, err := bench.FindLimiter(ctx, session, upper, f.duration, relaxed, rest)
	for _, t := range trials {
		f.note(result, t, found)
	}
	result.Limiter = limiter
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// rest waits so long without sending.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
