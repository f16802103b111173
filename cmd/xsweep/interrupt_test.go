// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
	"xsweep/loader"
)

// A signal ends sending; the cooldown is waited for, or skipped by another
// signal; the summary is whole.
func TestInterrupt(t *testing.T) {
	for _, tc := range []struct {
		name          string
		first, second os.Signal
		cooldown      time.Duration
	}{
		{"SIGINT", unix.SIGINT, nil, 500 * time.Millisecond},
		{"SIGTERM", unix.SIGTERM, nil, 500 * time.Millisecond},
		{"SIGINT twice", unix.SIGINT, unix.SIGINT, time.Hour},
		{"SIGINT and SIGTERM", unix.SIGINT, unix.SIGTERM, time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := placeLab(t, lab.Config{Live: 1})
			c := begin(t, "--rate", "5k", "--cooldown", tc.cooldown.String(), "198.18.0.0/16")
			first := nextLine(t, c.stdout) // so it is under way
			at := time.Now()
			c.signal(t, tc.first)
			await(t, c.stderr, "interrupted: waiting for late replies")
			if tc.second != nil {
				c.signal(t, tc.second)
			}
			r := c.end(t)
			if took := time.Since(at); tc.second == nil && took < tc.cooldown {
				t.Errorf("it ended after %v and has not waited the cooldown", took)
			}
			if r.status != 130 {
				t.Errorf("status %d, want 130; stderr:\n%s", r.status, r.stderr)
			}
			if !strings.Contains(r.stderr, "targets swept until interrupted in") {
				t.Errorf("no word of the interruption in the summary:\n%s", r.stderr)
			}
			a := c.account(t, "interrupted=true", "probes.unsent.stopped>0", "targets.unprobed>0")
			found := addresses(t, first+"\n"+r.stdout)
			if n := uint64(len(found)); n != a.count("records.sinks.0.written") || n != a.count("probes.accepted") {
				t.Errorf("%d addresses, the summary has %d, and %d probes that all were answered",
					n, a.count("records.sinks.0.written"), a.count("probes.accepted"))
			}
			if s, err := l.Stats(); err != nil || s.EchoRequests != a.count("probes.accepted") {
				t.Errorf("%d probes arrived, %d were accepted (%v)", s.EchoRequests, a.count("probes.accepted"), err)
			}
			assertNoProgram(t)
		})
	}
}

// A third signal ends even a sweep that is stuck because nobody reads what it
// writes.
func TestInterruptStuck(t *testing.T) {
	placeLab(t, lab.Config{Live: 1})
	c := begin(t, "--rate", "200k", "--cooldown", "1h", "198.18.0.0/15")
	// Of some hundred thousand addresses a pipe holds a few thousand.
	await(t, c.stderr, "send: ")
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	// Signals of one kind that come together are one, so three may be too few.
	for {
		select {
		case <-ended:
			if status := c.ProcessState.ExitCode(); status != 130 {
				t.Errorf("status %d, want 130", status)
			}
			assertNoProgram(t)
			return
		default:
			_ = c.Process.Signal(unix.SIGINT) // fails once it has ended
			runtime.Gosched()
		}
	}
}

func assertNoProgram(t *testing.T) {
	t.Helper()
	if found, ok := loader.FindXDP(device(t).Attrs().Index); ok {
		t.Errorf("an XDP program is on lab0: %v", found)
	}
}

// kill -9 leaves no program on the device, and no part of a summary under its
// name.
func TestKill(t *testing.T) {
	for _, mode := range []string{"native", "generic"} {
		t.Run(mode, func(t *testing.T) {
			placeLab(t, lab.Config{Live: 1})
			c := begin(t, "--rate", "5k", "--xdp", mode, "198.18.0.0/16")
			nextLine(t, c.stdout)
			if _, ok := loader.FindXDP(device(t).Attrs().Index); !ok {
				t.Fatal("no XDP program is on lab0 during a sweep")
			}
			c.signal(t, unix.SIGKILL)
			if r := c.end(t); r.status != 137 {
				t.Errorf("status %d, want 137", r.status)
			}
			assertNoProgram(t)
			if _, err := os.Stat(c.summary); err == nil {
				t.Error("there is a summary")
			}
			// The device is free for the next sweep.
			next := begin(t, "--quiet", "--cooldown", "200ms", "198.18.1.0/24")
			if r := next.end(t); r.status != 0 || len(addresses(t, r.stdout)) != 256 {
				t.Errorf("the next sweep: status %d, stderr %s", r.status, r.stderr)
			}
		})
	}
}

// Whoever closes our standard output has enough: status 0 and no complaint,
// and the summary tells what was not written.
func TestClosedOutput(t *testing.T) {
	placeLab(t, lab.Config{Live: 1})
	c := begin(t, "--rate", "5k", "--cooldown", "300ms", "198.18.0.0/16")
	nextLine(t, c.stdout)
	if err := c.pipe.Close(); err != nil {
		t.Fatal(err)
	}
	if r := c.end(t); r.status != 0 || strings.Contains(r.stderr, "xsweep:") {
		t.Errorf("status %d, stderr %q, want 0 and no complaint", r.status, r.stderr)
	}
	c.account(t, "records.sinks.0.failed>0", "records.sinks.0.written>0", "probes.unsent.stopped>0", "interrupted=false")
	assertNoProgram(t)
}

// A device that goes down or away ends the sweep with an error that names it,
// and with a summary that adds up.
func TestDeviceDown(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(netlink.Link) error
		says string
		args []string
	}{
		{"down", netlink.LinkSetDown, "lab0", nil},
		{"down, raw", netlink.LinkSetDown, "lab0", []string{"--tx", "raw"}},
		{"down in the cooldown", netlink.LinkSetDown, "lab0 is down", []string{"--max-runtime", "100ms", "--cooldown", "1h"}},
		{"removed", netlink.LinkDel, "lab0", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			labtest.Kernel(t)
			l, err := lab.Start(lab.Config{Live: 1, InPlace: true})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close() // fails where the device is gone
			c := begin(t, append([]string{"--rate", "5k", "--cooldown", "500ms", "198.18.0.0/16"}, tc.args...)...)
			nextLine(t, c.stdout)
			if tc.name == "down in the cooldown" {
				await(t, c.stderr, "(cooldown, ")
			}
			if err := tc.do(device(t)); err != nil {
				t.Fatal(err)
			}
			r := c.end(t)
			if last := lastLine(r.stderr); r.status != 1 || !strings.HasPrefix(last, "xsweep: ") || !strings.Contains(last, tc.says) {
				t.Errorf("status %d, last words %q, want 1 and %q", r.status, last, tc.says)
			}
			a := c.account(t, "interrupted=false", "probes.accepted>0", "targets.unprobed>0")
			if text, _ := a.at("error"); text == nil || !strings.Contains(text.(string), "lab0") {
				t.Errorf("the summary's error is %v", text)
			}
		})
	}
}

// An interrupted start is no sweep: nothing is sent, nothing is written.
func TestInterruptBeforeTheFirstProbe(t *testing.T) {
	placeLab(t, lab.Config{Live: 1})
	dir := t.TempDir()
	fifo := filepath.Join(dir, "targets")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	c := beginCommand(t, command(t, "sweep", "-f", fifo, "-o", filepath.Join(dir, "list"), "--summary", filepath.Join(dir, "run.json")))
	// Opening returns once the command has opened it too and waits for targets.
	w, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c.signal(t, syscall.SIGINT)
	if r := c.end(t); r.status != 130 || r.stdout != "" {
		t.Errorf("status %d, output %q, want 130 and none", r.status, r.stdout)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("files %v, %v, want the targets alone", entries, err)
	}
}
