// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"xsweep/internal/lab/labtest"
)

// However a lab ends, with a sweep under way or done, its status is that of the
// command and neither process nor namespace nor device is left.
func TestLabLeavesNothing(t *testing.T) {
	labtest.Kernel(t)
	// The command names its namespace, then sweeps.
	const script = `readlink /proc/self/ns/net; xsweep sweep --rate 1k "$@"`
	long := []string{"--cooldown", "1h", "198.18.0.0/16"}
	for _, tc := range []struct {
		name    string
		args    []string
		signals []os.Signal // to the lab, once the sweep is under way
		status  int
	}{
		{"success", []string{"--cooldown", "200ms", "198.18.1.0/24"}, nil, 0},
		{"failure", []string{"--cooldown", "200ms", "-o", "/dev/full", "198.18.1.0/24"}, nil, 1},
		{"bad input", []string{"198.18.1.0/99"}, nil, 2},
		{"SIGINT", long, []os.Signal{unix.SIGINT, unix.SIGINT}, 130},
		{"SIGTERM", long, []os.Signal{unix.SIGTERM, unix.SIGTERM}, 130},
		{"SIGKILL", long, []os.Signal{unix.SIGKILL}, 137},
	} {
		t.Run(tc.name, func(t *testing.T) {
			devices := deviceNames(t)
			// The shell waits for the sweep and leaves the signals to it.
			run := append([]string{"lab", "--", "sh", "-c", "trap : INT TERM; " + script, "sh"}, tc.args...)
			c := beginCommand(t, command(t, run...))
			namespace := nextLine(t, c.stdout)
			processes := processesIn(t, namespace)
			for i, s := range tc.signals {
				if i == 0 {
					nextLine(t, c.stdout)
				} else {
					await(t, c.stderr, "interrupted")
				}
				c.signal(t, s)
			}
			if r := c.end(t); r.status != tc.status {
				t.Errorf("status %d, want %d; stderr:\n%s", r.status, tc.status, r.stderr)
			}
			for _, p := range processes {
				p.await(t)
			}
			assertNobodyIn(t, namespace)
			if now := deviceNames(t); now != devices {
				t.Errorf("devices %s, before %s", now, devices)
			}
		})
	}
}

// process is held by a descriptor, which cannot come to mean another one.
type process struct{ pid, fd int }

// processesIn finds the processes whose first thread is in a network
// namespace, which is named as in /proc/PID/ns/net.
func processesIn(t *testing.T, namespace string) []process {
	t.Helper()
	if !strings.HasPrefix(namespace, "net:[") {
		t.Fatalf("%q is no network namespace", namespace)
	}
	var found []process
	for _, path := range glob(t, "/proc/[0-9]*/ns/net") {
		if name, err := os.Readlink(path); err != nil || name != namespace {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err != nil {
			t.Fatal(err)
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue // ended meanwhile
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		found = append(found, process{pid, fd})
	}
	return found
}

// await waits until the process has ended.
func (p process) await(t *testing.T) {
	t.Helper()
	polled := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(polled, int(patience/time.Millisecond))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			t.Errorf("process %d of the lab is still there: %v", p.pid, err)
		}
		return
	}
}

// assertNobodyIn checks that no thread is in a network namespace, that no
// descriptor holds it, and that it is mounted nowhere.
func assertNobodyIn(t *testing.T, namespace string) {
	t.Helper()
	for _, pattern := range []string{"/proc/[0-9]*/task/*/ns/net", "/proc/[0-9]*/fd/*"} {
		for _, path := range glob(t, pattern) {
			if name, err := os.Readlink(path); err == nil && name == namespace {
				t.Errorf("%s holds %s", path, namespace)
			}
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), namespace) {
		t.Errorf("%s is mounted", namespace)
	}
}

// deviceNames are the devices of the test's own namespace.
func deviceNames(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for l := range strings.Lines(string(text)) {
		if name, _, ok := strings.Cut(l, ":"); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return fmt.Sprint(names)
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
