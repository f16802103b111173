// SPDX-License-Identifier: Apache-2.0

// Package labtest lets tests touch devices and programs without touching the
// machine: the whole test binary moves into a network namespace of its own
// before the first test, so whatever a test makes vanishes with the process.
package labtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
)

// insideEnv marks the copy of the test binary that runs in its own namespace.
const insideEnv = "XSWEEP_LABTEST_INSIDE"

// requiredEnv, when set to "required", turns every skip of a kernel test into
// a failure. CI sets it.
const requiredEnv = "XSWEEP_KERNEL_TESTS"

// Main runs the tests of m and exits. As root it first starts the test binary
// again in a fresh network namespace; all threads of that copy share it, so
// tests may make devices and sockets from any goroutine. Without root the
// tests run where they are, and those that call [Kernel] are skipped.
func Main(m *testing.M) {
	if os.Geteuid() != 0 || os.Getenv(insideEnv) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	// The copy shares our process group and gets the terminal's signals itself.
	// (Caught rather than ignored: an ignored signal would stay ignored there.)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGQUIT)
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		os.Exit(exit.ExitCode())
	default:
		fmt.Fprintf(os.Stderr, "labtest: run the tests in a namespace of their own: %v\n", err)
		os.Exit(1)
	}
}

// Kernel marks a test that loads programs or makes devices. Without root it
// skips the test, naming what is missing; where kernel tests are required it
// fails instead.
func Kernel(t testing.TB) {
	t.Helper()
	if os.Getenv(insideEnv) != "" {
		return
	}
	Lacking(t, "root (CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN for namespaces), kernel 5.15 or later, and labtest.Main in TestMain")
}

// Lacking skips a test because the machine lacks what it needs. Where kernel
// tests are required it fails instead.
func Lacking(t testing.TB, what string) {
	t.Helper()
	if os.Getenv(requiredEnv) == "required" {
		t.Fatal("kernel tests are required here, but this one needs " + what)
	}
	t.Skip("needs " + what)
}
