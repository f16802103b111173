// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"sync/atomic"

	"github.com/cilium/ebpf/ringbuf"

	"xsweep/loader"
)

// Where a ring is so full, in parts of it, that sending is held, and where it
// goes on. What is under way then still finds room: what a sender takes before it
// looks again, some thousand probes in the transmitter, and the answers of a round
// trip.
const (
	pressedFrom  = 2 // a half
	pressedUntil = 4
	lookShare    = 8 // senders look after as many probes together as fill an eighth
)

// pressure slows sending where records come faster than the sinks take them.
// Senders look at the rings themselves: nobody has to get the CPU in time.
type pressure struct {
	rings []*ringbuf.Reader
	every uint64       // probes of a sender between two looks
	held  atomic.Int64 // ns that senders waited, all together
}

// watch makes the pressure that of some rings, with so many threads that send.
func (p *pressure) watch(rings []*ringbuf.Reader, threads int) {
	p.rings = rings
	if len(rings) > 0 {
		p.every = lookEvery(rings[0].BufferSize(), threads)
	}
}

func lookEvery(ringBytes, threads int) uint64 {
	return max(uint64(ringBytes/loader.RecordBytes/lookShare/max(threads, 1)), 1)
}

// full says whether a ring has records in so large a part of it.
func (p *pressure) full(part int) bool {
	for _, ring := range p.rings {
		if ring.AvailableBytes() >= ring.BufferSize()/part {
			return true
		}
	}
	return false
}

func (p *pressure) wait(s *sender, n uint64) error {
	if s.unlooked += n; s.unlooked < p.every {
		return nil
	}
	s.unlooked = 0
	if !p.full(pressedFrom) {
		return nil
	}
	from := s.waiter.Now()
	err := s.holdWhile(func() bool { return p.full(pressedUntil) })
	p.held.Add(s.waiter.Now() - from)
	return err
}
