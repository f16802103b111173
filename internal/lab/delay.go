// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// This file is the delay responder: XDP cannot hold a frame back, so simnet makes
// each answer and hands it to a thread here, which sends it when it is due. The
// frame has a private EtherType (so that the stack drops it) and, where the first
// eight bytes of its addresses were, the time at which it was made.

// holdOnce and holdTwice are HOLD_ONCE and HOLD_TWICE of bpf/include/simnet.h.
const (
	holdOnce  = 0x88b5
	holdTwice = 0x88b6
)

// spinFor is how long before something is due the thread watches the clock
// rather than sleep: longer than the kernel takes to wake it, mostly.
const spinFor = 50 * time.Microsecond

// maxLead bounds how long before it is due a frame is sent, so that it is taken
// in time: what sending takes longer is an accident that says nothing of the next.
const maxLead = 10 * time.Microsecond

// delayBatch is how many frames are taken and sent at a time.
const delayBatch = 32

func (c Config) validateDelay() error {
	if err := c.Queue.validate(); err != nil {
		return fmt.Errorf("queue %w", err)
	}
	if !(c.Reorder >= 0 && c.Reorder <= 1) {
		return fmt.Errorf("reorder %v: must be a fraction from 0 to 1", c.Reorder)
	}
	for _, s := range []struct {
		name string
		set  bool
	}{{"delay", c.Delay != nil}, {"queue", c.Queue != Queue{}}, {"reorder", c.Reorder != 0}} {
		if s.set && c.Responder != Delay {
			return fmt.Errorf("%s: the %s responder sends at once: use the delay responder", s.name, c.Responder)
		}
	}
	return nil
}

// DelayStats is what the delay responder did, once simnet had made the answers:
//
//	Answered - Duplicated = Taken + RingLost, once all have come
type DelayStats struct {
	DelayCounts
	RingLost uint64 `json:"ring_lost"` // answers that came faster than they were taken

	// Injected is how long after its arrival each answer was due, Actual how long
	// after it the device had taken it, and Lateness how much longer that was.
	Injected Latency `json:"injected"`
	Actual   Latency `json:"actual"`
	Lateness Latency `json:"lateness"`
}

// delayer is the thread with its sockets.
type delayer struct {
	mu       sync.Mutex // of all that the thread counts
	schedule *schedule
	memory   frameMemory
	injected *histogram
	actual   *histogram
	lateness *histogram

	began   time.Duration
	header  [12]byte // addresses of every answer
	ring    *packetRing
	sender  *frameSender
	wake    int           // an eventfd
	lead    time.Duration // how long it takes to send one frame
	stopped atomic.Bool
	done    chan struct{}
}

// startDelayer starts the thread, for answers that leave at an end.
func startDelayer(c Config, e *end, peer net.HardwareAddr, began time.Duration) (*delayer, error) {
	d := &delayer{
		schedule: newSchedule(c),
		injected: newHistogram(), actual: newHistogram(), lateness: newHistogram(),
		began: began, wake: -1, done: make(chan struct{}),
	}
	copy(d.header[:], peer)
	copy(d.header[6:], e.mac)
	err := inNamespace(e.ns, func() (err error) {
		if d.ring, err = openRing(e.ifindex, c.mtu()+14); err != nil {
			return err
		}
		if d.sender, err = openSender(e.ifindex); err != nil {
			return err
		}
		d.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("start to delay answers: %w", errors.Join(err, d.release()))
	}
	go d.run()
	return d, nil
}

// run is the life of the thread, which ends with it.
func (d *delayer) run() {
	defer close(d.done)
	runtime.LockOSThread()
	// Both make answers more punctual, on a machine that has other things to do too;
	// without the privilege they are less so.
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	for !d.stopped.Load() {
		at, some := d.turn()
		if !some {
			d.sleep(nil)
		} else if wait := at - d.now() - spinFor; wait > 0 {
			d.sleep(&wait)
		}
	}
}

// turn takes what has come, sends what is due, and says when the next is.
func (d *delayer) turn() (time.Duration, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ring.receive(delayBatch, d.take)
	d.sendDue()
	return d.schedule.next()
}

// sleep waits until an answer comes, or until it is time.
func (d *delayer) sleep(wait *time.Duration) {
	var timeout *unix.Timespec
	if wait != nil {
		t := unix.NsecToTimespec(int64(*wait))
		timeout = &t
	}
	events := []unix.PollFd{{Fd: int32(d.ring.fd), Events: unix.POLLIN}, {Fd: int32(d.wake), Events: unix.POLLIN}}
	_, _ = unix.Ppoll(events, timeout, nil) // a signal only makes the next turn come early
}

// take accepts one answer from the ring.
func (d *delayer) take(frame []byte) {
	if len(frame) < 14 {
		return
	}
	kind := binary.BigEndian.Uint16(frame[12:])
	if kind != holdOnce && kind != holdTwice {
		return // what simnet has left to the stack
	}
	a := d.memory.get(len(frame))
	if a == nil {
		d.schedule.counts.Taken++
		d.schedule.counts.NoRoom++
		return
	}
	copy(a.frame, frame)
	// The time is written in the byte order of the machine, which is little-endian.
	a.arrived = time.Duration(binary.LittleEndian.Uint64(frame)) - d.began
	a.twice = kind == holdTwice
	copy(a.frame, d.header[:])
	binary.BigEndian.PutUint16(a.frame[12:], unix.ETH_P_IP)
	if !d.schedule.accept(a) {
		d.memory.put(a)
	}
}

// sendDue sends all that is due, a batch at a time.
func (d *delayer) sendDue() {
	for {
		begin := d.now()
		var batch [delayBatch]*held
		n := 0
		for ; n < len(batch); n++ {
			if batch[n] = d.schedule.release(begin + d.lead); batch[n] == nil {
				break
			}
			d.sender.add(batch[n].frame)
			if batch[n].twice {
				d.sender.add(batch[n].frame)
			}
		}
		if n == 0 {
			return
		}
		sent, refused := d.sender.flush()
		now := d.now()
		if took := now - begin; n == 1 && took < maxLead {
			d.lead += (took - d.lead) / 16
		}
		d.schedule.counts.Sent += sent
		d.schedule.counts.Refused += refused
		for _, a := range batch[:n] {
			d.injected.add(a.due - a.arrived)
			d.actual.add(now - a.arrived)
			d.lateness.add(now - a.due)
			d.memory.put(a)
		}
	}
}

// now is the time since the lab began. The clock is there: the lab has read it.
func (d *delayer) now() time.Duration {
	now, _ := monotonic()
	return now - d.began
}

func (d *delayer) stats() (*DelayStats, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	lost, err := d.ring.countLost()
	if err != nil {
		return nil, err
	}
	s := &DelayStats{
		DelayCounts: d.schedule.counts, RingLost: lost,
		Injected: d.injected.latency(), Actual: d.actual.latency(), Lateness: d.lateness.latency(),
	}
	s.Pending = d.schedule.pending()
	return s, nil
}

func (d *delayer) close() error {
	d.stopped.Store(true)
	_, err := unix.Write(d.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	<-d.done
	return errors.Join(err, d.release())
}

// release closes what is open.
func (d *delayer) release() error {
	var errs []error
	if d.ring != nil {
		errs = append(errs, d.ring.close())
	}
	if d.sender != nil {
		errs = append(errs, d.sender.close())
	}
	if d.wake >= 0 {
		errs = append(errs, unix.Close(d.wake))
	}
	return errors.Join(errs...)
}
