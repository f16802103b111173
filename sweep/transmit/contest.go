// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"fmt"
	"sync"
	"time"

	"xsweep/internal/si"
	"xsweep/sweep/pace"
)

// trialTime is how long each thread sends one way to measure it: long enough
// for thousands of frames, short enough that the slower way costs little.
const trialTime = int64(60 * time.Millisecond)

// reached is the share of the asked rate that counts as reaching it: a trial is
// short, and begins in the middle of a schedule.
const reached = 0.95

// Choice is the way that won a Contest, and why.
type Choice struct {
	Way string // "packet" or "xdp"
	Why string
	// Packet and XDP are what was measured, in probes a second over all threads;
	// 0 if it was not.
	Packet, XDP float64
}

// The rounds of a contest: each measures one way.
const (
	packetRound = iota
	xdpRound
	rounds
)

// Contest is where the sending threads of a sweep agree on one way: all of them
// first try packet, and go on with it if that reaches the rate; else all of them
// try xdp, and go on with what was faster. It may be used from any goroutine.
type Contest struct {
	rate   pace.Rate
	chosen func(Choice)

	mu      sync.Mutex
	threads int // that still take part
	reports [rounds]int
	rates   [rounds]float64
	failure error // the first of a thread that could not send by xdp
	choice  *Choice
	second  bool // packet did not do: xdp is to be tried
	xdp     bool // some thread sends by it
}

// NewContest begins a contest of so many threads that share a rate. chosen is
// told once how it ended, from the goroutine of one of them.
func NewContest(threads int, rate pace.Rate, chosen func(Choice)) *Contest {
	return &Contest{rate: rate, chosen: chosen, threads: threads}
}

// report tells how a thread has done in a round; err, that it could not send
// that way at all.
func (c *Contest) report(round int, rate float64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reports[round]++
	c.rates[round] += rate
	if c.failure == nil {
		c.failure = err
	}
	c.judge()
}

// opened tells that a thread goes on by xdp.
func (c *Contest) opened() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.xdp = true
}

// leave takes a thread out that has nothing more to send. It must have reported
// on the rounds before this one.
func (c *Contest) leave(round int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.threads--
	for before := range round {
		c.reports[before]--
	}
	c.judge()
}

// judge ends a round that all threads have reported on.
func (c *Contest) judge() {
	switch {
	case c.choice != nil:
	case c.threads == 0:
		way := "packet"
		if c.xdp {
			way = "xdp"
		}
		c.choose(way, "the sweep ended while it was tried")
	case !c.second && c.reports[packetRound] >= c.threads:
		if c.rate != pace.Max && c.rates[packetRound] >= reached*float64(c.rate) {
			c.choose("packet", fmt.Sprintf("it reaches the rate: %s measured", shown(c.rates[packetRound])))
			return
		}
		c.second = true
	case c.second && c.reports[xdpRound] >= c.threads:
		measured := fmt.Sprintf("xdp %s, packet %s", shown(c.rates[xdpRound]), shown(c.rates[packetRound]))
		switch {
		case c.failure != nil:
			c.choose("packet", fmt.Sprintf("xdp failed: %v", c.failure))
		case c.rates[xdpRound] > c.rates[packetRound]:
			c.choose("xdp", "it was faster: "+measured)
		default:
			c.choose("packet", "it was not slower: "+measured)
		}
	}
}

func shown(rate float64) string { return si.Short(rate, "p/s") }

func (c *Contest) choose(way, why string) {
	c.choice = &Choice{Way: way, Why: why, Packet: c.rates[packetRound], XDP: c.rates[xdpRound]}
	c.chosen(*c.choice)
}

// outcome is the choice, if it is made, and otherwise whether xdp is to be
// tried.
func (c *Contest) outcome() (choice *Choice, second bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.choice, c.second
}
