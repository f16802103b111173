// SPDX-License-Identifier: Apache-2.0

package pace

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Stop ends waits from another goroutine. It is set once and stays set.
type Stop struct {
	set atomic.Bool
	fd  int
}

// NewStop makes a stop that is not set.
func NewStop() (*Stop, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make an eventfd: %w", err)
	}
	return &Stop{fd: fd}, nil
}

// Set ends all waits, now and later.
func (s *Stop) Set() {
	if s.set.Swap(true) {
		return
	}
	one := [8]byte{1}
	// Cannot fail: the counter has room and the descriptor is ours.
	_, _ = unix.Write(s.fd, one[:])
}

// IsSet tells whether Set was called.
func (s *Stop) IsSet() bool { return s.set.Load() }

// Close frees the stop. No wait may be under way.
func (s *Stop) Close() error { return unix.Close(s.fd) }

// spinBelow is how short a wait must be to be spent looking at the clock
// rather than sleeping: about what it costs to fall asleep and wake up.
const spinBelow = 20_000 // ns

// schedSlice is how long a sending thread asks to run at a time: the least
// that the kernel grants.
const schedSlice = 100_000 // ns

// Waiter waits on behalf of one thread, which must be locked to its goroutine
// for the fine timers that NewWaiter asks for.
type Waiter struct {
	clock      Clock
	stop       *Stop
	poll       [1]unix.PollFd
	processors int32 // of the runtime
}

// NewWaiter makes a waiter and asks the kernel to wake this thread on time. By
// default it may be 50 microseconds late to save power (prctl(2),
// PR_SET_TIMERSLACK), and later where others want the CPU too: who asks for a
// short slice gets on sooner, from kernel 6.12 on (sched_setattr(2); kernel,
// sched-eevdf.rst). Neither needs a privilege.
func NewWaiter(clock Clock, stop *Stop) *Waiter {
	// Refused, waits are less exact; the pacer copes.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	if attr, err := unix.SchedGetAttr(0, 0); err == nil && attr.Policy == unix.SCHED_NORMAL {
		attr.Runtime = schedSlice
		_ = unix.SchedSetAttr(0, attr, 0)
	}
	return &Waiter{
		clock: clock, stop: stop, poll: [1]unix.PollFd{{Fd: int32(stop.fd), Events: unix.POLLIN}},
		processors: int32(runtime.GOMAXPROCS(0)),
	}
}

// Now is the waiter's clock.
func (w *Waiter) Now() int64 { return w.clock.Now() }

// Stopped tells whether waits end early.
func (w *Waiter) Stopped() bool { return w.stop.IsSet() }

// Until waits until the clock shows at, or the stop is set. It says which: it
// returns false when stopped.
func (w *Waiter) Until(at int64) bool {
	for !w.stop.IsSet() {
		left := at - w.clock.Now()
		if left <= 0 {
			return true
		}
		if left < spinBelow {
			continue
		}
		w.sleep(left)
	}
	return false
}

// quietSleep is how long a sleep may be that the runtime is not told of. Its
// monitor takes a thread's processor away when it was in system calls for ten
// milliseconds, and then looks around every 20 microseconds for a while: at a
// thousand sleeps a second that took more CPU than the sending. What it does not
// know of holds up a collection of garbage for as long.
const quietSleep = int64(5 * time.Millisecond)

// SpareProcessors gives the runtime twice as many processors as it has CPUs
// (runtime.GOMAXPROCS), unless the user has chosen their number. A sending thread
// keeps one while it sleeps; where none is idle, the runtime's monitor takes them
// from all threads that wait in the kernel, and is busy with that: with two
// threads of xdp on two CPUs it cost a tenth of the rate. It is for programs to
// call as they start, not for libraries.
func SpareProcessors() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))
	}
}

// quiet counts the threads in such sleeps. Each keeps one of the runtime's
// processors to itself, of which one must be left for all else.
var quiet atomic.Int32

// sleep sleeps for so many nanoseconds at most. An interrupted or failed poll
// only means another look at the clock.
func (w *Waiter) sleep(ns int64) {
	timeout := unix.NsecToTimespec(ns)
	if ns <= quietSleep {
		defer quiet.Add(-1)
		if quiet.Add(1) < w.processors {
			_, _, _ = unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&w.poll[0])), uintptr(len(w.poll)),
				uintptr(unsafe.Pointer(&timeout)), 0, 0, 0)
			return
		}
	}
	_, _ = unix.Ppoll(w.poll[:], &timeout, nil)
}
