// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"sync/atomic"

	"xsweep/sweep/probe"
)

// maxParts bounds the memory that the spacing of attempts takes, and how much
// of the order a thread can have before it when the others have nothing left.
const maxParts = 16384

// parts deals a plan's order out to the sending threads: each takes the next
// part when it is through with one, so that a thread whose CPU has more to do
// takes fewer. Each attempt is a pass for each kind of probe. Every pass goes
// through all parts in the same order, and a part is begun again when the probe
// interval has passed since the last frame of the pass before was handed over. That keeps any two probes to one target
// apart, also when a thread is held up.
type parts struct {
	targets  uint64
	size     uint64 // targets in each part but the last
	interval int64  // ns
	total    uint64 // parts of all passes
	kinds    []probe.Kind
	dealt    atomic.Uint64
	ends     []end // by part

	// Where to begin: a part's number in all passes, and the first target of it.
	from      uint64
	fromFirst uint64
}

// end is when a part was last through.
type end struct {
	passes atomic.Uint32 // that are through
	at     atomic.Int64  // CLOCK_MONOTONIC, of the last of them
}

// part is what a thread has before it: one probe to each of the targets in
// places from first to before next.
type part struct {
	number      int
	pass        uint32 // from 0
	attempt     uint8
	kind        probe.Kind
	first, next uint64
}

// newParts cuts the order into parts of whole batches. start is the place in the
// sequence of probes to begin at, now, with all before it long through.
func newParts(p *Plan, batch, start uint64, now int64) *parts {
	d := &parts{targets: p.Len(), interval: int64(p.config.ProbeInterval), kinds: p.config.Kinds}
	batches := (d.targets + batch - 1) / batch
	d.size = max((batches+maxParts-1)/maxParts, 1) * batch
	d.ends = make([]end, (d.targets+d.size-1)/d.size)
	d.total = uint64(len(d.ends)) * uint64(p.config.passes())
	if start == 0 {
		return d
	}
	pass, k := start/d.targets, start%d.targets
	d.from, d.fromFirst = pass*uint64(len(d.ends))+k/d.size, k
	d.dealt.Store(d.from)
	for i := range d.ends {
		through := uint32(pass)
		if uint64(i) < k/d.size {
			through++
		}
		d.ends[i].passes.Store(through)
		d.ends[i].at.Store(now)
	}
	return d
}

// deal hands out the next part; ok is false when there is none left.
func (d *parts) deal() (p part, ok bool) {
	n := d.dealt.Add(1) - 1
	if n >= d.total {
		return part{}, false
	}
	count, kinds := uint64(len(d.ends)), uint64(len(d.kinds))
	pass, first := n/count, n%count*d.size
	next := min(first+d.size, d.targets)
	if n == d.from {
		first = max(first, d.fromFirst)
	}
	return part{
		number: int(n % count), pass: uint32(pass), attempt: uint8(pass/kinds) + 1, kind: d.kinds[pass%kinds],
		first: first, next: next,
	}, true
}

// due is when a part may be begun; known is false while the pass before is
// not through with it.
func (d *parts) due(p part) (at int64, known bool) {
	if p.pass == 0 {
		return 0, true
	}
	e := &d.ends[p.number]
	if e.passes.Load() < p.pass {
		return 0, false
	}
	return e.at.Load() + d.interval, true
}

// through notes when all probes of a part were handed over.
func (d *parts) through(p part, now int64) {
	e := &d.ends[p.number]
	e.at.Store(now)
	e.passes.Store(p.pass + 1)
}
