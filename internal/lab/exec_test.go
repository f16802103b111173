// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestExecStatus(t *testing.T) {
	l := start(t, Config{})
	notExecutable := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notExecutable, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	noInterpreter := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(noInterpreter, []byte("#!/nonexistent\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		argv   []string
		status int
		stderr string // contained in it
	}{
		{"success", []string{"true"}, 0, ""},
		{"failure", []string{"sh", "-c", "exit 3"}, 3, ""},
		{"status 255", []string{"sh", "-c", "exit 255"}, 255, ""},
		{"killed", []string{"sh", "-c", "kill -KILL $$"}, 137, ""},
		{"terminated", []string{"sh", "-c", "kill -TERM $$"}, 143, ""},
		{"not found", []string{"xsweep-no-such-command"}, 127, "not found in PATH"},
		{"no such file", []string{"/nonexistent/command"}, 127, "does not exist"},
		{"no interpreter", []string{noInterpreter}, 127, "interpreter"},
		{"not executable", []string{notExecutable}, 126, "permission denied"},
		{"a directory", []string{t.TempDir()}, 126, ""},
		{"signals to its own group", []string{"sh", "-c", "trap '' INT HUP USR1; kill -INT 0; kill -HUP 0; kill -USR1 0; exit 4"}, 4, ""},
		{"orphans", []string{"sh", "-c", "for i in 1 2 3; do (true & true) ; done; exit 6"}, 6, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var stderr bytes.Buffer
			status, err := l.Exec(context.Background(), tc.argv, nil, nil, nil, &stderr)
			if err != nil || status != tc.status {
				t.Errorf("status %d, error %v, want %d; stderr: %s", status, err, tc.status, &stderr)
			}
			if !strings.Contains(stderr.String(), tc.stderr) {
				t.Errorf("stderr %q, want it to contain %q", &stderr, tc.stderr)
			}
		})
	}
}

// The command sees the lab's devices and processes and nobody else's, and the
// environment and the input that it is given.
func TestExecSurroundings(t *testing.T) {
	l := start(t, Config{Queues: 3})
	const script = `
echo "$$ $COLOR $(cat)"
echo /sys/class/net/*
ls /sys/class/net/lab0/queues | tr '\n' ' '
echo
cat /sys/class/net/lab0/address /sys/class/net/lab0/operstate /proc/sys/net/ipv6/conf/lab0/disable_ipv6 2>&1
echo /proc/[0-9]*`
	var stdout bytes.Buffer
	env := []string{"PATH=" + os.Getenv("PATH"), "COLOR=blue"}
	// Something that goes on after the end of the input must not matter.
	input, unfinished := io.Pipe()
	go func() {
		fmt.Fprint(unfinished, "input")
		unfinished.Close()
	}()
	status, err := l.Exec(context.Background(), []string{"sh", "-c", script}, env, input, &stdout, &stdout)
	if err != nil || status != 0 {
		t.Fatalf("status %d, error %v: %s", status, err, &stdout)
	}
	lines := strings.Split(stdout.String(), "\n")
	pid, rest, _ := strings.Cut(lines[0], " ")
	want := []string{
		"blue input",
		"/sys/class/net/lab0 /sys/class/net/lo",
		"rx-0 rx-1 rx-2 tx-0 tx-1 tx-2 ",
		SenderMAC.String(),
		"up",
		"1",
		"/proc/1 /proc/" + pid,
		"",
	}
	if diff := cmp.Diff(want, append([]string{rest}, lines[1:]...)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A reader that has nothing to say does not keep the lab from ending.
func TestExecSilentInput(t *testing.T) {
	l := start(t, Config{})
	input, silent := io.Pipe()
	defer silent.Close() // ends the goroutine that reads
	if status, err := l.Exec(context.Background(), []string{"true"}, nil, input, nil, nil); err != nil || status != 0 {
		t.Errorf("status %d, error %v", status, err)
	}
}

func TestExecErrors(t *testing.T) {
	l := start(t, Config{})
	if _, err := l.Exec(context.Background(), nil, nil, nil, nil, nil); err == nil {
		t.Error("no command is a command")
	}
	ended, end := context.WithCancel(context.Background())
	end()
	if _, err := l.Exec(ended, []string{"true"}, nil, nil, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

// The end of the context is a SIGTERM.
func TestExecContext(t *testing.T) {
	l := start(t, Config{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out := &watched{substring: "net:[", seen: cancel}
	status, err := l.Exec(ctx, []string{"/proc/self/exe"}, helper("report"), nil, out, os.Stderr)
	if status != 5 || !errors.Is(err, context.Canceled) || !strings.Contains(out.String(), "terminated") {
		t.Errorf("status %d, error %v, output %q, want 5, canceled, terminated", status, err, out)
	}
}

// Who does not end after SIGTERM is killed, with all that it has started.
func TestExecKillsTheStubborn(t *testing.T) {
	l := start(t, Config{})
	l.killDelay = 50 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out := &watched{substring: "net:[", seen: cancel}
	status, err := l.Exec(ctx, []string{"/proc/self/exe", "2"}, helper("stubborn"), nil, out, os.Stderr)
	if status != 137 || !errors.Is(err, context.Canceled) {
		t.Errorf("status %d, error %v, want 137 and canceled", status, err)
	}
	assertUnused(t, strings.TrimSpace(out.String()))
}

// watched is a buffer that says when it has got to hold something.
type watched struct {
	buffer    bytes.Buffer
	substring string
	seen      func()
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.buffer.Write(p)
	if strings.Contains(w.String(), w.substring) {
		w.seen()
	}
	return n, err
}

func (w *watched) String() string { return w.buffer.String() }
