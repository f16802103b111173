// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// terminal hands the controlling terminal to the command's process group and
// takes it back, so that keys reach the command, once, and never the lab.
type terminal struct {
	fd   int
	held bool // the command's group is the foreground group
}

// openTerminal returns nil unless stdin is our controlling terminal.
func openTerminal(stdin io.Reader) *terminal {
	f, ok := stdin.(*os.File)
	if !ok {
		return nil
	}
	fd := int(f.Fd())
	if _, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err != nil {
		return nil
	}
	return &terminal{fd: fd}
}

// give makes group the foreground group if we are in it; a lab in the
// background must not take the terminal away from others.
func (t *terminal) give(group int) {
	if t == nil {
		return
	}
	if now, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP); err != nil || now != unix.Getpgrp() {
		return
	}
	t.held = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, group) == nil
}

// takeBack makes our own group the foreground group again. The calling
// goroutine must be locked to its thread.
func (t *terminal) takeBack() {
	if t == nil || !t.held {
		return
	}
	t.held = false
	// Whoever asks from the background is stopped by SIGTTOU unless the
	// thread blocks it.
	var block, old unix.Sigset_t
	block.Val[0] = 1 << (unix.SIGTTOU - 1)
	if unix.PthreadSigmask(unix.SIG_BLOCK, &block, &old) != nil {
		return
	}
	_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, unix.Getpgrp()) // fails only if the terminal has gone
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
}
