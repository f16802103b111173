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
	for _, load := range []Load{
		{Rate: 2 * rate, Duration: 2 * duration},
		{Rate: 4 * rate, Duration: duration},
		{Rate: 4 * rate, Duration: 3 * duration},
	} {
		load.Purpose = "limiter"
		var t Trial
		for try := 0; try < limiterTries && !t.Valid; try++ {
			if err := rest(ctx, 2*time.Second); err != nil {
				return nil, trials, err
			}
			var err error
			if t, err = run.Trial(ctx, load); err != nil {
				return nil, trials, err
			}
			trials = append(trials, t)
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

// took is how long a trial really sent, in seconds: a limiter goes by the clock.
func (t *Trial) took() float64 {
	if t.RateSent <= 0 {
		return t.Duration
	}
	return float64(t.Sent) / t.RateSent
}
