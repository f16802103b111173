// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// insideEnv marks the copy of this program that runs in its own namespace.
const insideEnv = "XSWEEP_BENCH_INSIDE"

func inside() bool { return os.Getenv(insideEnv) != "" }

// enterNamespace runs this program again in a fresh network namespace and
// returns its exit status. All threads of that copy share the namespace, and
// whatever it makes there vanishes with it; so does it when this process ends.
// What files it makes in between stand in a directory that this process removes,
// however the copy ends.
func enterNamespace() (status int, err error) {
	if os.Geteuid() != 0 {
		return 0, errors.New("needs root for network namespaces and programs in the kernel: run with sudo")
	}
	scratch, err := os.MkdirTemp("", "xsweep-bench-*")
	if err != nil {
		return 0, fmt.Errorf("make a directory for files in between: %w", err)
	}
	defer os.RemoveAll(scratch)
	// The copy is killed when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1", "TMPDIR="+scratch)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	// The copy is in our process group and gets the terminal's signals itself.
	// (Caught rather than ignored: an ignored signal would stay ignored there.)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGQUIT)
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode(), nil
	}
	return 0, fmt.Errorf("run in a network namespace of its own: %w", err)
}
