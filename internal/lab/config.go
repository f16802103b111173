// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"time"

	"xsweep/sweep/target"
)

// The lab's addresses, from the block for benchmarks (RFC 2544).
const (
	SenderDevice    = "lab0"
	ResponderDevice = "lab1"
	// LinkBits is the prefix length of the link between the two.
	LinkBits = 30

	linkNetwork   = target.Addr(0xc6120000) // 198.18.0.0
	SenderAddr    = target.Addr(0xc6120001) // 198.18.0.1
	GatewayAddr   = target.Addr(0xc6120002) // 198.18.0.2
	linkBroadcast = target.Addr(0xc6120003) // 198.18.0.3
)

// kernelRange is what the kernel responder answers for: 198.18.0.0/15.
var kernelRange = target.Range{First: 0xc6120000, Last: 0xc613ffff}

// maxQueues is what the veth driver allows.
const maxQueues = 4096

// maxMeterRate keeps the meter's arithmetic exact; no link is as fast.
const maxMeterRate = 1_000_000_000

// Responder is who answers in a lab.
type Responder uint8

const (
	// Simnet answers in XDP for any IPv4 address that has a live host.
	Simnet Responder = iota
	// Kernel is Linux's own ICMP stack, answering for all of 198.18.0.0/15
	// with its rate limits lifted; with Hops, behind routers.
	Kernel
	// Sink counts requests and drops them.
	Sink
	// Delay is Simnet, whose answers a thread in user space sends later.
	Delay
)

var responderNames = [...]string{Simnet: "simnet", Kernel: "kernel", Sink: "sink", Delay: "delay"}

// simulated says that hosts and routers are those of simnet.
func (r Responder) simulated() bool { return r == Simnet || r == Delay }

func (r Responder) String() string {
	if int(r) < len(responderNames) {
		return responderNames[r]
	}
	return fmt.Sprintf("Responder(%d)", uint8(r))
}

// ParseResponder reads simnet, kernel, sink or delay.
func ParseResponder(text string) (Responder, error) {
	for r, name := range responderNames {
		if text == name {
			return Responder(r), nil
		}
	}
	return 0, fmt.Errorf("responder %q: must be simnet, kernel, sink or delay", text)
}

// Config says what a lab is like. The zero Config is a simnet where nobody
// lives.
type Config struct {
	// Responder is who answers.
	Responder Responder

	// Live is the probability that an address has a host, Loss
	// that a probe for such a host gets lost, and Duplicate that a host
	// answers every probe twice; each from 0 to 1. Only Simnet and Delay take them.
	Live, Loss, Duplicate float64

	// PerProbe draws loss and duplicates of echo requests by the index and
	// attempt in their payload, where they have 16 bytes of ICMP data or more. Otherwise
	// loss goes by a probe's number among those for its address, and duplicates
	// by host. Only Simnet and Delay take it.
	PerProbe bool

	// Capacity is how many echo requests all hosts together answer, Limiter how
	// many each address does; what comes beyond is dropped. Only Simnet and Delay take
	// them, and Outage.
	Capacity, Limiter Bucket

	// Outage is when nothing comes through.
	Outage Outage

	// Delay is how long after an answer is ready it is sent, Queue a server that it
	// passes before, and Reorder the probability that it leaves only after the one
	// that comes next. Only the Delay responder takes them.
	Delay   *Distribution
	Queue   Queue
	Reorder float64

	// Behaviours are how live hosts answer. Only Simnet and Delay take them.
	Behaviours Weights

	// Seed decides which hosts live, what they are like and which probes get
	// lost.
	Seed uint64

	// Queues is the number of receive and of transmit queues of each device;
	// 0 stands for the number of CPUs.
	Queues int

	// Addresses is how many addresses lab0 has: the first one of the link and then
	// 198.18.0.16 and so on, which are nobody else's; 0 stands for 1. At most
	// MaxAddresses, and not with Hops.
	Addresses int

	// MTU is that of every link, in bytes; 0 stands for 1500. It is at least
	// 1280, and at most 9000 with Kernel or 3500 with simnet and sink.
	MTU int

	// Hops is the number of routers between lab0 and the responder, each of
	// them Linux in a namespace of its own; see kernel.go for what they do
	// with which target. At most 8, and only with Kernel.
	Hops int

	// ICMPLimit is how many echo replies Linux sends, all in all, and ICMPRateLimit
	// how long it waits between two to the same address, once it has sent six at
	// once; see kernellimit.go. Zero is no limit. Only Kernel takes them.
	ICMPLimit     Bucket
	ICMPRateLimit time.Duration

	// MeterRate turns the meter on: requests are held against this
	// rate, in frames a second, as they arrive. 0 is no meter. Not for Kernel.
	MeterRate uint64

	// InPlace leaves the sender side in the namespace of the caller, where it
	// adds the device lab0 and a default route until the lab is closed.
	InPlace bool

	// Signals that arrive here while [Lab.Exec] runs are forwarded to its
	// command. The lab itself catches none.
	Signals <-chan os.Signal
}

// Validate says what is wrong with c.
func (c Config) Validate() error {
	if int(c.Responder) >= len(responderNames) {
		return fmt.Errorf("responder %d: must be simnet, kernel, sink or delay", c.Responder)
	}
	for _, p := range []struct {
		name  string
		value float64
	}{{"live", c.Live}, {"loss", c.Loss}, {"duplicate", c.Duplicate}} {
		if !(p.value >= 0 && p.value <= 1) { // so that NaN is refused too
			return fmt.Errorf("%s %v: must be a fraction from 0 to 1", p.name, p.value)
		}
		if p.value != 0 && !c.Responder.simulated() {
			return fmt.Errorf("%s %v: the %s responder has no such setting: use the simnet responder", p.name, p.value, c.Responder)
		}
	}
	for _, s := range []struct {
		name string
		set  bool
		err  error
	}{
		{"capacity", c.Capacity != Bucket{}, c.Capacity.validate()},
		{"limiter", c.Limiter != Bucket{}, c.Limiter.validate()},
		{"outage", c.Outage != Outage{}, c.Outage.validate()},
		{"per-probe", c.PerProbe, nil},
	} {
		if s.err != nil {
			return fmt.Errorf("%s %w", s.name, s.err)
		}
		if s.set && !c.Responder.simulated() {
			return fmt.Errorf("%s: the %s responder has no such setting: use the simnet responder", s.name, c.Responder)
		}
	}
	if err := c.validateDelay(); err != nil {
		return err
	}
	if c.Behaviours != (Weights{}) && !c.Responder.simulated() {
		return fmt.Errorf("behaviour: the %s responder has no such setting: use the simnet responder", c.Responder)
	}
	if err := c.validateKernelLimits(); err != nil {
		return err
	}
	if c.Queues < 0 || c.Queues > maxQueues {
		return fmt.Errorf("queues %d: must be from 1 to %d, or 0 for one a CPU", c.Queues, maxQueues)
	}
	if err := cmp.Or(c.validateNetwork(), c.validateAddresses()); err != nil {
		return err
	}
	if c.MeterRate > maxMeterRate {
		return fmt.Errorf("meter rate %d: must be at most %d frames a second", c.MeterRate, maxMeterRate)
	}
	if c.MeterRate != 0 && c.Responder == Kernel {
		return fmt.Errorf("meter rate %d: the kernel responder has no meter: use simnet or sink", c.MeterRate)
	}
	return nil
}

// threshold turns a probability into what [draw.below] compares with: 0 is
// never, 2^32 always.
func threshold(probability float64) uint64 {
	return uint64(math.Round(probability * (1 << 32)))
}
