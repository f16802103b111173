// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"xsweep/loader"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
)

// xdpTurns is how many times the program runs in one call: setting one up
// costs some 25 ms, so that it should last for minutes. (The kernel counts in 32
// bits, by whole batches.)
const xdpTurns = 1<<32 - 1024

// xdpBatch is how many frames the kernel makes of one batch of runs.
const xdpBatch = 64

// pacedBatch is how many frames of all threads it makes where a rate is kept: those
// that are under way count into the burst. A frame is stamped when it is made, and
// leaves at the end of its batch, a turn of some 100 ns for each that is not due: so
// it is short where the rate allows. Beginning one costs as much as some frames.
func pacedBatch(rate pace.Rate) uint64 {
	switch {
	case rate <= 500_000:
		return 4
	case rate <= 1_000_000:
		return 8
	}
	return pace.Burst / 2
}

// How long the feeder sleeps at least and at most while the ring empties. Each
// time it wakes costs the CPU that it shares with the program's thread more
// than filling hundreds of slots does, so it sleeps until half are free.
const (
	minPause = int64(50 * time.Microsecond)
	maxPause = int64(5 * time.Millisecond)
)

// xdp sends from inside the kernel: Send only writes descriptors into a ring
// that a BPF program empties, on a thread of its own that is pinned to a CPU.
// The program stamps, paces and sends; see bpf/transmit.bpf.c.
type xdp struct {
	kernel program
	ring   *loader.ProbeRing
	cpu    int
	frame  []byte
	batch  atomic.Uint32
	rate   pace.Config
	change sync.Mutex // of the rate
	waiter *pace.Waiter
	device string
	socket int // to ask for the device's state

	// What the kernel is asked besides, as fields so that tests can stand in for it.
	running func() bool      // the device is
	signal  func(thread int) // makes a thread leave the kernel

	produced uint64
	seen     drained

	thread atomic.Int32 // the runner's thread id, while it is in the kernel
	ended  chan struct{}
	err    error // why the runner ended; read after ended is closed
	close  sync.Once
}

// program is what xdp needs of a loaded one.
type program interface {
	Run(frame []byte, turns, batch uint32) error
	Counts(cpu int) (loader.TransmitCounts, error)
}

// NewXDP makes a transmitter that sends from inside the kernel, and waits until
// its program runs. kernel is shared by all threads and belongs to the caller;
// cpu is one of those that it was loaded for, and no other transmitter's.
func NewXDP(c Config, kernel *loader.Transmit, cpu int) (Transmitter, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("transmitter xdp: %w", err)
	}
	if err := c.Pace.Validate(); err != nil {
		return nil, fmt.Errorf("transmitter xdp: %w", err)
	}
	if c.Template.LinkLen() == 0 {
		return nil, errors.New("transmitter xdp: its frames need an Ethernet header")
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("transmitter xdp: open a socket: %w", err)
	}
	if err := deviceExists(socket, c.Device); err != nil {
		unix.Close(socket)
		return nil, fmt.Errorf("transmitter xdp: %s: %w", c.Device, err)
	}
	x := newXDP(c, kernel, kernel.FrameLen(), kernel.Ring(cpu), cpu, socket)
	if err := x.start(); err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

// KernelShapes are the template's kinds as loader.LoadTransmit takes them.
func KernelShapes(t *probe.Template) []loader.TransmitShape {
	var shapes []loader.TransmitShape
	for _, k := range t.Kinds() {
		s := t.Shape(k)
		shapes = append(shapes, loader.TransmitShape{Request: k.Type(), Frame: s.Frame, IPSum: s.IPSum, ICMPSum: s.ICMPSum})
	}
	return shapes
}

// KernelFlows are the template's flows as loader.LoadTransmit takes them.
func KernelFlows(t *probe.Template) []loader.Flow {
	var flows []loader.Flow
	for _, f := range t.Flows() {
		flows = append(flows, loader.Flow(f))
	}
	return flows
}

func newXDP(c Config, kernel program, frameLen int, ring *loader.ProbeRing, cpu, socket int) *xdp {
	x := &xdp{
		kernel: kernel, ring: ring, cpu: cpu, rate: c.Pace, waiter: c.Waiter, socket: socket,
		frame: make([]byte, frameLen), ended: make(chan struct{}), device: c.Device, signal: wake,
	}
	x.running = func() bool { return linkRunning(socket, c.Device) }
	// The program writes all but what is behind the payload of echo requests.
	c.Template.Init(x.frame, c.Template.Kinds()[0])
	if slices.Contains(c.Template.Kinds(), probe.Echo) {
		c.Template.Init(x.frame, probe.Echo)
	}
	x.ring.EpochNs = uint64(c.Waiter.Now())
	x.ring.Trial = firstFrames
	x.Idle() // the first frame is never late
	x.pace(c.Pace.Rate)
	return x
}

// start starts the runner and waits until the program runs: setting it up takes
// the kernel some 25 ms, which are no part of the sweep, and what it cannot do
// shows before the first probe.
func (x *xdp) start() error {
	go x.run()
	for atomic.LoadUint64(&x.ring.Entered) == 0 {
		select {
		case <-x.ended:
			if errors.Is(x.err, unix.EINVAL) {
				return fmt.Errorf("transmitter xdp: the kernel does not run its program over live frames "+
					"(that needs Linux 5.18, and frames of at most some 3,400 bytes): use --tx packet: %w", unix.EINVAL)
			}
			return x.err
		default:
		}
		if !x.waiter.Until(x.waiter.Now() + int64(time.Millisecond)) {
			return ErrStopped
		}
	}
	return nil
}

// pace writes the rate into the ring. The order of the writes is such that the
// program, which may read between them, never lets more frames go than both
// rates allow.
func (x *xdp) pace(rate pace.Rate) {
	if rate == pace.Max {
		x.batch.Store(xdpBatch)
		atomic.StoreUint64(&x.ring.Interval, 0)
		return
	}
	threads := uint64(max(x.rate.Threads, 1))
	batch := max(pacedBatch(rate)/threads, 1)
	if atomic.LoadUint64(&x.ring.Interval) != 0 {
		// Another size takes a new run, and some 25 ms without frames: once, for a
		// rate that needs it.
		batch = max(batch, uint64(x.batch.Load()))
	}
	x.batch.Store(uint32(batch))
	// Nanoseconds in 1/256 between frames of this thread.
	hi, lo := bits.Mul64(threads<<8, uint64(time.Second))
	interval, _ := bits.Div64(hi, lo, uint64(rate))
	// Frames of a batch under way and those saved up are the burst, but for some
	// that clocks and queues may cost. At 2 million a second each of them is half
	// a microsecond, and a tick of the kernel's timer takes ten or twenty.
	share := pace.Burst / threads
	slack := (share - batch - share/16) * interval
	switch before := atomic.LoadUint64(&x.ring.Interval); {
	case before == 0:
		x.Idle() // there was no schedule that the next frame could be late for
		fallthrough
	case interval < before:
		atomic.StoreUint64(&x.ring.Slack, slack)
		atomic.StoreUint64(&x.ring.Interval, interval)
	default:
		atomic.StoreUint64(&x.ring.Interval, interval)
		atomic.StoreUint64(&x.ring.Slack, slack)
	}
}

func (x *xdp) SetRate(rate pace.Rate) error {
	c := x.rate
	c.Rate = rate
	if err := c.Validate(); err != nil {
		return fmt.Errorf("transmitter xdp: %w", err)
	}
	x.change.Lock()
	defer x.change.Unlock()
	batch := x.batch.Load()
	x.pace(rate)
	if x.batch.Load() != batch {
		x.interrupt() // it begins a new run, with the new size
	}
	return nil
}

func (x *xdp) Batch() int { return pace.Burst }

func (x *xdp) Idle() { atomic.AddUint64(&x.ring.Idle, 1) }

func (x *xdp) Handed() uint64 { return atomic.LoadUint64(&x.ring.Handed) }

func (x *xdp) Send(probes []probe.Probe) (int, error) {
	for i, p := range probes {
		for x.produced-x.consumed() == uint64(loader.ProbeRingSize) {
			atomic.StoreUint64(&x.ring.Produced, x.produced)
			if err := x.wait(x.consumed(), uint64(loader.ProbeRingSize/2)); err != nil {
				return i, err
			}
		}
		slot := &x.ring.Probes[x.produced%uint64(loader.ProbeRingSize)]
		slot.IndexAttempt = p.Word()
		slot.Target = bits.ReverseBytes32(p.Target)
		slot.HopLimit = p.HopLimit
		slot.Kind = uint8(p.Kind)
		slot.Flow = p.Flow
		x.produced++
	}
	atomic.StoreUint64(&x.ring.Produced, x.produced)
	if x.waiter.Stopped() {
		return len(probes), ErrStopped
	}
	return len(probes), nil
}

func (x *xdp) consumed() uint64 { return atomic.LoadUint64(&x.ring.Consumed) }

// wait waits for the ring to empty by so many probes, as far as can be
// foreseen.
func (x *xdp) wait(now, probes uint64) error {
	select {
	case <-x.ended:
		if x.err != nil {
			return x.err
		}
	default:
	}
	if atomic.LoadUint64(&x.ring.Stopped) != 0 {
		return x.refusal(unix.Errno(atomic.LoadUint64(&x.ring.Refusal)))
	}
	if !x.waiter.Until(x.waiter.Now() + x.seen.pause(x.waiter.Now(), now, probes)) {
		return ErrStopped
	}
	// Frames that the device refuses are counted where nobody waits for them.
	if !x.running() {
		return deviceError("xdp", x.device, unix.ENETDOWN)
	}
	return nil
}

// refusal is why the program has stopped by itself.
func (x *xdp) refusal(errno unix.Errno) error {
	if atomic.LoadUint64(&x.ring.Trial) == firstFrames {
		return fmt.Errorf("%w: %s: transmitter xdp: it takes no frames from XDP programs: %w: use --tx packet", ErrDevice, x.device, errno)
	}
	return fmt.Errorf("transmitter xdp: %s: %w: %w", x.device, ErrRefused, errno)
}

// drained foresees how fast a ring empties.
type drained struct {
	at    int64 // ns
	count uint64
	last  int64 // the last pause
}

// pause is how long it will take until so many more are drained than count,
// which are drained now; within bounds, and growing while nothing moves.
func (d *drained) pause(now int64, count, more uint64) int64 {
	moved, took := count-d.count, now-d.at
	known := d.at != 0
	d.at, d.count = now, count
	switch {
	case !known:
		d.last = minPause
	case moved == 0:
		d.last *= 2
	default:
		d.last = int64(min(float64(took)/float64(moved)*float64(more), float64(maxPause)))
	}
	d.last = min(max(d.last, minPause), maxPause)
	return d.last
}

func (x *xdp) Drain() (left int, err error) {
	x.seen = drained{}
	for err == nil && x.Handed() < x.produced {
		err = x.wait(x.Handed(), x.produced-x.Handed())
	}
	if x.Handed() == x.produced {
		// Nothing can be sent any more. The thread takes some 25 ms to leave the
		// kernel, which are no part of the sending; Close waits for it.
		go x.halt()
		return 0, err
	}
	x.halt()
	return int(x.produced - x.Handed()), err
}

// Values of a ring's Trial.
const (
	noTrial = iota
	trial
	firstFrames
)

func (x *xdp) try(on bool) {
	value := uint64(noTrial)
	if on {
		value = trial
	}
	atomic.StoreUint64(&x.ring.Trial, value)
}

func (x *xdp) giveBack() []probe.Probe {
	x.halt()
	var left []probe.Probe
	add := func(d loader.ProbeDescriptor) {
		run, index, attempt := probe.SplitWord(d.IndexAttempt)
		left = append(left, probe.Probe{
			Run: run, Index: index, Target: bits.ReverseBytes32(d.Target), Attempt: attempt, HopLimit: d.HopLimit, Kind: probe.Kind(d.Kind), Flow: d.Flow,
		})
	}
	for n := x.ring.AgainTaken; n != x.ring.AgainGiven; n++ {
		add(x.ring.Again[n%uint64(len(x.ring.Again))])
	}
	for n := x.consumed(); n != x.produced; n++ {
		add(x.ring.Probes[n%uint64(loader.ProbeRingSize)])
	}
	return left
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
		batch := x.batch.Load()
		x.ring.Turn = 0
		atomic.StoreUint64(&x.ring.Batch, uint64(batch))
		// A signal may be the one that halt sends, or anybody's.
		if err := x.kernel.Run(x.frame, xdpTurns, batch); err != nil && !errors.Is(err, unix.EINTR) {
			x.err = fmt.Errorf("%w: transmitter xdp: run its program: %w: --tx packet does without", ErrDevice, err)
			return
		}
	}
}

// halt makes the program send nothing more and its thread leave the kernel.
func (x *xdp) halt() {
	atomic.StoreUint64(&x.ring.Stopped, 1)
	for {
		// The signal may come just before the thread enters the kernel, so one
		// may not be enough.
		x.interrupt()
		select {
		case <-x.ended:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// interrupt makes the runner leave the kernel, if it is there.
func (x *xdp) interrupt() {
	if thread := x.thread.Load(); thread != 0 {
		x.signal(int(thread))
	}
}

// wake makes a thread of ours leave a system call. The runtime ignores a SIGURG
// that it did not send.
func wake(thread int) { _ = unix.Tgkill(unix.Getpid(), thread, unix.SIGURG) }

func (x *xdp) Counts() Counts {
	c := Counts{
		Unconfirmed: atomic.LoadUint64(&x.ring.Unconfirmed), Retries: atomic.LoadUint64(&x.ring.Retries), Stalls: atomic.LoadUint64(&x.ring.Stalls),
	}
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
