// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"xsweep/internal/lab/labtest"
)

// statusShape is the status line.
var statusShape = regexp.MustCompile(`^\d+:\d\d \d+% \((cooldown, )?\d+:\d\d left\); send: \d+ [\d.]+ [kMG]?p/s \([\d.]+ [kMG]?p/s avg\); recv: \d+ first; hitrate: \d+\.\d\d%$`)

// A sweep of over two seconds shows itself twice at least: in lines where
// nobody watches, in one line that is redrawn on a terminal.
func TestStatusLine(t *testing.T) {
	labtest.Kernel(t)
	args := []string{"lab", "--live", "0.5", "--", "xsweep", "sweep", "--rate", "3k", "--cooldown", "200ms", "198.18.0.0/19"}

	t.Run("lines", func(t *testing.T) {
		t.Parallel()
		r := whole(t, command(t, args...))
		status, rest, _ := strings.Cut(r.stderr, "8189 targets swept in ")
		checkStatus(t, strings.Split(strings.TrimSuffix(status, "\n"), "\n"))
		if r.status != 0 || rest == "" || strings.ContainsAny(r.stderr, "\r\x1b") {
			t.Errorf("status %d, stderr %q", r.status, r.stderr)
		}
	})
	t.Run("terminal", func(t *testing.T) {
		t.Parallel()
		drawn := strings.Split(onTerminal(t, args, "TERM=xterm", "NO_COLOR="), "\r\x1b[K")
		checkStatus(t, drawn[:len(drawn)-1])
		if last := drawn[len(drawn)-1]; !strings.HasPrefix(last, "8189 targets swept in ") {
			t.Errorf("the terminal shows %q at the end", last)
		}
	})
	for _, setting := range []string{"NO_COLOR=1", "TERM=dumb"} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			shown := onTerminal(t, args, "TERM=xterm", "NO_COLOR=", setting)
			status, rest, _ := strings.Cut(strings.ReplaceAll(shown, "\r\n", "\n"), "8189 targets swept in ")
			checkStatus(t, strings.Split(strings.TrimSuffix(status, "\n"), "\n"))
			if rest == "" || strings.Contains(shown, "\x1b") {
				t.Errorf("the terminal shows %q", shown)
			}
		})
	}
}

// onTerminal runs a command whose standard error is a terminal and returns
// what that shows.
func onTerminal(t *testing.T, args []string, env ...string) string {
	t.Helper()
	master, slave := openPTY(t)
	cmd := command(t, args...)
	cmd.Stderr = slave
	cmd.Env = append(os.Environ(), env...)
	if err := errors.Join(cmd.Start(), slave.Close()); err != nil {
		t.Fatal(err)
	}
	// It ends with EIO once nobody has the other side open.
	shown, err := io.ReadAll(master)
	if err != nil && !errors.Is(err, unix.EIO) {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	return string(shown)
}

func checkStatus(t *testing.T, lines []string) {
	t.Helper()
	if len(lines) < 2 {
		t.Errorf("only %d status lines: %q", len(lines), lines)
	}
	for _, l := range lines {
		if !statusShape.MatchString(l) {
			t.Errorf("%q is no status line", l)
		}
	}
}

// openPTY makes a pseudo-terminal (pty(7)), wide enough for a status line.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 200}); err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}
