// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
	"xsweep/loader"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
)

// player stands in for the kernel and the program in it, over a ring in plain
// memory. It runs on the transmitter's own thread, as the program does.
type player struct {
	thread
	ring *loader.ProbeRing
	// step is a batch of runs of the program, of at most so many turns. An error
	// ends the call into the kernel.
	step func(batch uint64) error
	// late is called when the sending was stopped, before the call returns: what
	// is on its way then still arrives.
	late func()

	interrupted atomic.Bool
	calls       atomic.Uint64
	batch       atomic.Uint32 // of the present call
	accepted    atomic.Uint64
	refused     [256]atomic.Uint64
	pending     uint64                   // taken, but not handed over
	taken       []loader.ProbeDescriptor // unless nil at the beginning
}

func (p *player) Run(_ []byte, _, batch uint32) error {
	p.calls.Add(1)
	p.batch.Store(batch)
	for !p.interrupted.Swap(false) {
		if err := p.step(uint64(batch)); err != nil {
			return err
		}
		runtime.Gosched()
	}
	if atomic.LoadUint64(&p.ring.Stopped) != 0 && p.late != nil {
		p.late()
	}
	return unix.EINTR
}

func (p *player) Counts(int) (loader.TransmitCounts, error) {
	c := loader.TransmitCounts{Accepted: p.accepted.Load()}
	for i := range p.refused {
		c.Refused[i] = p.refused[i].Load()
	}
	return c, nil
}

// enter says that the program runs.
func (p *player) enter() { atomic.StoreUint64(&p.ring.Entered, 1) }

// take takes at most so many probes from the ring, unless it was stopped.
func (p *player) take(most uint64) {
	if atomic.LoadUint64(&p.ring.Stopped) != 0 {
		return
	}
	consumed := p.ring.Consumed
	n := min(atomic.LoadUint64(&p.ring.Produced)-consumed, most)
	for i := range n {
		slot := &p.ring.Probes[(consumed+i)%uint64(loader.ProbeRingSize)]
		if p.taken != nil {
			p.taken = append(p.taken, *slot)
		}
		*slot = loader.ProbeDescriptor{} // it is the feeder's again
	}
	p.pending += n
	atomic.StoreUint64(&p.ring.Consumed, consumed+n)
}

// hand hands over at most so many of the probes taken.
func (p *player) hand(most uint64, errno unix.Errno) {
	n := min(p.pending, most)
	p.pending -= n
	if errno == 0 {
		p.accepted.Add(n)
	} else {
		p.refused[errno].Add(n)
	}
	atomic.AddUint64(&p.ring.Handed, n)
}

// willing is a step that takes and sends all that is there.
func (p *player) willing(batch uint64) error {
	p.enter()
	p.take(batch)
	p.hand(batch, 0)
	return nil
}

// newPlayer makes a transmitter on a player, which is not started yet. Its
// counters begin at first.
func newPlayer(t testing.TB, c pace.Config, first uint64) (*xdp, *player) {
	t.Helper()
	cpus, err := loader.UsableCPUs()
	if err != nil {
		t.Fatal(err)
	}
	p := &player{thread: newThread(t), ring: new(loader.ProbeRing)}
	p.step = p.willing
	p.ring.Produced, p.ring.Consumed, p.ring.Handed = first, first, first
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	template := newTemplate(t, lab.SenderAddr.Netip(), true, probe.PayloadLen)
	x := newXDP(Config{Device: "dev9", Template: template, Waiter: p.waiter, Pace: c}, p, template.MaxLen(), p.ring, cpus[0], socket)
	x.produced = first
	x.running = func() bool { return true }
	x.signal = func(int) { p.interrupted.Store(true) }
	return x, p
}

// start starts the transmitter, which the test's end closes.
func start(t testing.TB, x *xdp) {
	t.Helper()
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := x.start(); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !holds(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Errorf("%s: not within %v", what, within)
			return
		}
	}
}
