// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
	"xsweep/sweep/target"
)

// patience bounds every command that a test runs.
const patience = 60 * time.Second

// placeLab makes a lab whose sender side is the test's own network namespace:
// tests then see what commands do to lab0. There is one at a time.
func placeLab(t *testing.T, c lab.Config) *lab.Lab {
	t.Helper()
	labtest.Kernel(t)
	c.InPlace = true
	l, err := lab.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// device is lab0.
func device(t *testing.T) netlink.Link {
	t.Helper()
	link, err := netlink.LinkByName(lab.SenderDevice)
	if err != nil {
		t.Fatal(err)
	}
	return link
}

// truth is what a sweep must find in such a lab, one probe a target.
func truth(t *testing.T, c lab.Config, text string) []string {
	t.Helper()
	targets, err := target.Parse(t.Context(), nil, text)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for a := range c.Truth(target.SetOf(targets), 1) {
		found = append(found, a.String())
	}
	return found
}

// child is xsweep at work: a process whose streams the test reads as they come.
type child struct {
	*exec.Cmd
	stdout, stderr *bufio.Reader
	pipe           io.Closer // of stdout
	summary        string    // where it writes its summary
}

// command prepares xsweep, to be ended with the test at the latest.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, "xsweep", args...)
}

// begin starts a sweep, with a summary of its own.
func begin(t *testing.T, args ...string) *child {
	t.Helper()
	summary := filepath.Join(t.TempDir(), "run.json")
	c := beginCommand(t, command(t, append([]string{"sweep", "--summary", summary}, args...)...))
	c.summary = summary
	return c
}

func beginCommand(t *testing.T, cmd *exec.Cmd) *child {
	t.Helper()
	stdout, err1 := cmd.StdoutPipe()
	stderr, err2 := cmd.StderrPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // if the test has given up
		_ = cmd.Wait()
	})
	return &child{Cmd: cmd, stdout: bufio.NewReader(stdout), stderr: bufio.NewReader(stderr), pipe: stdout}
}

// nextLine reads the next whole line.
func nextLine(t *testing.T, from *bufio.Reader) string {
	t.Helper()
	text, err := from.ReadString('\n')
	if err != nil {
		t.Fatalf("%q, then %v, where a line was due", text, err)
	}
	return strings.TrimSuffix(text, "\n")
}

// await reads lines until one contains text.
func await(t *testing.T, from *bufio.Reader, text string) string {
	t.Helper()
	for {
		if l := nextLine(t, from); strings.Contains(l, text) {
			return l
		}
	}
}

func (c *child) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := c.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// result is how a command ended: what remained unread of its streams, and its
// status as a shell has it.
type result struct {
	stdout, stderr string
	status         int
}

func (c *child) end(t *testing.T) result {
	t.Helper()
	var r result
	rest := make(chan string)
	go func() {
		text, _ := io.ReadAll(c.stdout)
		rest <- string(text)
	}()
	text, _ := io.ReadAll(c.stderr) // an error shows as text that is missing
	r.stderr, r.stdout = string(text), <-rest
	var exit *exec.ExitError
	if err := c.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	ws := c.ProcessState.Sys().(syscall.WaitStatus)
	if r.status = ws.ExitStatus(); ws.Signaled() {
		r.status = 128 + int(ws.Signal())
	}
	return r
}

// account reads the child's summary and checks that it is whole and adds up.
func (c *child) account(t *testing.T, checks ...string) account {
	t.Helper()
	text, err := os.ReadFile(c.summary)
	if err != nil {
		t.Fatal(err)
	}
	a, err := readAccount(text)
	if err == nil {
		err = a.check()
	}
	for _, check := range checks {
		err = errors.Join(err, a.holds(check))
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return a
}

// addresses splits output into lines, all of which must be whole.
func addresses(t *testing.T, text string) []string {
	t.Helper()
	if text == "" {
		return nil
	}
	if !strings.HasSuffix(text, "\n") {
		t.Errorf("the output ends in the middle of a line: %q", text[max(0, len(text)-40):])
	}
	found := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for _, l := range found {
		if _, err := target.Parse(t.Context(), nil, l); err != nil {
			t.Errorf("line %q: %v", l, err)
		}
	}
	return found
}

// lastLine is what a command said at the end.
func lastLine(text string) string {
	text = strings.TrimSuffix(text, "\n")
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// whole runs a command to its end.
func whole(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	return beginCommand(t, cmd).end(t)
}
