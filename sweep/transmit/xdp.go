// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"xsweep/loader"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
)

// xdpTurns is how many times the program runs in one call: setting one up
// costs some 25 ms, so that it should last for minutes.
const xdpTurns = 1 << 30

// xdpBatch is how many frames the kernel makes of one batch of runs. Where a
// rate is kept, those that are under way count into the burst.
const (
	xdpBatch      = 64
	xdpPacedBatch = pace.Burst / 4
)

// xdp sends from inside the kernel: Send only writes descriptors into a ring
// that a BPF program empties, on a thread of its own that is pinned to a CPU.
// The program stamps, paces and sends; see bpf/transmit.bpf.c.
type xdp struct {
	kernel *loader.Transmit
	ring   *loader.ProbeRing
	cpu    int
	frame  []byte
	batch  uint32
	waiter *pace.Waiter
	pause  int64 // ns in which about a quarter of the ring empties
	device string
	socket int // to ask for the device's state

	produced uint64

	started bool
	thread  atomic.Int32 // the runner's thread id, while it is in the kernel
	ended   chan struct{}
	err     error // why the runner ended; read after ended is closed
	close   sync.Once
}

// NewXDP makes a transmitter that sends from inside the kernel. kernel is
// shared by all threads and belongs to the caller; cpu is one of those that it
// was loaded for, and no other transmitter's.
func NewXDP(c Config, kernel *loader.Transmit, cpu int) (Transmitter, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("transmitter xdp: %w", err)
	}
	if err := c.Pace.Validate(); err != nil {
		return nil, fmt.Errorf("transmitter xdp: %w", err)
	}
	if len(c.Template.Header()) != len(loader.TransmitConfig{}.Header) {
		return nil, errors.New("transmitter xdp: its frames need an Ethernet header")
	}
	x := &xdp{
		kernel: kernel, ring: kernel.Ring(cpu), cpu: cpu, waiter: c.Waiter,
		frame: make([]byte, c.Template.Len()), batch: xdpBatch, pause: int64(100 * time.Microsecond),
		ended: make(chan struct{}), device: c.Device,
	}
	var err error
	if x.socket, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("transmitter xdp: open a socket: %w", err)
	}
	if err := deviceExists(x.socket, c.Device); err != nil {
		unix.Close(x.socket)
		return nil, fmt.Errorf("transmitter xdp: %s: %w", c.Device, err)
	}
	c.Template.Init(x.frame)
	x.ring.EpochNs = uint64(c.Waiter.Now())
	x.Idle() // the first frame is never late
	if c.Pace.Rate != pace.Max {
		threads := uint64(max(c.Pace.Threads, 1))
		x.batch = uint32(max(xdpPacedBatch/threads, 1))
		// Nanoseconds in 1/256 between frames of this thread.
		hi, lo := bits.Mul64(threads<<8, uint64(time.Second))
		x.ring.Interval, _ = bits.Div64(hi, lo, uint64(c.Pace.Rate))
		// Frames of a batch under way and those saved up are the burst.
		x.ring.Slack = (pace.Burst/threads - 2*uint64(x.batch)) * x.ring.Interval
		quarter := int64(x.ring.Interval>>8) * int64(loader.ProbeRingSize/4)
		x.pause = min(max(quarter, x.pause), int64(5*time.Millisecond))
	}
	return x, nil
}

func (x *xdp) Batch() int { return pace.Burst }

func (x *xdp) Idle() { x.ring.Idle++ }

func (x *xdp) Handed() uint64 { return atomic.LoadUint64(&x.ring.Consumed) }

func (x *xdp) Send(probes []probe.Probe) (int, error) {
	if !x.started {
		x.started = true
		go x.run()
	}
	for i, p := range probes {
		for x.produced-x.Handed() == uint64(loader.ProbeRingSize) {
			atomic.StoreUint64(&x.ring.Produced, x.produced)
			if err := x.wait(); err != nil {
				return i, err
			}
		}
		slot := &x.ring.Probes[x.produced%uint64(loader.ProbeRingSize)]
		slot.IndexAttempt = probe.IndexAttempt(p.Index, p.Attempt)
		slot.Target = bits.ReverseBytes32(p.Target)
		slot.HopLimit = p.HopLimit
		x.produced++
	}
	atomic.StoreUint64(&x.ring.Produced, x.produced)
	if x.waiter.Stopped() {
		return len(probes), ErrStopped
	}
	return len(probes), nil
}

// wait waits for the ring to empty a little.
func (x *xdp) wait() error {
	select {
	case <-x.ended:
		return x.err
	default:
	}
	if !x.waiter.Until(x.waiter.Now() + x.pause) {
		return ErrStopped
	}
	// Frames that the device refuses are counted where nobody waits for them.
	if !linkRunning(x.socket, x.device) {
		return deviceError("xdp", x.device, unix.ENETDOWN)
	}
	return nil
}

func (x *xdp) Drain() (left int, err error) {
	for x.started && err == nil && x.Handed() < x.produced {
		err = x.wait()
	}
	x.halt()
	return int(x.produced - x.Handed()), err
}

// run is the life of the thread that runs the program.
func (x *xdp) run() {
	defer close(x.ended)
	runtime.LockOSThread() // and not unlocked: it stays pinned, so it must end
	var set unix.CPUSet
	set.Set(x.cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		x.err = fmt.Errorf("transmitter xdp: pin a thread to CPU %d: %w", x.cpu, err)
		return
	}
	x.thread.Store(int32(unix.Gettid()))
	defer x.thread.Store(0)
	for atomic.LoadUint64(&x.ring.Stopped) == 0 {
		// A signal may be the one that halt sends, or anybody's.
		if err := x.kernel.Run(x.frame, xdpTurns, x.batch); err != nil && !errors.Is(err, unix.EINTR) {
			x.err = fmt.Errorf("%w: transmitter xdp: run its program: %w", ErrDevice, err)
			return
		}
	}
}

// halt makes the program send nothing more and its thread leave the kernel.
func (x *xdp) halt() {
	atomic.StoreUint64(&x.ring.Stopped, 1)
	if !x.started {
		return
	}
	for {
		// The signal may come just before the thread enters the kernel, so one
		// may not be enough. The runtime ignores SIGURG that it did not send.
		if thread := x.thread.Load(); thread != 0 {
			_ = unix.Tgkill(unix.Getpid(), int(thread), unix.SIGURG)
		}
		select {
		case <-x.ended:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func (x *xdp) Counts() Counts {
	c := Counts{Stalls: atomic.LoadUint64(&x.ring.Stalls)}
	sent, err := x.kernel.Counts(x.cpu)
	if err != nil {
		return c
	}
	c.Accepted = sent.Accepted
	for errno, n := range sent.Refused {
		if n > 0 {
			if c.Refused == nil {
				c.Refused = map[unix.Errno]uint64{}
			}
			c.Refused[unix.Errno(errno)] = n
		}
	}
	return c
}

func (x *xdp) Close() (err error) {
	x.close.Do(func() {
		x.halt()
		err = unix.Close(x.socket)
	})
	return err
}
