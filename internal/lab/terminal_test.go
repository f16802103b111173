// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"xsweep/internal/lab/labtest"
)

// openPTY makes a pseudo-terminal (pty(7)).
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
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// On a terminal, keys reach the command, Ctrl-C once, Ctrl-Z stops command
// and lab, and at the end the lab has the terminal back.
func TestTerminal(t *testing.T) {
	labtest.Kernel(t)
	master, slave := openPTY(t)
	c := exec.Command("/proc/self/exe", "report", "/proc/self/exe")
	c.Env = helper("lab")
	c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
	c.SysProcAttr = dieWithTest(&syscall.SysProcAttr{Setsid: true, Setctty: true})
	if err := errors.Join(c.Start(), slave.Close()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = c.Process.Kill() // if the test has given up
		_ = c.Wait()
	}()
	lines := bufio.NewScanner(master)
	expect := func(want string) {
		t.Helper()
		for lines.Scan() {
			got := strings.TrimRight(lines.Text(), "\r")
			// The terminal shows what is typed as well.
			got = strings.TrimPrefix(strings.TrimPrefix(got, "^C"), "^Z")
			if got == want || strings.HasSuffix(want, "[") && strings.HasPrefix(got, want) {
				return
			}
			if strings.HasPrefix(got, "hello") || strings.HasPrefix(got, "exit") {
				continue
			}
			t.Fatalf("the terminal shows %q, want %q", got, want)
		}
		t.Fatalf("the terminal ended before %q: %v", want, lines.Err())
	}
	key := func(text string) {
		t.Helper()
		if _, err := master.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	expect("net:[")
	key("hello\n")
	expect("read hello")
	key("\x03")
	expect("interrupt")
	key("\x1a")
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, c.Process.Pid, &info, unix.WSTOPPED, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	key("hello again\n")
	expect("read hello again")
	key("exit 7\n")
	expect("terminal is back")
	if err := c.Wait(); c.ProcessState.ExitCode() != 7 {
		t.Errorf("status %d, %v, want 7", c.ProcessState.ExitCode(), err)
	}
}
