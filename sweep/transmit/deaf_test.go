// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
)

// deafen makes the lab's far end stop receiving: its device is polled by threads
// of the kernel, and these get a microsecond of CPU time every four seconds. What
// is sent fills the device's rings then, and no more fits. hear, or else the
// test's end, brings it back.
func deafen(t *testing.T, l *lab.Lab) (hear func()) {
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
	old := map[int]*unix.SchedAttr{}
	hear = func() {
		for pid, attr := range old {
			if err := unix.SchedSetAttr(pid, attr, 0); err != nil {
				t.Error(err)
			}
			delete(old, pid)
		}
	}
	t.Cleanup(hear) // before the lab ends, which waits for the threads
	for pid := range pollers(t) {
		if before[pid] {
			continue
		}
		attr, err := unix.SchedGetAttr(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		const longest = uint64(4 * time.Second)
		starved := unix.SchedAttr{
			Size: unix.SizeofSchedAttr, Policy: unix.SCHED_DEADLINE, Runtime: 1024, Deadline: longest, Period: longest,
		}
		if err := unix.SchedSetAttr(pid, &starved, 0); err != nil {
			t.Fatal(err)
		}
		old[pid] = attr
	}
	if len(old) == 0 {
		t.Fatal("no thread polls the far end's device")
	}
	return hear
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
		polls = 3   // batches of 64 that a poller may take all the same
	)
	conform(t, lab.Config{Responder: lab.Sink}, func(t *testing.T, l *lab.Lab, open func(options) (Transmitter, thread)) {
		tx, th := open(options{rate: 100_000})
		hear := deafen(t, l)
		start := th.clock.Now()
		if taken, err := sendOn(tx, numbered(0, n)); taken != n || err != nil {
			t.Fatalf("%d taken, %v", taken, err)
		}
		eventually(t, "all is handed over", func() bool { return tx.Handed() == n })
		c := tx.Counts()
		t.Logf("%v: %+v", time.Duration(th.clock.Now()-start), c)
		handedExactly(t, tx, n)
		if len(c.Refused) != 1 || c.Refused[unix.ENOBUFS] != n-c.Accepted || c.Accepted < fit || c.Accepted > fit+64*polls || c.Retries == 0 || c.Unconfirmed != 0 {
			t.Errorf("counted: %+v", c)
		}
		hear()
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

// A sweep that is stopped while its device takes nothing ends at once, and what
// waits to be tried again is left.
func TestConformDeafStop(t *testing.T) {
	const n = 5000
	conform(t, lab.Config{Responder: lab.Sink}, func(t *testing.T, l *lab.Lab, open func(options) (Transmitter, thread)) {
		tx, th := open(options{})
		hear := deafen(t, l)
		go func() {
			eventually(t, "something is tried again", func() bool { return tx.Counts().Retries > 0 })
			th.stop.Set()
		}()
		handed, err := send(tx, numbered(0, n))
		if handed >= n || !errors.Is(err, ErrStopped) {
			t.Errorf("%d handed, %v", handed, err)
		}
		handedExactly(t, tx, handed)
		hear()
		settle(t, l, tx.Counts().Accepted)
	})
}
