// SPDX-License-Identifier: Apache-2.0

package lab

import "xsweep/sweep/target"

// This file is the Go twin of the draws in bpf/simnet.bpf.c and
// bpf/include/simnet.h, where the functions are explained.

// drawNumber tells the random numbers of one address apart.
type drawNumber uint32

const (
	drawLive      drawNumber = 0
	drawPath      drawNumber = 1
	drawDuplicate drawNumber = 2
	drawBehaviour drawNumber = 3
	drawDetail    drawNumber = 4
	drawClock     drawNumber = 5
	drawMask      drawNumber = 6

	drawIndexLoss      drawNumber = 7 // mixed with an index; so the next
	drawIndexDuplicate drawNumber = 8
	drawDelay          drawNumber = 9 // mixed with the number of an answer, of address 0; so the next
	drawSwap           drawNumber = 10

	drawLoss    drawNumber = 16      // plus the number of probes that came before
	drawRouter  drawNumber = 1 << 31 // plus the hop
	drawObjects drawNumber = 3 << 30 // plus the hop
)

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// draws makes the random numbers of one seed.
type draws struct{ key uint64 }

// newDraws mixes the seed. The added constant keeps 0 from being a fixed point.
func newDraws(seed uint64) draws {
	return draws{mix(seed + 0x9e3779b97f4a7c15)}
}

func (d draws) draw(a target.Addr, n drawNumber) uint64 {
	return mix(d.key ^ (uint64(a)<<32 | uint64(n)))
}

// below says whether a draw falls below a threshold out of 2^32.
func (d draws) below(a target.Addr, n drawNumber, threshold uint64) bool {
	return d.draw(a, n)>>32 < threshold
}

// maxHops is the largest number of routers before a host.
const maxHops = 24

// path is the initial TTL of what a host sends, and the number of routers
// before it.
func (d draws) path(a target.Addr) (initial, hops uint8) {
	v := d.draw(a, drawPath)
	percent := v >> 32 * 100 >> 32
	hops = uint8((v&0xffff)*13>>16 + (v>>16&0xffff)*13>>16)
	switch {
	case percent < 70:
		return 64, hops
	case percent < 88:
		return 128, hops
	case percent < 98:
		return 255, hops
	default:
		return 32, hops
	}
}

func (d draws) behaviour(a target.Addr, thresholds *[NumBehaviours]uint64) Behaviour {
	v := d.draw(a, drawBehaviour) >> 32
	for b, t := range thresholds {
		if v < t {
			return Behaviour(b)
		}
	}
	return NumBehaviours - 1
}

// Host is what lives at an address.
type Host struct {
	// Live says that there is one.
	Live bool
	// Behaviour is how it answers.
	Behaviour Behaviour
	// TTL is the one with which its replies arrive.
	TTL uint8
	// Hops is the number of routers before it.
	Hops uint8
	// Duplicate says that it answers each request twice. So do the
	// routers before it.
	Duplicate bool
}

// Host tells what lives at a, whether or not a sweep would probe it. Where
// nobody lives, all else is zero.
func (c Config) Host(a target.Addr) Host {
	switch c.Responder {
	case Kernel:
		return c.kernelHost(a)
	case Simnet, Delay:
		d := newDraws(c.Seed)
		if d.below(a, drawLive, threshold(c.Live)) {
			thresholds := c.Behaviours.thresholds()
			initial, hops := d.path(a)
			return Host{
				Live:      true,
				Behaviour: d.behaviour(a, &thresholds),
				TTL:       initial - hops,
				Hops:      hops,
				Duplicate: d.below(a, drawDuplicate, threshold(c.Duplicate)),
			}
		}
	}
	return Host{}
}

// Lost says whether the probe with number k of those that arrive for a, the
// first having number 0, gets lost.
func (c Config) Lost(a target.Addr, k int) bool {
	return newDraws(c.Seed).below(a, drawLoss+drawNumber(k), threshold(c.Loss))
}

// Replies returns the number of echo replies that come from a when exactly
// probes echo requests are sent there, those of broken hosts left out.
func (c Config) Replies(a target.Addr, probes int) int {
	s := DefaultSweep()
	s.Probes = probes
	n := 0
	for r := range c.arrivals(s)(a) {
		if !r.kind.IsError() {
			n++
		}
	}
	return n
}
