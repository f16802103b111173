// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"xsweep/sweep/target"
)

// helpers are the jobs that copies of the test binary do for tests. Each gets
// the command line's arguments and returns an exit status.
var helpers = map[string]func(args []string) int{
	"lab":      helpLab,
	"sweep":    helpSweep,
	"report":   helpReport,
	"stubborn": helpStubborn,
}

func helpFailed(err error) int {
	fmt.Fprintln(os.Stderr, "helper:", err)
	return 99
}

// helpLab is what the lab command does: it runs its arguments in a lab. The
// first names the helper that a command of /proc/self/exe is to be. On a
// terminal it says whether it got that back.
func helpLab(args []string) int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	l, err := Start(Config{Live: 1, Signals: signals})
	if err != nil {
		return helpFailed(err)
	}
	status, err := l.Exec(context.Background(), args[1:], helper(args[0]), os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		return helpFailed(err)
	}
	if group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP); err == nil && group == unix.Getpgrp() {
		fmt.Println("terminal is back")
	}
	if err := l.Close(); err != nil {
		return helpFailed(err)
	}
	return status
}

// helpSweep probes a range, each address once, and prints who answers.
func helpSweep(args []string) int {
	targets, err := target.Parse(context.Background(), nil, args[0])
	if err != nil {
		return helpFailed(err)
	}
	set := target.SetOf(targets)
	// What answers is not known in here: silence is the end.
	replies, _, err := exchange(set, 1, func() (int, bool) { return 0, true })
	if err != nil {
		return helpFailed(err)
	}
	for _, a := range slices.Sorted(maps.Keys(replies)) {
		fmt.Println(a)
	}
	return 0
}

// helpReport prints its network namespace, then each signal that it gets and
// each line that it reads. SIGTERM ends it with status 5, "exit N" with N.
func helpReport([]string) int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	namespace, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return helpFailed(err)
	}
	lines := make(chan string)
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			lines <- in.Text()
		}
	}()
	fmt.Println(namespace)
	for {
		select {
		case s := <-signals:
			fmt.Println(s)
			if s == unix.SIGTERM {
				return 5
			}
		case line := <-lines:
			var status int
			if n, _ := fmt.Sscanf(line, "exit %d", &status); n == 1 {
				return status
			}
			fmt.Println("read", line)
		}
	}
}

// helpStubborn ignores every signal that can be ignored, and so do as many
// descendants, each in a session of its own, as its argument says. The last
// prints its network namespace once all are there.
func helpStubborn(args []string) int {
	for s := syscall.Signal(1); s < 32; s++ {
		signal.Ignore(s)
	}
	if n, _ := strconv.Atoi(args[0]); n > 0 {
		child := exec.Command("/proc/self/exe", strconv.Itoa(n-1))
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Start(); err != nil {
			return helpFailed(err)
		}
	} else {
		namespace, err := os.Readlink("/proc/self/ns/net")
		if err != nil {
			return helpFailed(err)
		}
		fmt.Println(namespace)
	}
	for {
		_ = unix.Pause()
	}
}
