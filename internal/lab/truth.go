// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"iter"

	"xsweep/sweep/target"
)

// skipped is what a sweep inside the lab does not find behind lab0: its own
// address, network and broadcast address of its link, the limited broadcast
// address, and 127.0.0.0/8, which the sender's own stack answers for.
var skipped = target.NewSet(
	target.Range{First: linkNetwork, Last: SenderAddr},
	target.Range{First: linkBroadcast, Last: linkBroadcast},
	target.Range{First: 0x7f000000, Last: 0x7fffffff}, // 127.0.0.0/8
	target.Range{First: 0xffffffff, Last: 0xffffffff},
)

// Truth yields, ascending, the addresses of set that a sweep inside such a lab
// must find if each target gets exactly probes echo requests: those whose host
// answers at least one of them. It is [Config.Answering] with [DefaultSweep]. What a sweep skips is left out. It needs no
// lab and no privilege.
//
// The gateway, 198.18.0.2, is a host like any other: simnet answers for it.
func (c Config) Truth(set target.Set, probes int) iter.Seq[target.Addr] {
	s := DefaultSweep()
	s.Probes = probes
	return c.Answering(set, s)
}

// Answering yields, ascending, the addresses of set that give a sweep a positive
// reply, without those that it skips.
func (c Config) Answering(set target.Set, s Sweep) iter.Seq[target.Addr] {
	set = set.Subtract(skipped)
	// Where all live hosts answer every probe, only the number of probes counts.
	if c.Responder.simulated() && c.Behaviours.uniform() && s.HopLimit > maxHops {
		return c.simnetTruth(set, s.Probes*len(s.Kinds))
	}
	if c.Responder == Kernel {
		set = set.Intersect(c.kernelHosts())
	}
	arrivals := c.arrivals(s)
	return func(yield func(target.Addr) bool) {
		for a := range set.All() {
			for r := range arrivals(a) {
				if r.kind.IsError() {
					continue
				}
				if !yield(a) {
					return
				}
				break
			}
		}
	}
}

func (c Config) simnetTruth(set target.Set, probes int) iter.Seq[target.Addr] {
	d := newDraws(c.Seed)
	live, loss := threshold(c.Live), threshold(c.Loss)
	heard := func(a target.Addr) bool {
		for k := range probes {
			if !d.below(a, drawLoss+drawNumber(k), loss) {
				return true
			}
		}
		return false
	}
	return func(yield func(target.Addr) bool) {
		if probes < 1 {
			return
		}
		for _, r := range set.Ranges() {
			for a := r.First; ; a++ {
				if d.below(a, drawLive, live) && (loss == 0 || heard(a)) && !yield(a) {
					return
				}
				if a == r.Last { // not in the loop's condition: a+1 can wrap to 0
					break
				}
			}
		}
	}
}
