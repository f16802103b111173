// SPDX-License-Identifier: Apache-2.0

package lab

import "xsweep/sweep/target"

// This file is the Go twin of the draws in bpf/simnet.bpf.c, where the
// functions are explained.

// drawNumber tells the random numbers of one address apart.
type drawNumber uint32

const (
	drawLive      drawNumber = 0
	drawPath      drawNumber = 1
	drawDuplicate drawNumber = 2
	drawLoss      drawNumber = 16 // plus the number of probes that came before
)

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// draws makes the random numbers of one seed.
type draws struct{ key uint64 }

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

func (d draws) ttl(a target.Addr) uint8 {
	v := d.draw(a, drawPath)
	percent := v >> 32 * 100 >> 32
	hops := (v&0xffff)*13>>16 + (v>>16&0xffff)*13>>16
	switch {
	case percent < 70:
		return uint8(64 - hops)
	case percent < 88:
		return uint8(128 - hops)
	case percent < 98:
		return uint8(255 - hops)
	default:
		return uint8(32 - hops)
	}
}

// Host is what lives at an address.
type Host struct {
	// Live says that it answers echo requests.
	Live bool
	// TTL is the one with which its replies arrive.
	TTL uint8
	// Duplicate says that it answers each request twice.
	Duplicate bool
}

// Host tells what lives at a, whether or not a sweep would probe it. Where
// nobody lives, all else is zero.
func (c Config) Host(a target.Addr) Host {
	switch c.Responder {
	case Kernel:
		return c.kernelHost(a)
	case Simnet:
		d := newDraws(c.Seed)
		if d.below(a, drawLive, threshold(c.Live)) {
			return Host{
				Live:      true,
				TTL:       d.ttl(a),
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

// Replies returns the number of replies that come from a when exactly probes
// probes are sent there.
func (c Config) Replies(a target.Addr, probes int) int {
	h := c.Host(a)
	if !h.Live {
		return 0
	}
	n := 0
	for k := range probes {
		if !c.Lost(a, k) {
			n++
		}
	}
	if h.Duplicate {
		n *= 2
	}
	return n
}
