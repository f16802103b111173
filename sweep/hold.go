// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"sync/atomic"
	"time"

	"xsweep/sweep/transmit"
)

// hold is what may keep a sender from sending n more probes for a while. wait
// returns transmit.ErrStopped if the sweep is stopped meanwhile.
type hold interface {
	wait(s *sender, n uint64) error
}

// heldEvery is how often a sender that is held looks again, in ns.
const heldEvery = int64(500 * time.Microsecond)

// holdWhile waits until a condition has passed.
func (s *sender) holdWhile(held func() bool) error {
	if !held() {
		return nil
	}
	for held() {
		s.settle() // others may wait for what this one has given
		if !s.waiter.Until(s.waiter.Now() + heldEvery) {
			return transmit.ErrStopped
		}
	}
	s.tx.Idle()
	return nil
}

// allowance bounds what is sent beyond the last checkpoint, so that it is known
// how much a killed run sent at most that no account tells of.
type allowance struct {
	limit, asked atomic.Uint64 // probes of this run
}

func (a *allowance) wait(s *sender, n uint64) error {
	upTo := a.asked.Add(n)
	return s.holdWhile(func() bool { return upTo > a.limit.Load() })
}
