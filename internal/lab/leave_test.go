// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab/labtest"
)

// child is a copy of the test binary that runs a lab.
type child struct {
	*exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Scanner
}

// startLab runs argv as the named helper in a lab that is a process of its own.
func startLab(t *testing.T, name string, argv ...string) *child {
	t.Helper()
	labtest.Kernel(t)
	c := &child{Cmd: exec.Command("/proc/self/exe", append([]string{name}, argv...)...)}
	c.Env, c.Stderr = helper("lab"), os.Stderr
	c.SysProcAttr = dieWithTest(&syscall.SysProcAttr{})
	stdin, err1 := c.StdinPipe()
	stdout, err2 := c.StdoutPipe()
	if err := errors.Join(err1, err2, c.Start()); err != nil {
		t.Fatal(err)
	}
	c.stdin, c.stdout = stdin, bufio.NewScanner(stdout)
	t.Cleanup(func() {
		_ = c.Process.Kill() // if the test has given up
		_ = c.Wait()
	})
	return c
}

// dieWithTest has a process killed when the test's goroutine ends, also by a
// panic or a time-out, after which no clean-up runs.
func dieWithTest(attr *syscall.SysProcAttr) *syscall.SysProcAttr {
	runtime.LockOSThread() // for good: Pdeathsig is about the thread
	attr.Pdeathsig = unix.SIGKILL
	return attr
}

// line returns the next line of output.
func (c *child) line(t *testing.T) string {
	t.Helper()
	if !c.stdout.Scan() {
		t.Fatalf("no output where a line was due: %v", c.stdout.Err())
	}
	return c.stdout.Text()
}

// end returns what output remains, and the status as a shell has it.
func (c *child) end(t *testing.T) (output []string, status int) {
	t.Helper()
	for c.stdout.Scan() {
		output = append(output, c.stdout.Text())
	}
	var exit *exec.ExitError
	if err := c.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	ws := c.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return output, 128 + int(ws.Signal())
	}
	return output, ws.ExitStatus()
}

func (c *child) signal(t *testing.T, s unix.Signal) {
	t.Helper()
	if err := c.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Whatever way a lab ends, its status is right and nothing of it is left.
func TestNothingIsLeft(t *testing.T) {
	for _, tc := range []struct {
		name   string
		helper []string // and its arguments
		end    func(t *testing.T, c *child)
		output []string // beyond the first line
		status int
	}{
		{"success", []string{"report"}, func(_ *testing.T, c *child) { fmt.Fprintln(c.stdin, "exit 0") }, nil, 0},
		{"failure", []string{"report"}, func(_ *testing.T, c *child) { fmt.Fprintln(c.stdin, "exit 3") }, nil, 3},
		{"command killed", []string{"report"}, func(t *testing.T, c *child) {
			processes := inside(t, c)
			if len(processes) != 2 {
				t.Fatalf("a lab with %d processes, want init and the command", len(processes))
			}
			if err := unix.Kill(processes[1].pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}, nil, 137},
		{"init killed", []string{"stubborn", "2"}, func(t *testing.T, c *child) {
			if err := unix.Kill(inside(t, c)[0].pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}, nil, 137},
		{"SIGTERM", []string{"report"}, func(t *testing.T, c *child) { c.signal(t, unix.SIGTERM) }, []string{"terminated"}, 5},
		{"each signal once", []string{"report"}, func(t *testing.T, c *child) {
			for s, want := range map[unix.Signal]string{unix.SIGINT: "interrupt", unix.SIGHUP: "hangup", unix.SIGQUIT: "quit"} {
				c.signal(t, s)
				if got := c.line(t); got != want {
					t.Errorf("%v: the command printed %q", s, got)
				}
			}
			c.signal(t, unix.SIGTERM)
		}, []string{"terminated"}, 5},
		{"SIGKILL", []string{"report"}, func(t *testing.T, c *child) { c.signal(t, unix.SIGKILL) }, nil, 137},
		{"SIGKILL, stubborn", []string{"stubborn", "3"}, func(t *testing.T, c *child) {
			for _, s := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGKILL} {
				c.signal(t, s)
			}
		}, nil, 137},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := traces(t)
			c := startLab(t, tc.helper[0], append([]string{"/proc/self/exe"}, tc.helper[1:]...)...)
			namespace := c.line(t)
			processes := inside(t, c)
			tc.end(t, c)
			output, status := c.end(t)
			if status != tc.status {
				t.Errorf("status %d, want %d", status, tc.status)
			}
			if diff := cmp.Diff(tc.output, output); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
			for _, p := range processes {
				p.await(t)
			}
			assertUnused(t, namespace)
			if diff := cmp.Diff(before, traces(t)); diff != "" {
				t.Errorf("left behind (-before +after):\n%s", diff)
			}
		})
	}
}

// A lab gives back every descriptor that it opens.
func TestDescriptors(t *testing.T) {
	labtest.Kernel(t)
	once := func() int {
		l, err := Start(Config{Live: 1, Loss: 0.5})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Exec(t.Context(), []string{"true"}, nil, strings.NewReader("input"), io.Discard, io.Discard); err != nil {
			t.Error(err)
		}
		stats(t, l)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(open)
	}
	first := once() // which opens what the runtime keeps
	for range 3 {
		if now := once(); now > first {
			t.Errorf("%d descriptors are open after a lab, %d after the one before", now, first)
		}
	}
}

// process is a process inside a lab, held by a descriptor, which cannot come
// to mean another one.
type process struct{ pid, fd int }

// inside finds the processes below c, init first.
func inside(t *testing.T, c *child) []process {
	t.Helper()
	parents := map[int]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		// The name, in parentheses, may hold anything; state and parent follow.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parents[pid], _ = strconv.Atoi(fields[1])
	}
	var found []process
	var descend func(parent int)
	descend = func(parent int) {
		for pid, p := range parents {
			if p == parent {
				fd, err := unix.PidfdOpen(pid, 0)
				if err != nil {
					t.Fatalf("process %d in the lab: %v", pid, err)
				}
				t.Cleanup(func() { unix.Close(fd) })
				found = append(found, process{pid, fd})
				descend(pid)
			}
		}
	}
	descend(c.Process.Pid)
	if len(found) == 0 {
		t.Fatal("no process in the lab")
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

// assertUnused checks that no thread of this machine is in a network namespace
// and no mount or descriptor holds it. The name is as in /proc/PID/ns/net.
func assertUnused(t *testing.T, namespace string) {
	t.Helper()
	if !strings.HasPrefix(namespace, "net:[") {
		t.Fatalf("%q is no network namespace", namespace)
	}
	for _, pattern := range []string{"/proc/[0-9]*/task/*/ns/net", "/proc/[0-9]*/fd/*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if target, err := os.Readlink(path); err == nil && target == namespace && !strings.HasPrefix(path, fmt.Sprintf("/proc/%d/", os.Getpid())) {
				t.Errorf("%s holds %s", path, namespace)
			}
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(mounts, []byte(namespace)) {
		t.Errorf("%s is mounted", namespace)
	}
}

// traces are what a lab could leave that shows: named namespaces, mounts and
// devices.
func traces(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{"/run/netns/*", "/var/run/netns/*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found[pattern] = strings.Join(paths, " ")
	}
	for _, path := range []string{"/proc/self/mounts", "/proc/self/net/route"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found[path] = string(text)
	}
	return found
}
