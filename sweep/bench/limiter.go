// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"math"
	"time"
)

// Limiter is a target's limit of its answers, as far as can be told from outside:
// a token bucket.
type Limiter struct {
	Rate  float64 `json:"rate"`  // answers a second
	Burst float64 `json:"burst"` // answers at once after a pause
}

const (
	// constant is how far the answers at two loads may differ for a limiter.
	constant = 0.03
	// slower is how much longer answers may take under overload: a limiter does not
	// queue, a target at the end of its capacity does.
	slower      = 3
	slowerAtAll = 200 * time.Microsecond
	// limiterTries is how often a load is tried that the generator does not send as
	// asked for.
	limiterTries = 3
	// fillTime is how long a bucket fills whose depth is not known, and maxFillTime
	// how long one does at most.
	fillTime    = 2 * time.Second
	maxFillTime = time.Minute
	// limitedLoss is the loss without which nothing is limited.
	limitedLoss = 0.2
)

// FindLimiter tries loads of two and four times a rate from which on probes are
// lost, the latter for two lengths of time. A limiter answers so many a second
// whatever comes, and no later than before: at says how long answers take below
// the limit. rest lets a bucket fill up between two trials. If the target is none,
// the limiter is nil.
//
// With the same load for the times t1 and t2 from a full bucket on, b + r t1 and
// b + r t2 are answered: rate and bucket follow.
func FindLimiter(ctx context.Context, run Runner, rate uint64, duration time.Duration, at Latency, rest func(context.Context, time.Duration) error) (*Limiter, []Trial, error) {
	var trials, decided []Trial
	wait := fillTime
	measure := func(load Load) (t Trial, err error) {
		load.Purpose = "limiter"
		for try := 0; try < limiterTries && !t.Valid; try++ {
			if err := rest(ctx, wait); err != nil {
				return t, err
			}
			if t, err = run.Trial(ctx, load); err != nil {
				return t, err
			}
			trials = append(trials, t)
		}
		return t, nil
	}
	// A deep bucket takes longer to be empty.
	first := Trial{}
	for try := 0; try < 3; try++ {
		var err error
		if first, err = measure(Load{Rate: 2 * rate, Duration: 2 * duration}); err != nil {
			return nil, trials, err
		}
		if !first.Valid || first.LossRatio() >= limitedLoss {
			break
		}
		duration *= 3
	}
	wait = first.fill()
	for _, load := range []Load{{}, {Rate: 4 * rate, Duration: duration}, {Rate: 4 * rate, Duration: 3 * duration}} {
		t := first
		if load.Rate > 0 {
			var err error
			if t, err = measure(load); err != nil {
				return nil, trials, err
			}
		}
		if !t.Valid || t.LossRatio() < limitedLoss || at.Count > 0 && t.RTT.Count > 0 && t.RTT.P50 > slower*at.P50+uint64(slowerAtAll) {
			return nil, trials, nil
		}
		decided = append(decided, t)
	}
	double, short, long := &decided[0], &decided[1], &decided[2]
	l := fit(short, long)
	// The bucket is in the answers at twice the rate too.
	expected := l.Burst + l.Rate*double.took()
	if l.Rate <= 0 || math.Abs(float64(double.Answered)-expected) > constant*expected {
		return nil, trials, nil
	}
	return &l, trials, nil
}

// fit finds rate and bucket from the answers to two trials of the same load.
func fit(short, long *Trial) Limiter {
	l := Limiter{Rate: (float64(long.Answered) - float64(short.Answered)) / (long.took() - short.took())}
	l.Burst = max(float64(short.Answered)-l.Rate*short.took(), 0)
	return l
}

// fill is how long it takes until the bucket that a trial has emptied is full, as
// far as its last whole second tells the rate.
func (t *Trial) fill() time.Duration {
	for i := len(t.Seconds) - 1; i > 0; i-- {
		length := t.Seconds[i].At - t.Seconds[i-1].At
		if length < 0.9 || t.Seconds[i].Answered == 0 {
			continue
		}
		rate := float64(t.Seconds[i].Answered) / length
		seconds := 1.2 * (float64(t.Answered)/rate - t.took())
		return min(max(time.Duration(seconds*float64(time.Second)), fillTime), maxFillTime)
	}
	return fillTime
}

// took is how long a trial really sent, in seconds: a limiter goes by the clock.
func (t *Trial) took() float64 {
	if t.RateSent <= 0 {
		return t.Duration
	}
	return float64(t.Sent) / t.RateSent
}
