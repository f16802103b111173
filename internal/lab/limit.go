// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"xsweep/internal/si"
	"xsweep/sweep/target"
)

// This file says how much a simulated network takes, and when:
// bpf/include/simnet_limit.h counts by the numbers that are prepared here.

// Bounds of a [Bucket] keep the arithmetic of the program within 63 bits.
const (
	maxBucketRate  = 1_000_000_000
	maxBucketBurst = 1_000_000
	// DefaultBurst is what a bucket holds unless it is said.
	DefaultBurst = 64
)

// limitShift is LIMIT_SHIFT of bpf/include/simnet_limit.h.
const limitShift = 10

// Bucket is a token bucket: over any time T at most Rate times T plus Burst
// packets conform to it. The zero Bucket is no limit.
type Bucket struct {
	Rate  uint64 // packets a second
	Burst uint64 // packets; at least 1
}

// ParseBucket reads RATE or RATE:BURST, such as 50k:64, where the burst is
// [DefaultBurst] by default. Errors are one line.
func ParseBucket(text string) (Bucket, error) {
	rate, burst, both := strings.Cut(text, ":")
	b := Bucket{Burst: DefaultBurst}
	var err error
	if b.Rate, err = parseWhole(rate); err != nil || b.Rate < 1 || b.Rate > maxBucketRate {
		return Bucket{}, fmt.Errorf("%q: the rate must be a whole number of packets a second from 1 to 1G, as in 50k:64", text)
	}
	if !both {
		return b, nil
	}
	if b.Burst, err = parseWhole(burst); err != nil || b.Burst < 1 || b.Burst > maxBucketBurst {
		return Bucket{}, fmt.Errorf("%q: the burst must be a whole number of packets from 1 to 1M, as in 50k:64", text)
	}
	return b, nil
}

// parseWhole reads a whole number with a suffix or none.
func parseWhole(text string) (uint64, error) {
	v, err := si.Parse(text)
	if err == nil && (v != math.Trunc(v) || v >= 1<<53) {
		err = errors.New("not a whole number")
	}
	return uint64(v), err
}

func (b Bucket) String() string { return si.Exact(b.Rate) + ":" + si.Exact(b.Burst) }

func (b Bucket) validate() error {
	if b == (Bucket{}) {
		return nil
	}
	if b.Rate < 1 || b.Rate > maxBucketRate || b.Burst < 1 || b.Burst > maxBucketBurst {
		return fmt.Errorf("%s: must be from 1 to 1G packets a second, with a burst from 1 to 1M", b)
	}
	return nil
}

// interval and tolerance are what admit() of the program takes, in 1/1024 ns. The
// interval is rounded up, so that no bucket is faster than it says.
func (b Bucket) interval() uint64 {
	if b.Rate == 0 {
		return 0
	}
	return (uint64(time.Second)<<limitShift + b.Rate - 1) / b.Rate
}

func (b Bucket) tolerance() uint64 {
	if b.Rate == 0 {
		return 0
	}
	return (b.Burst - 1) * b.interval()
}

// Queue is a server with room before it: each answer takes 1/Rate seconds, one
// after the other, and at most Length are there at a time, the one being served
// included. The zero Queue takes no time.
type Queue struct {
	Rate   uint64 // answers a second
	Length uint64
}

// ParseQueue reads RATE:LENGTH, such as 50k:100. Errors are one line.
func ParseQueue(text string) (Queue, error) {
	b, err := ParseBucket(text)
	if err == nil && !strings.Contains(text, ":") {
		err = fmt.Errorf("%q: must be RATE:LENGTH", text)
	}
	if err != nil {
		return Queue{}, fmt.Errorf("%w (a queue is RATE:LENGTH, answers a second and how many it holds, as in 50k:100)", err)
	}
	return Queue{b.Rate, b.Burst}, nil
}

func (q Queue) validate() error {
	if q == (Queue{}) {
		return nil
	}
	if q.Rate < 1 || q.Rate > maxBucketRate || q.Length < 1 || q.Length > maxBucketBurst {
		return fmt.Errorf("%d:%d: must be from 1 to 1G answers a second, with room for 1 to 1M", q.Rate, q.Length)
	}
	return nil
}

// Outage is a time that comes again and again, in which nothing comes through:
// the last For of each Every, since the lab began. The zero Outage is none.
type Outage struct {
	Every, For time.Duration
}

// ParseOutage reads EVERY:FOR, such as 10s:250ms. Errors are one line.
func ParseOutage(text string) (Outage, error) {
	every, length, _ := strings.Cut(text, ":")
	var o Outage
	var errs [2]error
	o.Every, errs[0] = time.ParseDuration(every)
	o.For, errs[1] = time.ParseDuration(length)
	if errs != [2]error{} {
		return Outage{}, fmt.Errorf("%q: must be two durations, EVERY:FOR, as in 10s:250ms", text)
	}
	if o.Every <= 0 || o.For <= 0 {
		return Outage{}, fmt.Errorf("%q: both durations must be longer than 0", text)
	}
	return o, o.validate()
}

func (o Outage) String() string { return fmt.Sprintf("%v:%v", o.Every, o.For) }

func (o Outage) validate() error {
	if o == (Outage{}) {
		return nil
	}
	if o.Every <= 0 || o.For <= 0 || o.For > o.Every {
		return fmt.Errorf("%s: must be longer than 0 and at most as long as the time of which it is the end", o)
	}
	return nil
}

// Out says whether nothing comes through at a time since the lab began.
func (o Outage) Out(since time.Duration) bool {
	return o.Every > 0 && since%o.Every >= o.Every-o.For
}

// Timeless says what keeps the truth of a sweep from being known beforehand, by
// the name of a flag: nothing if it is empty.
func (c Config) Timeless() string {
	switch {
	case c.Capacity != Bucket{}:
		return "capacity"
	case c.Limiter != Bucket{}:
		return "limiter"
	case c.Outage != Outage{}:
		return "outage"
	case c.PerProbe:
		return "per-probe"
	case c.Queue != Queue{}:
		return "queue"
	case c.ICMPLimit != Bucket{}:
		return "icmp-limit"
	case c.ICMPRateLimit != 0:
		return "icmp-ratelimit"
	}
	return ""
}

// IndexLost says whether, with PerProbe, the echo request to a that carries
// this index gets lost. The index is the whole word of docs/wire-format.md:
// index and attempt.
func (c Config) IndexLost(a target.Addr, index uint64) bool {
	return c.indexBelow(a, drawIndexLoss, index, c.Loss)
}

// IndexDuplicated says the same of whether it is answered twice.
func (c Config) IndexDuplicated(a target.Addr, index uint64) bool {
	return c.indexBelow(a, drawIndexDuplicate, index, c.Duplicate)
}

func (c Config) indexBelow(a target.Addr, n drawNumber, index uint64, probability float64) bool {
	return mix(newDraws(c.Seed).draw(a, n)^index)>>32 < threshold(probability)
}

// monotonic reads the clock that programs in the kernel read.
func monotonic() (time.Duration, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, fmt.Errorf("read the clock: %w", err)
	}
	return time.Duration(now.Nano()), nil
}
