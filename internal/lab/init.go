// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// initName is the argv[0] that makes a copy of this binary the init of a lab.
const initName = "xsweep-lab-init"

// The lab and its init talk over a pair of sockets, a byte a message.
//
//	init -> lab: initReady, once it may be given the terminal and signals;
//	             initStopped, each time the command has been stopped.
//	lab -> init: initGo, to start the command; after that the numbers of
//	             signals for the command's process group.
//
// The end of the stream is the end of the lab: init ends, and all with it.
const (
	initControl = 3 // file descriptor

	initReady   = 'r'
	initStopped = 's'
	initGo      = 'g'
)

// Exit statuses that shells use (POSIX, Shell Command Language, 2.8.2).
const (
	statusInitFailed    = 125
	statusNotExecutable = 126
	statusNotFound      = 127
	statusSignal        = 128 // plus the signal's number
)

// MaybeInit must be called first thing in the main function, or the TestMain,
// of every binary that calls [Lab.Exec], which starts the same binary again
// inside the lab. In that copy it never returns; elsewhere it does nothing.
func MaybeInit() {
	if len(os.Args) > 0 && os.Args[0] == initName {
		os.Exit(runInit(os.Args[1:]))
	}
}

// runInit is the whole life of the lab's init: process 1 of its PID namespace,
// leader of the process group that the command belongs to.
func runInit(argv []string) int {
	if os.Getpid() != 1 || len(argv) == 0 {
		fmt.Fprintln(os.Stderr, "xsweep lab: this is the init of a lab, which only a lab can start")
		return statusInitFailed
	}
	runtime.LockOSThread()
	unix.CloseOnExec(initControl)
	control := os.NewFile(initControl, "control")
	catchSignals()
	mountOwn()

	message := []byte{initReady}
	if _, err := control.Write(message); err != nil {
		return statusInitFailed // the lab has gone
	}
	if _, err := control.Read(message); err != nil || message[0] != initGo {
		return statusInitFailed
	}

	path, err := exec.LookPath(argv[0])
	if err != nil {
		return startFailed(argv[0], err)
	}
	command, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		return startFailed(argv[0], err)
	}
	// Signals are passed on only from here, where the command is what it will be.
	go passSignals(control)
	return reap(command, control)
}

// catchSignals keeps the signals that reach the whole process group from
// ending init. They are caught, not ignored, since the command would start
// with ignored ones ignored; but those that are ignored already stay so.
func catchSignals() {
	discard := make(chan os.Signal, 1)
	for s := syscall.Signal(1); s < 32; s++ {
		if !signal.Ignored(s) {
			signal.Notify(discard, s)
		}
	}
}

// passSignals sends what the lab asks for to the process group.
func passSignals(control *os.File) {
	message := make([]byte, 1)
	for {
		if _, err := control.Read(message); err != nil {
			os.Exit(statusSignal + int(unix.SIGKILL))
		}
		// Process group 0 is our own; it has a member, so this cannot fail.
		_ = unix.Kill(0, unix.Signal(message[0]))
	}
}

// reap waits for every process of the namespace that is left to init, until
// the command has ended, and returns the command's status.
func reap(command int, control *os.File) int {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WUNTRACED, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			fmt.Fprintf(os.Stderr, "xsweep lab: wait for the command: %v\n", err)
			return statusInitFailed
		case pid != command:
		case status.Stopped():
			if _, err := control.Write([]byte{initStopped}); err != nil {
				return statusInitFailed // the lab has gone
			}
		case status.Signaled():
			return statusSignal + int(status.Signal())
		case status.Exited():
			return status.ExitStatus()
		}
	}
}

// startFailed explains on standard error why there is no command.
func startFailed(name string, err error) int {
	var lookup *exec.Error
	if errors.As(err, &lookup) {
		err = lookup.Err
	}
	switch {
	case errors.Is(err, exec.ErrNotFound):
		fmt.Fprintf(os.Stderr, "xsweep lab: run %s: not found in PATH\n", name)
		return statusNotFound
	case errors.Is(err, fs.ErrNotExist):
		// Also where only the interpreter of a script is missing.
		fmt.Fprintf(os.Stderr, "xsweep lab: run %s: it, or the interpreter it asks for, does not exist\n", name)
		return statusNotFound
	case errors.Is(err, exec.ErrDot):
		fmt.Fprintf(os.Stderr, "xsweep lab: run %s: found only in the current directory: write ./%s\n", name, name)
		return statusNotFound
	default:
		fmt.Fprintf(os.Stderr, "xsweep lab: run %s: %v\n", name, err)
		return statusNotExecutable
	}
}
