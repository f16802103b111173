// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"xsweep/sweep/pace"
)

// The kernel may take any part of a batch: the rest goes out behind it.
func TestPartialSends(t *testing.T) {
	for most := 1; most <= pace.Burst; most++ {
		m, k := newFake(t, pace.Max)
		k.most = most
		handed, err := m.Send(numbered(0, pace.Burst))
		if handed != pace.Burst || err != nil {
			t.Fatalf("%d at a time: %d handed, %v", most, handed, err)
		}
		if diff := cmp.Diff(sequence(0, pace.Burst), k.indexes()); diff != "" {
			t.Fatalf("%d at a time: frames (-want +got):\n%s", most, diff)
		}
		if want := (pace.Burst + most - 1) / most; k.calls != want {
			t.Errorf("%d at a time: %d calls, want %d", most, k.calls, want)
		}
		if diff := cmp.Diff(Counts{Accepted: pace.Burst}, m.Counts()); diff != "" {
			t.Errorf("%d at a time: counts (-want +got):\n%s", most, diff)
		}
	}
}

// More probes than a batch holds go out in several.
func TestLongSend(t *testing.T) {
	m, k := newFake(t, pace.Max)
	const n = 5*pace.Burst + 3
	if handed, err := m.Send(numbered(0, n)); handed != n || err != nil {
		t.Fatalf("%d handed, %v", handed, err)
	}
	if diff := cmp.Diff(sequence(0, n), k.indexes()); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
	if handed, err := m.Send(nil); handed != 0 || err != nil {
		t.Errorf("nothing to send: %d handed, %v", handed, err)
	}
}

// EINTR is no failure of anything.
func TestInterrupted(t *testing.T) {
	m, k := newFake(t, pace.Max)
	left := 7
	k.fail = func(index uint64) unix.Errno {
		if index == 5 && left > 0 {
			left--
			return unix.EINTR
		}
		return 0
	}
	if handed, err := m.Send(numbered(0, 20)); handed != 20 || err != nil {
		t.Fatalf("%d handed, %v", handed, err)
	}
	if diff := cmp.Diff(sequence(0, 20), k.indexes()); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Counts{Accepted: 20}, m.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

// A frame that cannot go is refused alone, at every place in the batch.
func TestRefusedAlone(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EPERM, unix.EHOSTUNREACH, unix.EMSGSIZE, unix.EINVAL, unix.EACCES, 133, 4000} {
		for bad := range uint64(pace.Burst) {
			m, k := newFake(t, pace.Max)
			k.fail = func(index uint64) unix.Errno {
				if index == bad {
					return errno
				}
				return 0
			}
			handed, err := m.Send(numbered(0, pace.Burst))
			if handed != pace.Burst || err != nil {
				t.Fatalf("%v at %d: %d handed, %v", errno, bad, handed, err)
			}
			if diff := cmp.Diff(sequence(0, pace.Burst, bad), k.indexes()); diff != "" {
				t.Fatalf("%v at %d: frames (-want +got):\n%s", errno, bad, diff)
			}
			want := Counts{Accepted: pace.Burst - 1, Refused: map[unix.Errno]uint64{min(errno, maxErrno-1): 1}}
			if diff := cmp.Diff(want, m.Counts()); diff != "" {
				t.Fatalf("%v at %d: counts (-want +got):\n%s", errno, bad, diff)
			}
		}
	}
}

// A full queue is waited for: the frames behind leave later than those before,
// and their send times say so.
func TestFullQueue(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EAGAIN, unix.ENOBUFS} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			m, k := newFake(t, pace.Max)
			left := 3
			var refusedAt int64
			k.fail = func(index uint64) unix.Errno {
				if index == 6 && left > 0 {
					// As the second frame of a call it is not the one that is told of.
					if k.calls > 1 {
						left--
						refusedAt = k.clock.Now()
					}
					return errno
				}
				return 0
			}
			if handed, err := m.Send(numbered(0, 10)); handed != 10 || err != nil {
				t.Fatalf("%d handed, %v", handed, err)
			}
			if diff := cmp.Diff(sequence(0, 10), k.indexes()); diff != "" {
				t.Errorf("frames (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(Counts{Accepted: 10, Retries: 3}, m.Counts()); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
			for _, p := range k.taken {
				if (p.index >= 6) != (p.sent >= refusedAt) {
					t.Errorf("frame %d was stamped %d ns after the last refusal", p.index, p.sent-refusedAt)
				}
			}
			ordered(t, k)
		})
	}
}

// A frame that a full queue keeps refusing is given up after its patience has
// passed; the next has only a short patience, until one goes through.
func TestFullQueueForGood(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EAGAIN, unix.ENOBUFS} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			m, k := newFake(t, pace.Max)
			stuck := map[uint64]bool{3: true, 4: true, 7: true}
			tried := map[uint64][2]int64{} // when first and last
			tries := map[uint64]int{}
			k.fail = func(index uint64) unix.Errno {
				if !stuck[index] {
					return 0
				}
				now := k.clock.Now()
				if _, ok := tried[index]; !ok {
					tried[index] = [2]int64{now, now}
				}
				tried[index] = [2]int64{tried[index][0], now}
				tries[index]++
				return errno
			}
			if handed, err := m.Send(numbered(0, 10)); handed != 10 || err != nil {
				t.Fatalf("%d handed, %v", handed, err)
			}
			if diff := cmp.Diff(sequence(0, 10, 3, 4, 7), k.indexes()); diff != "" {
				t.Errorf("frames (-want +got):\n%s", diff)
			}
			c := m.Counts()
			if c.Retries == 0 {
				t.Error("no retries were counted")
			}
			c.Retries = 0
			if diff := cmp.Diff(Counts{Accepted: 7, Refused: map[unix.Errno]uint64{errno: 3}}, c); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
			for index, least := range map[uint64]int64{3: patience, 4: shortPatience, 7: patience} {
				if got := tried[index][1] - tried[index][0]; got < least-maxBackoff {
					t.Errorf("frame %d was tried for %v, want %v", index, time.Duration(got), time.Duration(least))
				}
			}
			// Waits double, so that a short patience bears few of them.
			most := 2
			for wait := firstBackoff; wait <= shortPatience; wait *= 2 {
				most++
			}
			if tries[4] > most {
				t.Errorf("frame 4 was tried %d times, not at most %d", tries[4], most)
			}
			ordered(t, k)
		})
	}
}

// When the device is gone, the frame that showed it counts as refused, and
// what is behind it was never tried.
func TestDeviceGone(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENETDOWN, unix.ENXIO, unix.ENODEV} {
		for bad := range uint64(10) {
			m, k := newFake(t, pace.Max)
			k.fail = func(index uint64) unix.Errno {
				if index >= bad {
					return errno
				}
				return 0
			}
			handed, err := m.Send(numbered(0, 10))
			checkDeviceError(t, err, errno)
			if handed != int(bad)+1 {
				t.Errorf("%v at %d: %d handed", errno, bad, handed)
			}
			want := Counts{Accepted: bad, Refused: map[unix.Errno]uint64{errno: 1}}
			if diff := cmp.Diff(want, m.Counts()); diff != "" {
				t.Errorf("%v at %d: counts (-want +got):\n%s", errno, bad, diff)
			}
			if diff := cmp.Diff(sequence(0, bad), k.indexes()); diff != "" {
				t.Errorf("%v at %d: frames (-want +got):\n%s", errno, bad, diff)
			}
		}
	}
}

func checkDeviceError(t *testing.T, err error, errno unix.Errno) {
	t.Helper()
	if !errors.Is(err, ErrDevice) || !errors.Is(err, errno) || !strings.Contains(fmt.Sprint(err), "dev9") {
		t.Errorf("error %v: should be ErrDevice with %v, and name dev9", err, errno)
	}
}

// A refusal of whatever kind makes the transmitter look at its device: one
// that is down ends the sweep, not each frame by itself.
func TestDeviceNotRunning(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOBUFS, unix.EPERM, unix.ENETUNREACH} {
		m, k := newFake(t, pace.Max)
		m.patience = shortPatience
		down := false
		k.fail = func(index uint64) unix.Errno {
			if index < 4 {
				return 0
			}
			down = k.calls > 1 // it goes down as the frame is refused
			return errno
		}
		m.running = func() bool { return !down }
		handed, err := m.Send(numbered(0, 10))
		checkDeviceError(t, err, errno)
		if handed != 5 || m.Counts().Accepted != 4 || m.Counts().Refused[errno] != 1 {
			t.Errorf("%v: %d handed, %+v", errno, handed, m.Counts())
		}
		handedExactly(t, m, handed)
	}
}

// A stop ends a wait for a full queue at once, wherever in the batch it is.
func TestStopInRetry(t *testing.T) {
	for bad := range uint64(10) {
		m, k := newFake(t, pace.Max)
		m.patience = int64(time.Hour)
		if bad > 0 { // an accepted frame gives the patience back
			m.patience = patience
		}
		k.fail = func(index uint64) unix.Errno {
			if index < bad {
				return 0
			}
			if k.calls > 1 || bad == 0 {
				k.stop.Set()
			}
			return unix.ENOBUFS
		}
		handed, err := m.Send(numbered(0, 10))
		if !errors.Is(err, ErrStopped) || handed != int(bad) {
			t.Errorf("stopped at %d: %d handed, %v", bad, handed, err)
		}
		handedExactly(t, m, handed)
		if diff := cmp.Diff(sequence(0, bad), k.indexes()); diff != "" {
			t.Errorf("stopped at %d: frames (-want +got):\n%s", bad, diff)
		}
	}
}

// Once the stop is set, at most the batch under way still leaves; a stop in
// the pacer's wait ends it.
func TestStopBetweenBatches(t *testing.T) {
	m, k := newFake(t, pace.Max)
	k.entered = func(first payload) {
		if first.index == 2*pace.Burst {
			k.stop.Set()
		}
	}
	handed, err := m.Send(numbered(0, 10*pace.Burst))
	if !errors.Is(err, ErrStopped) || handed != 3*pace.Burst {
		t.Errorf("%d handed, %v; want the three batches up to the stop", handed, err)
	}
	handedExactly(t, m, handed)
	if handed, err := m.Send(numbered(0, 1)); handed != 0 || !errors.Is(err, ErrStopped) {
		t.Errorf("after the stop: %d handed, %v", handed, err)
	}

	m, k = newFake(t, 1) // a frame a second
	go k.stop.Set()
	handed, err = m.Send(numbered(0, 1000))
	if !errors.Is(err, ErrStopped) {
		t.Errorf("a paced send was not stopped: %d handed, %v", handed, err)
	}
	handedExactly(t, m, handed)
}

// Send times are taken after the pacer's wait: no frame claims to have left
// before it was due.
func TestStampedWhenDue(t *testing.T) {
	const rate, n = 5000, 200
	m, k := newFake(t, rate)
	start := k.clock.Now()
	for sent := 0; sent < n; {
		batch := min(m.Batch(), n-sent)
		if handed, err := m.Send(numbered(sent, batch)); handed != batch || err != nil {
			t.Fatalf("%d handed, %v", handed, err)
		}
		sent += batch
	}
	ordered(t, k)
	batch := uint64(m.Batch())
	for _, p := range k.taken {
		due := start + int64(p.index/batch*batch)*int64(time.Second)/rate
		if p.sent < due {
			t.Errorf("frame %d was stamped %d ns before it was due", p.index, due-p.sent)
		}
	}
}

func TestSendAllocatesNothing(t *testing.T) {
	m, _ := newFake(t, pace.Max)
	probes := numbered(0, pace.Burst)
	calls := 0
	m.sendmmsg = func(_ int, messages []mmsghdr) (int, unix.Errno) {
		// Whole batches, partial ones, and failures of all kinds.
		calls++
		switch calls % 5 {
		case 0:
			return 0, unix.EINTR
		case 1:
			return 0, unix.EPERM
		case 2:
			return 0, unix.EAGAIN
		case 3:
			return (len(messages) + 1) / 2, 0
		}
		return len(messages), 0
	}
	if n := testing.AllocsPerRun(100, func() {
		if handed, err := m.Send(probes); handed != len(probes) || err != nil {
			t.Fatalf("%d handed, %v", handed, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a batch", n)
	}
}
