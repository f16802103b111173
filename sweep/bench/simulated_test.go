// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"math/rand/v2"
	"time"
)

// simulated is a target, and a generator, of known truth.
type simulated struct {
	capacity float64 // answers a second; a token bucket
	bucket   float64 // its depth, in answers
	noise    float64 // probability of a trial that loses some for no reason of the target's
	loss     float64 // share of the probes that is lost whatever the load
	most     uint64  // what the generator can send
	stalls   float64 // probability of a trial in which others have its CPU for a while
	queue    bool    // answers take longer under overload
	collapse float64 // what part of the capacity is left under overload; 0: all
	random   *rand.Rand

	trials   int
	sending  time.Duration // in all
	measured []uint64      // loads
}

func (s *simulated) Trial(_ context.Context, load Load) (Trial, error) {
	s.trials++
	s.sending += load.Duration
	s.measured = append(s.measured, load.Rate)
	t := Trial{RateOffered: float64(load.Rate), RateSent: float64(load.Rate), Duration: load.Duration.Seconds(), Purpose: load.Purpose}
	if s.most > 0 && load.Rate > s.most {
		t.RateSent = float64(s.most)
	}
	if s.stalls > 0 && s.random.Float64() < s.stalls {
		t.RateSent *= 0.98
	}
	t.Sent = uint64(t.RateSent * t.Duration)
	// The bucket is full when the warm-up begins, and its overload empties it.
	bucket := s.bucket
	if over := t.RateSent - s.capacity; over > 0 && load.Warmup > 0 {
		bucket = max(bucket-over*load.Warmup.Seconds(), 0)
	}
	answered := min(float64(t.Sent), s.capacity*t.Duration+bucket)
	if s.collapse > 0 && answered < float64(t.Sent) {
		answered *= s.collapse
	}
	t.Answered = min(uint64(answered*(1-s.loss)), t.Sent)
	if s.noise > 0 && s.random.Float64() < s.noise {
		t.Answered -= min(t.Answered/50+1, t.Answered)
	}
	t.Lost = t.Sent - t.Answered
	t.RateAnswered = float64(t.Answered) / t.Duration
	t.RTT = Latency{Count: t.Answered, P50: 20_000}
	if s.queue && t.RateSent > s.capacity {
		t.RTT.P50 = 5_000_000
	}
	t.RTTScheduled = t.RTT
	t.Targets = []TargetResult{{Sent: t.Sent, Answered: t.Answered}}
	t.check(DefaultPacingError)
	return t, t.Check()
}
