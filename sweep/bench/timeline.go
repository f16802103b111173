// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"math"
	"time"

	"xsweep/loader"
)

// Second is what happened in one second of a trial. Sent, Answered and latencies go by
// when it happened, so that what is sent at a second's end is answered in the next
// one; Lost goes by when a probe was sent. The last one is what is left, and has all
// that was answered since.
type Second struct {
	At       float64 `json:"at"` // s since the first probe, at its end
	Sent     uint64  `json:"sent"`
	Answered uint64  `json:"answered"`
	// Lost is nil where nobody knows. (A late answer that came before it was looked
	// for passes for one in time.)
	Lost *uint64 `json:"lost,omitempty"`
	P50  uint64  `json:"p50"` // from the send stamp, ns; 0 without answers
	P99  uint64  `json:"p99"`
	Max  uint64  `json:"max"` // the middle of the highest bin
}

// timeline divides a trial into seconds, and looks for the probes that were lost once
// their answers would be late: before the window moves past them.
type timeline struct {
	r       *running
	looks   []look   // that are not settled, the earliest first
	settled []uint64 // by thread: probes with lower numbers are
	lost    uint64   // of the settled ones of the second under way
	known   bool     // and whether that is all
	told    int      // seconds
	before  loader.BenchStats
	// lastLost is one more than the highest place in the trial of a probe that counts
	// and was lost; 0: none. allKnown says whether that is so of all that are settled.
	lastLost uint64
	allKnown bool
}

// look is how many probes each thread had handed over at some time.
type look struct {
	at     int64
	handed []uint64
	second bool // a second ends here
}

func newTimeline(r *running) *timeline {
	l := &timeline{r: r, known: true, allKnown: true}
	threads := r.s.config.Threads
	for range threads {
		l.settled = append(l.settled, r.warm/uint64(threads))
	}
	return l
}

// look reads what each thread has handed over, and all together.
func (l *timeline) look(now int64, second bool) (next look, all uint64) {
	next = look{at: now, second: second}
	for _, w := range l.r.senders {
		handed := w.tx.Handed()
		next.handed = append(next.handed, handed)
		all += handed
	}
	return next, all
}

// note looks at the senders while they send.
func (l *timeline) note(now int64) {
	if l.r.first.at == 0 {
		return // still the warm-up
	}
	seconds := &l.r.trial.Seconds
	second := false
	var stats loader.BenchStats
	if now-l.r.first.at >= int64(len(*seconds)+1)*int64(time.Second) {
		// First what was answered, so that it is not more than what was sent.
		var err error
		stats, err = l.r.s.judge.Stats()
		second = err == nil
	}
	next, all := l.look(now, second)
	if second {
		*seconds = append(*seconds, l.second(now, all, stats))
	}
	l.looks = append(l.looks, next)
	l.settle(now)
}

// second is what happened since the last one.
func (l *timeline) second(now int64, handed uint64, stats loader.BenchStats) Second {
	s := Second{At: float64(now-l.r.first.at) / 1e9, Sent: handed - min(l.r.warm, handed), Answered: stats.Sent.Count - l.before.Sent.Count}
	for _, earlier := range l.r.trial.Seconds {
		s.Sent -= earlier.Sent
	}
	latency := stats.Sent
	for i, n := range l.before.Sent.Bins {
		latency.Bins[i] -= n
	}
	latency.Count = s.Answered
	if q := newLatency(&latency); q.Count > 0 && len(q.Bins) > 0 {
		s.P50, s.P99, s.Max = q.P50, q.P99, q.Bins[len(q.Bins)-1].NS
	}
	l.before = stats
	return s
}

// settle looks for what was lost of all whose answers would be late by now.
func (l *timeline) settle(now int64) {
	for len(l.looks) > 0 && l.looks[0].at+int64(l.r.s.config.Drain) <= now {
		l.search(l.looks[0])
		l.looks = l.looks[1:]
	}
}

func (l *timeline) search(to look) {
	r, threads := l.r, uint64(l.r.s.config.Threads)
	for thread, handed := range to.handed {
		if handed <= l.settled[thread] {
			continue
		}
		first := r.base + uint64(thread)
		lost, last, known := r.s.judge.Lost(first+l.settled[thread]*threads, first+handed*threads, threads)
		l.lost += lost
		l.known, l.allKnown = l.known && known, l.allKnown && known
		if lost > 0 {
			l.lastLost = max(l.lastLost, last-r.base+1)
		}
		l.settled[thread] = handed
	}
	if to.second {
		l.tell()
	}
}

// tell reports the next second, whose loss is known now.
func (l *timeline) tell() {
	second := &l.r.trial.Seconds[l.told]
	l.told++
	if lost := l.lost; l.known {
		second.Lost = &lost
	}
	l.lost, l.known = 0, true
	if l.r.s.config.Second != nil {
		l.r.s.config.Second(*second)
	}
}

// end adds the last second, which is rarely a whole one, when all is sent and the
// drain time is over.
func (l *timeline) end(ended int64, stats loader.BenchStats) {
	last, all := l.look(ended, l.r.first.at != 0) // or it was too short to be looked at before
	if seconds := &l.r.trial.Seconds; last.second {
		rest := l.second(ended, all, stats)
		if n := len(*seconds); n > 0 && rest.Sent == 0 {
			(*seconds)[n-1].Answered += rest.Answered // of what was sent before
			last.second = false
		} else {
			*seconds = append(*seconds, rest)
		}
	}
	l.looks = append(l.looks, last)
	l.settle(math.MaxInt64)
}
