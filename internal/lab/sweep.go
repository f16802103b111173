// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"iter"

	"xsweep/sweep/probe"
	"xsweep/sweep/reply"
	"xsweep/sweep/target"
)

// Replies is which of them a sweep writes.
type Replies uint8

// The choices.
const (
	PositiveReplies Replies = iota
	ErrorReplies
	AllReplies
)

var repliesNames = [...]string{PositiveReplies: "positive", ErrorReplies: "errors", AllReplies: "all"}

func (r Replies) String() string { return repliesNames[r] }

// ParseReplies reads positive, errors or all.
func ParseReplies(text string) (Replies, error) {
	for r, name := range repliesNames {
		if text == name {
			return Replies(r), nil
		}
	}
	return 0, fmt.Errorf("replies %q: must be positive, errors or all", text)
}

// Sweep says what a sweep inside a lab sends and what it writes, as far as that
// decides about its records. Each target gets Probes attempts, and in each
// attempt one probe of each kind: attempt by attempt, and within one kind by
// kind, every target gets its probe before any gets the next.
type Sweep struct {
	// Kinds are the kinds of probes, in their order.
	Kinds []probe.Kind
	// Probes is the number of attempts.
	Probes int
	// HopLimit is the TTL of probes.
	HopLimit uint8
	// Size is the length of an echo request's ICMP data in bytes.
	Size int
	// DF says that probes must not be fragmented.
	DF bool
	// Replies is what is written.
	Replies Replies
	// All is for every reply to be written, not only the first of a target and
	// the first of the same errors.
	All bool
}

// DefaultSweep is what `xsweep sweep` does if it is not told otherwise.
func DefaultSweep() Sweep {
	return Sweep{Kinds: []probe.Kind{probe.Echo}, Probes: 1, HopLimit: 64, Size: probe.PayloadLen}
}

// MaxSize is the largest size of echo requests, in bytes of ICMP data.
const MaxSize = 65535 - ipLen - icmpLen

// maxProbes is what the attempt in a probe has room for.
const maxProbes = 255

// Validate says what is wrong with s.
func (s Sweep) Validate() error {
	switch {
	case len(s.Kinds) == 0:
		return errors.New("probe: name a kind at least")
	case s.Probes < 1:
		return fmt.Errorf("probes %d: must be at least 1", s.Probes)
	case s.Probes > maxProbes:
		return fmt.Errorf("probes %d: must be at most %d", s.Probes, maxProbes)
	case s.HopLimit < 1:
		return fmt.Errorf("ttl %d: must be 1 to 255", s.HopLimit)
	case s.Size < 0 || s.Size > MaxSize:
		return fmt.Errorf("size %d: must be 0 to %d", s.Size, MaxSize)
	}
	return nil
}

// question is a probe of s.
func (s Sweep) question(kind probe.Kind) question {
	q := question{kind: kind, ttl: s.HopLimit, df: s.DF}
	switch kind {
	case probe.Echo:
		q.length, q.hasTag = ipLen+icmpLen+s.Size, s.Size >= probe.PayloadLen
	case probe.Timestamp:
		q.length = ipLen + timestampLen
	case probe.Mask:
		q.length = ipLen + maskLen
	}
	return q
}

// arrival is an answer to a probe of an attempt.
type arrival struct {
	answer
	attempt int
}

// arrivals yields what comes back from a, in order, without what is no valid
// answer. The number of a probe among those for a counts all that were sent,
// whether or not they got so far as the host.
func (c Config) arrivals(s Sweep) func(a target.Addr) iter.Seq[arrival] {
	questions := make([]question, len(s.Kinds))
	for i, kind := range s.Kinds {
		questions[i] = s.question(kind)
	}
	respond := newWorld(c).answer
	switch c.Responder {
	case Kernel:
		respond = c.kernelAnswer
	case Sink:
		respond = func(target.Addr, int, question) (answer, int) { return answer{}, 0 }
	}
	return func(a target.Addr) iter.Seq[arrival] {
		return func(yield func(arrival) bool) {
			for attempt := range s.Probes {
				for i, q := range questions {
					r, copies := respond(a, attempt*len(questions)+i, q)
					for range copies {
						if r.flaw.valid() && !yield(arrival{r, attempt + 1}) {
							return
						}
					}
				}
			}
		}
	}
}

// errorKey is what tells the errors of one target apart.
type errorKey struct {
	from target.Addr
	kind reply.Kind
	code uint8
}

// Records yields, ascending by target, the records that a sweep inside such a
// lab must write, each target's in the order in which its answers come. Time,
// RTT and ClockOffset are not determined, and unknown. What a sweep skips is
// left out. It needs no lab and no privilege.
//
// The first positive reply of a target is not a duplicate, and every later one
// is. So it is with errors, each by target, sender, type and code.
func (c Config) Records(set target.Set, s Sweep) iter.Seq[reply.Record] {
	arrivals := c.arrivals(s)
	return func(yield func(reply.Record) bool) {
		seen := map[errorKey]bool{}
		for a := range set.Subtract(skipped).All() {
			clear(seen)
			replied := false
			for r := range arrivals(a) {
				record := r.record(a)
				if r.tagged {
					record.Attempt = uint8(r.attempt)
				}
				wanted := s.Replies != ErrorReplies
				if r.kind.IsError() {
					wanted = s.Replies != PositiveReplies
					key := errorKey{r.from, r.kind, r.code}
					record.Duplicate = seen[key]
					seen[key] = true
				} else {
					record.Duplicate = replied
					replied = true
				}
				if wanted && (s.All || !record.Duplicate) && !yield(record) {
					return
				}
			}
		}
	}
}

// Counts sums up what targets gave.
type Counts struct {
	Answered   uint64 // targets with a positive reply
	ErrorsOnly uint64 // with errors alone
	Both       uint64 // of those that answered, with errors too
	Silent     uint64 // with nothing
}

// Counts counts the targets of set, without those that a sweep skips, by what a
// sweep hears of them. It does not matter what it writes.
func (c Config) Counts(set target.Set, s Sweep) Counts {
	var n Counts
	arrivals := c.arrivals(s)
	for a := range set.Subtract(skipped).All() {
		var replied, refused bool
		for r := range arrivals(a) {
			if r.kind.IsError() {
				refused = true
			} else {
				replied = true
			}
		}
		switch {
		case replied && refused:
			n.Answered++
			n.Both++
		case replied:
			n.Answered++
		case refused:
			n.ErrorsOnly++
		default:
			n.Silent++
		}
	}
	return n
}
