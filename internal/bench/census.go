// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"net/netip"

	"xsweep/sweep/target"
)

// census holds what a sweep says it found against the truth, address for
// address: a bit for each, since a scale of 268 million is not to be sorted.
type census struct {
	of      target.Range
	found   []uint64
	count   uint64
	twice   uint64 // addresses that were found before
	outside uint64 // that nobody asked for
}

func newCensus(of target.Range) *census {
	return &census{of: of, found: make([]uint64, (of.Len()+63)/64)}
}

// add notes that an address was found.
func (c *census) add(a target.Addr) {
	c.count++
	if !c.of.Contains(a) {
		c.outside++
		return
	}
	rank := uint64(a - c.of.First)
	bit := uint64(1) << (rank % 64)
	if c.found[rank/64]&bit != 0 {
		c.twice++
	}
	c.found[rank/64] |= bit
}

// read adds the addresses of a text, one a line.
func (c *census) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		a, err := netip.ParseAddr(lines.Text())
		if err != nil {
			return fmt.Errorf("read what was found: %w", err)
		}
		c.add(addrOf(a))
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read what was found: %w", err)
	}
	return nil
}

func addrOf(a netip.Addr) target.Addr {
	b := a.As4()
	return target.Addr(b[0])<<24 | target.Addr(b[1])<<16 | target.Addr(b[2])<<8 | target.Addr(b[3])
}

// verdict is what a comparison with the truth brings.
type verdict struct {
	live   uint64 // addresses that must be found
	missed uint64 // of them, not found
	twice  uint64 // found more than once
	untrue uint64 // found, but not live or not asked for
}

// faults is how many addresses are not as they should be.
func (v verdict) faults() float64 { return float64(v.missed + v.twice + v.untrue) }

// recall is the share of live hosts that were found, in %.
func (v verdict) recall() float64 {
	if v.live == 0 {
		return 100
	}
	return 100 * float64(v.live-v.missed) / float64(v.live)
}

// compare holds what was found against the truth, which yields each live
// address of the range once.
func (c *census) compare(truth iter.Seq[target.Addr]) verdict {
	v := verdict{twice: c.twice, untrue: c.outside}
	hits := uint64(0)
	for a := range truth {
		v.live++
		rank := uint64(a - c.of.First)
		if c.found[rank/64]>>(rank%64)&1 == 0 {
			v.missed++
		} else {
			hits++
		}
	}
	v.untrue += c.count - c.twice - c.outside - hits
	return v
}
