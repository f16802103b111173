// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"xsweep/internal/testrand"
	"xsweep/loader"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
)

const ringSize = uint64(loader.ProbeRingSize)

// descriptors are what the ring must hold for probes.
func descriptors(probes []probe.Probe) []loader.ProbeDescriptor {
	var want []loader.ProbeDescriptor
	for _, p := range probes {
		want = append(want, loader.ProbeDescriptor{
			IndexAttempt: probe.IndexAttempt(p.Index, p.Attempt), Target: bits.ReverseBytes32(p.Target), HopLimit: p.HopLimit,
		})
	}
	return want
}

// Whatever the program's moods, it gets all probes once and in order, and what
// became of them is what the counts say: also where the ring wraps, and where
// counters outgrow the ring and 32 bits.
func TestXDPRing(t *testing.T) {
	r := testrand.New(t)
	for _, first := range []uint64{0, ringSize - 7, 1<<32 - 20_000, 1<<63 - 20_000} {
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			probes := make([]probe.Probe, 3*ringSize+r.Uint64N(ringSize))
			for i := range probes {
				probes[i] = probe.Probe{
					Index: r.Uint64N(probe.MaxIndex + 1), Target: r.Uint32(), Attempt: uint8(1 + r.IntN(255)), HopLimit: uint8(r.IntN(256)),
				}
			}
			x, p := newPlayer(t, pace.Config{Rate: pace.Max}, first)
			p.taken = make([]loader.ProbeDescriptor, 0, len(probes))
			moods := testrand.New(t)
			p.step = func(batch uint64) error {
				p.enter()
				switch moods.IntN(20) {
				case 0:
					return unix.EINTR // anybody's signal
				case 1:
					p.hand(moods.Uint64N(batch+1), unix.EMSGSIZE)
				case 2, 3:
					p.hand(moods.Uint64N(batch+1), unix.ENOBUFS)
				case 4, 5: // nothing moves
				case 6:
					p.take(ringSize) // all at once
				default:
					p.take(moods.Uint64N(4 * batch))
					p.hand(moods.Uint64N(8*batch), 0)
				}
				return nil
			}
			start(t, x)
			for left := probes; len(left) > 0; {
				n := min(1+r.IntN(2*pace.Burst), len(left))
				if taken, err := x.Send(left[:n]); taken != n || err != nil {
					t.Fatalf("%d of %d taken, %v", taken, n, err)
				}
				left = left[n:]
			}
			if left, err := x.Drain(); left != 0 || err != nil {
				t.Errorf("%d left, %v", left, err)
			}
			if !slices.Equal(p.taken, descriptors(probes)) {
				t.Errorf("the program got %d probes, want %d, or other ones", len(p.taken), len(probes))
			}
			if got := x.Handed() - first; got != uint64(len(probes)) {
				t.Errorf("%d handed, want %d", got, len(probes))
			}
			handedExactly(t, x, len(probes))
		})
	}
}

// A ring that is full takes no more, not even one, until the sweep is stopped;
// what was taken and not handed over is left.
func TestXDPFullRing(t *testing.T) {
	for _, consumed := range []uint64{0, 1, 100, ringSize} {
		x, p := newPlayer(t, pace.Config{Rate: pace.Max}, 0)
		handed := consumed / 2
		taken := false
		p.step = func(uint64) error {
			p.enter()
			if !taken && atomic.LoadUint64(&p.ring.Produced) >= consumed {
				p.take(consumed)
				p.hand(handed, 0)
				taken = true
			}
			return nil
		}
		start(t, x)
		full := consumed + ringSize
		go func() {
			eventually(t, "the ring is full", func() bool { return atomic.LoadUint64(&p.ring.Produced) == full })
			p.stop.Set()
		}()
		n, err := x.Send(numbered(0, int(full)+5000))
		if uint64(n) != full || !errors.Is(err, ErrStopped) {
			t.Errorf("%d taken, %v, want %d and %v", n, err, full, ErrStopped)
		}
		if left, err := x.Drain(); uint64(left) != full-handed || !errors.Is(err, ErrStopped) {
			t.Errorf("%d left, %v, want %d and %v", left, err, full-handed, ErrStopped)
		}
	}
}

// What is on its way when the sweep is stopped and arrives a little later is
// not left.
func TestXDPLateFrames(t *testing.T) {
	x, p := newPlayer(t, pace.Config{Rate: pace.Max}, 0)
	p.step = func(uint64) error {
		p.enter()
		if p.take(300); p.pending > 0 {
			p.stop.Set()
		}
		return nil
	}
	p.late = func() { p.hand(123, 0); p.hand(7, unix.ENOBUFS) }
	start(t, x)
	n, err := x.Send(numbered(0, 1000))
	if n != 1000 || err != nil && !errors.Is(err, ErrStopped) {
		t.Errorf("%d taken, %v", n, err)
	}
	if left, err := x.Drain(); left != 1000-130 || !errors.Is(err, ErrStopped) {
		t.Errorf("%d left, %v, want %d", left, err, 1000-130)
	}
	handedExactly(t, x, 130)
}

// A stop is heard before a Send, and where the transmitter waits: for the
// program to begin, and for the last probes.
func TestXDPStop(t *testing.T) {
	t.Run("start", func(t *testing.T) {
		x, p := newPlayer(t, pace.Config{Rate: pace.Max}, 0)
		p.step = func(uint64) error { p.stop.Set(); return nil } // and never enters
		if err := x.start(); !errors.Is(err, ErrStopped) {
			t.Error(err)
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("send", func(t *testing.T) {
		x, p := newPlayer(t, pace.Config{Rate: pace.Max}, 0)
		start(t, x)
		p.stop.Set()
		if n, err := x.Send(numbered(0, 10)); n != 10 || !errors.Is(err, ErrStopped) {
			t.Errorf("%d taken, %v", n, err)
		}
	})
	t.Run("drain", func(t *testing.T) {
		x, p := newPlayer(t, pace.Config{Rate: pace.Max}, 0)
		p.step = func(uint64) error { p.enter(); p.take(1); return nil }
		start(t, x)
		if n, err := x.Send(numbered(0, 10)); n != 10 || err != nil {
			t.Fatalf("%d taken, %v", n, err)
		}
		go p.stop.Set()
		if left, err := x.Drain(); left != 10 || !errors.Is(err, ErrStopped) {
			t.Errorf("%d left, %v", left, err)
		}
	})
}

// A program that the kernel ends is an error wherever the transmitter is, never
// a wait for ever, and what was handed over until then counts.
func TestXDPProgramEnds(t *testing.T) {
	t.Run("at once", func(t *testing.T) {
		for errno, want := range map[unix.Errno]error{unix.EINVAL: unix.EINVAL, unix.EPERM: ErrDevice} {
			x, p := newPlayer(t, pace.Config{Rate: pace.Max}, 0)
			p.step = func(uint64) error { return errno }
			if err := x.start(); !errors.Is(err, want) || !errors.Is(err, errno) {
				t.Errorf("%v: %v", errno, err)
			}
			if err := x.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	const handed = 1000
	ending := func(t *testing.T) *xdp {
		x, p := newPlayer(t, pace.Config{Rate: pace.Max}, 0)
		p.step = func(uint64) error {
			p.enter()
			p.take(ringSize)
			if p.pending < handed {
				return nil
			}
			p.hand(handed, 0)
			return unix.ENOMEM
		}
		start(t, x)
		return x
	}
	t.Run("send", func(t *testing.T) {
		x := ending(t)
		taken, err := x.Send(numbered(0, int(3*ringSize)))
		if uint64(taken) < ringSize || !errors.Is(err, ErrDevice) || !errors.Is(err, unix.ENOMEM) {
			t.Errorf("%d taken, %v", taken, err)
		}
		if left, err := x.Drain(); left != taken-handed || !errors.Is(err, ErrDevice) {
			t.Errorf("%d left of %d, %v", left, taken, err)
		}
		handedExactly(t, x, handed)
	})
	t.Run("drain", func(t *testing.T) {
		x := ending(t)
		if n, err := x.Send(numbered(0, 5000)); n != 5000 || err != nil {
			t.Fatalf("%d taken, %v", n, err)
		}
		if left, err := x.Drain(); left != 4000 || !errors.Is(err, ErrDevice) || !errors.Is(err, unix.ENOMEM) {
			t.Errorf("%d left, %v", left, err)
		}
	})
}

// Nobody tells the transmitter that its device went down: it looks.
func TestXDPDeviceDown(t *testing.T) {
	for _, n := range []int{5000, int(ringSize) + 1} { // in Drain, in Send
		x, p := newPlayer(t, pace.Config{Rate: pace.Max}, 0)
		p.step = func(uint64) error { p.enter(); return nil }
		x.running = func() bool { return false }
		start(t, x)
		handed, err := send(x, numbered(0, n))
		if handed != 0 || !errors.Is(err, ErrDevice) || !errors.Is(err, unix.ENETDOWN) {
			t.Errorf("%d probes: %d handed, %v", n, handed, err)
		}
	}
}

// A frame that is refused in a trial ends it, and what was not sent comes back,
// in order.
func TestXDPTrial(t *testing.T) {
	for _, n := range []int{5000, int(ringSize) + 200} { // in Drain, in Send
		x, p := newPlayer(t, pace.Config{Rate: pace.Max}, 1<<32-100)
		p.step = func(uint64) error {
			p.enter()
			if atomic.LoadUint64(&p.ring.Stopped) != 0 || atomic.LoadUint64(&p.ring.Produced)-p.ring.Consumed < 110 {
				return nil
			}
			for i := range uint64(10) { // the first ten do not get through
				p.ring.Again[i] = p.ring.Probes[(p.ring.Consumed+i)%ringSize]
			}
			p.ring.AgainGiven = 10
			p.take(110)
			p.pending -= 10
			p.hand(100, 0)
			p.ring.Refusal = uint64(unix.EOPNOTSUPP)
			atomic.StoreUint64(&p.ring.Stopped, 1)
			return nil
		}
		x.try(true)
		start(t, x)
		probes := numbered(0, n)
		taken, err := x.Send(probes)
		if err == nil {
			_, err = x.Drain()
		}
		if !errors.Is(err, ErrRefused) || !errors.Is(err, unix.EOPNOTSUPP) {
			t.Errorf("error %v", err)
		}
		for i := range probes {
			probes[i].Kind = probe.Echo
		}
		if got, want := x.giveBack(), slices.Concat(probes[:10], probes[110:taken]); !slices.Equal(got, want) {
			t.Errorf("%d of %d come back, want %d", len(got), taken, len(want))
		}
		handedExactly(t, x, 100)
	}
}

// The program stops by itself when a trial fails. Should a signal take its thread
// out of the kernel before the feeder has looked, that must still be heard.
func TestXDPTrialInterrupted(t *testing.T) {
	for _, n := range []int{5000, int(ringSize) + 200} { // in Drain, in Send
		x, p := newPlayer(t, pace.Config{Rate: pace.Max}, 0)
		p.step = func(uint64) error {
			p.enter()
			if atomic.LoadUint64(&p.ring.Produced) == 0 {
				return nil
			}
			p.ring.Refusal = uint64(unix.EOPNOTSUPP)
			atomic.StoreUint64(&p.ring.Stopped, 1)
			return unix.EINTR
		}
		x.try(true)
		start(t, x)
		x.running = func() bool { <-x.ended; return true }
		taken, err := x.Send(numbered(0, n))
		if err == nil {
			<-x.ended
			_, err = x.Drain()
		}
		if !errors.Is(err, ErrRefused) || !errors.Is(err, unix.EOPNOTSUPP) {
			t.Errorf("%d taken, error %v", taken, err)
		}
	}
}

// Sending takes no memory.
func TestXDPSendNoAllocs(t *testing.T) {
	x, _ := newPlayer(t, pace.Config{Rate: pace.Max}, 0)
	start(t, x)
	probes := numbered(0, pace.Burst)
	if n := testing.AllocsPerRun(2000, func() { // the ring wraps, and is full at times
		if _, err := x.Send(probes); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}
