// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
	"xsweep/internal/testrand"
	"xsweep/sweep/probe"
)

// farEnd is who receives at a lab's far end: threads of the kernel that poll its
// device.
type farEnd struct {
	threads map[int]*unix.SchedAttr // when they receive, by thread id
}

// newFarEnd gives these threads a life of their own, so that a test can starve
// them. The test's end lets them receive again.
func newFarEnd(t *testing.T, l *lab.Lab) *farEnd {
	t.Helper()
	before := pollers(t)
	if err := l.AtResponder(func() error { // on a thread that ends: its mounts are its own
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
			return err
		}
		return os.WriteFile("/sys/class/net/"+lab.ResponderDevice+"/threaded", []byte("1"), 0)
	}); err != nil {
		t.Fatal(err)
	}
	f := &farEnd{map[int]*unix.SchedAttr{}}
	for pid := range pollers(t) {
		if before[pid] {
			continue
		}
		attr, err := unix.SchedGetAttr(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		attr.Nice = -20 // where senders take all CPUs it must still get on
		f.threads[pid] = attr
	}
	if len(f.threads) == 0 {
		t.Fatal("no thread polls the far end's device")
	}
	t.Cleanup(func() { f.hear(t) }) // before the lab ends, which waits for the threads
	return f
}

// deafen makes the far end stop receiving: its threads get a microsecond of CPU
// time every 20 ms, the least that the kernel grants. One poll takes a hundred
// times as much, which they then have to do without for: what is sent fills the
// device's rings, and no more fits. The period must not be longer: should the
// test be killed, the device cannot be removed before they have run again, and
// until then no network device of the machine can be.
func (f *farEnd) deafen(t *testing.T) {
	t.Helper()
	for pid := range f.threads {
		if err := unix.SchedSetAttr(pid, &unix.SchedAttr{
			Size: unix.SizeofSchedAttr, Policy: unix.SCHED_DEADLINE, Runtime: 1024, Deadline: 20e6, Period: 20e6,
		}, 0); err != nil {
			t.Error(err)
		}
	}
}

// hear ends that.
func (f *farEnd) hear(t *testing.T) {
	t.Helper()
	for pid, attr := range f.threads {
		if err := unix.SchedSetAttr(pid, attr, 0); err != nil {
			t.Error(err)
		}
	}
}

// falter makes the far end deaf again and again, until end: each time until
// frames had to be tried again, and then not before some have got through. If
// this machine gives it no time, a silence lasts for longer than the patience.
func (f *farEnd) falter(t *testing.T, counts func() Counts) (end func()) {
	t.Helper()
	f.deafen(t)
	stop, ended := make(chan struct{}), make(chan struct{})
	grown := func(of func(Counts) uint64, by uint64) bool {
		for before := of(counts()); of(counts()) < before+by; runtime.Gosched() {
			select {
			case <-stop:
				return false
			default:
			}
		}
		return true
	}
	go func() {
		defer close(ended)
		defer f.hear(t)
		// So must who ends the silence.
		runtime.LockOSThread() // and not unlocked: the thread keeps its priority
		if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -20); err != nil {
			t.Error(err)
		}
		for grown(func(c Counts) uint64 { return c.Retries }, 1) {
			f.hear(t)
			if !grown(func(c Counts) uint64 { return c.Accepted }, 1000) {
				return
			}
			f.deafen(t)
		}
	}()
	return sync.OnceFunc(func() { close(stop); <-ended })
}

// pollers are the kernel's threads that poll a device of the far end's name.
func pollers(t *testing.T) map[int]bool {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]bool{}
	for _, path := range paths {
		comm, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(comm), "napi/"+lab.ResponderDevice+"-") {
			continue // others come and go
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			found[pid] = true
		}
	}
	return found
}

// A far end that takes nothing any more does not hold the sweep for long: the
// first probes wait for it with patience, those behind them with less, and all
// that have not gone in the end are refused with ENOBUFS, each once. When it is
// back, all is well again.
func TestConformDeafPeer(t *testing.T) {
	const (
		n     = 800
		fit   = 256 // into a veth device's ring
		tries = 20  // on average of a quarter at least; those that wait with patience are tried some 50 times
	)
	conform(t, lab.Config{Responder: lab.Sink}, func(t *testing.T, l *lab.Lab, open func(options) (Transmitter, thread)) {
		tx, th := open(options{rate: 100_000})
		far := newFarEnd(t, l)
		far.deafen(t)
		start := th.clock.Now()
		if taken, err := sendOn(tx, numbered(0, n)); taken != n || err != nil {
			t.Fatalf("%d taken, %v", taken, err)
		}
		eventually(t, "all is handed over", func() bool { return tx.Handed() == n })
		c := tx.Counts()
		t.Logf("%v: %+v", time.Duration(th.clock.Now()-start), c)
		handedExactly(t, tx, n)
		if len(c.Refused) != 1 || c.Refused[unix.ENOBUFS] != n-c.Accepted || c.Accepted < fit || c.Retries == 0 || c.Retries > tries*max(n-c.Accepted, n/4) || c.Unconfirmed != 0 {
			t.Errorf("counted: %+v", c)
		}
		far.hear(t)
		settle(t, l, c.Accepted)
		tx.Idle()
		if handed, err := send(tx, numbered(n, n)); handed != n || err != nil {
			t.Errorf("back again: %d handed, %v", handed, err)
		}
		again := tx.Counts()
		if again.Accepted != c.Accepted+n || again.Refused[unix.ENOBUFS] != c.Refused[unix.ENOBUFS] {
			t.Errorf("back again: %+v", again)
		}
		settle(t, l, again.Accepted)
	})
}

// What a far end that falters had no room for comes again as it was to be, and just
// once: only its place in the order may be another.
func TestConformFalteringPeer(t *testing.T) {
	const n = 20_000
	conform(t, lab.Config{Responder: lab.Kernel}, func(t *testing.T, l *lab.Lab, open func(options) (Transmitter, thread)) {
		passAtPeer(t, l) // without a program only some frames wait to be polled
		heard := newCapture(t, l.AtResponder, lab.ResponderDevice)
		far := newFarEnd(t, l)
		r := testrand.New(t)
		probes := numbered(0, n)
		var want []arrival
		for i := range probes {
			probes[i].Target, probes[i].Attempt, probes[i].HopLimit = 0xf0000000|r.Uint32N(0x0ffffff0), uint8(1+r.IntN(255)), uint8(1+r.IntN(255))
			want = append(want, wantArrival(probes[i], probe.PayloadLen))
		}
		for range 5 {
			tx, _ := open(options{})
			end := far.falter(t, tx.Counts)
			handed, err := send(tx, probes)
			end()
			c := tx.Counts()
			t.Logf("%+v", c)
			if handed != n || err != nil {
				t.Fatalf("%d handed, %v", handed, err)
			}
			handedExactly(t, tx, n)
			got := heard.take(t, int(c.Accepted))
			if c.Retries == 0 || c.Refused != nil {
				continue // once more
			}
			slices.SortFunc(got, func(a, b arrival) int { return cmp.Compare(a.Index, b.Index) })
			if !slices.Equal(got, want) {
				t.Errorf("%d frames arrived, want %d, or they are not the same", len(got), n)
			}
			return
		}
		t.Error("each time nothing was tried again, or the silence was too long")
	})
}

// A sweep that is stopped while its device takes nothing ends at once, and what
// waits to be tried again is left.
func TestConformDeafStop(t *testing.T) {
	const n = 5000
	conform(t, lab.Config{Responder: lab.Sink}, func(t *testing.T, l *lab.Lab, open func(options) (Transmitter, thread)) {
		tx, th := open(options{})
		far := newFarEnd(t, l)
		far.deafen(t)
		go func() {
			eventually(t, "something is tried again", func() bool { return tx.Counts().Retries > 0 })
			th.stop.Set()
		}()
		handed, err := send(tx, numbered(0, n))
		if handed >= n || !errors.Is(err, ErrStopped) {
			t.Errorf("%d handed, %v", handed, err)
		}
		handedExactly(t, tx, handed)
		far.hear(t)
		settle(t, l, tx.Counts().Accepted)
	})
}
