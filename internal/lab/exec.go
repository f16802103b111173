// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// defaultKillDelay is how long a command may take to end after SIGTERM.
const defaultKillDelay = 10 * time.Second

// Exec runs a command on the sender side and returns its exit status: 128+n
// if signal n ended it, 127 if there is no such command, 126 if it cannot be
// executed; it says the latter two on stderr. The command is process 2 of its
// own PID namespace, with /proc and /sys of its own; when it ends, and when
// this process ends in whatever way, all that it has started is killed. A nil
// env is this process's environment.
//
// Signals that come from [Config.Signals] are forwarded to the command's
// process group. If stdin is the controlling terminal that group is in the
// foreground meanwhile. A command that has not ended 10 s after a SIGTERM is
// killed.
//
// If ctx ends first, the command gets SIGTERM as if forwarded, and the error
// is that of ctx beside the status. Any other error means that the command did
// not run, or that its output could not be copied.
//
// A stdin that is no [*os.File] is read ahead, and by a goroutine that may
// stay until its last Read returns.
func (l *Lab) Exec(ctx context.Context, argv, env []string, stdin io.Reader, stdout, stderr io.Writer) (exitStatus int, err error) {
	if len(argv) == 0 {
		return 0, errors.New("run a command in the lab: none given")
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("run %s in the lab: %w", argv[0], err)
	}
	s := session{
		signals:   l.config.Signals,
		killDelay: l.killDelay,
		events:    make(chan byte),
		waited:    make(chan error, 1),
		done:      make(chan struct{}),
	}
	// The child inherits the namespace of the thread that starts it, and dies
	// with that thread, which is therefore ours until the child is reaped.
	err = inNamespace(l.sender.ns, func() (err error) {
		exitStatus, err = s.run(ctx, argv, env, stdin, stdout, stderr)
		return err
	})
	if err != nil {
		err = fmt.Errorf("run %s in the lab: %w", argv[0], err)
	}
	return exitStatus, err
}

// session is one run of Exec, on one thread.
type session struct {
	signals   <-chan os.Signal
	init      *exec.Cmd
	control   *os.File
	events    chan byte  // from init; closed at its end
	waited    chan error // what waiting for init brought, once
	done      chan struct{}
	terminal  *terminal
	killDelay time.Duration
	deadline  <-chan time.Time // when to kill; nil until SIGTERM
}

func (s *session) run(ctx context.Context, argv, env []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if err := s.start(argv, env, stdin, stdout, stderr); err != nil {
		return 0, err
	}
	defer s.control.Close()
	defer close(s.done)
	if first, ok := <-s.events; !ok || first != initReady {
		err := <-s.waited
		return 0, fmt.Errorf("its init ended early (%s): does this binary call lab.MaybeInit first? %w", s.init.ProcessState, err)
	}
	s.terminal = openTerminal(stdin)
	s.terminal.give(s.init.Process.Pid)
	defer s.terminal.takeBack()
	s.send(initGo)

	events, ended := s.events, ctx.Done()
	for {
		select {
		case err := <-s.waited:
			return s.status(err, ctx, ended == nil)
		case event, ok := <-events:
			if !ok {
				events = nil
			} else if event == initStopped {
				s.suspend()
			}
		case sig := <-s.signals:
			if n, ok := sig.(syscall.Signal); ok {
				s.forward(n)
			}
		case <-ended:
			ended = nil
			s.forward(unix.SIGTERM)
		case <-s.deadline:
			_ = s.init.Process.Kill() // fails only if it has ended
		}
	}
}

// start starts init in new namespaces, as leader of a process group of its
// own, so that no key of the terminal reaches it before it is ready.
func (s *session) start(argv, env []string, stdin io.Reader, stdout, stderr io.Writer) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("make its control channel: %w", err)
	}
	s.control = os.NewFile(uintptr(pair[0]), "control")
	theirs := os.NewFile(uintptr(pair[1]), "control")
	defer theirs.Close()

	s.init = &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       append([]string{initName}, argv...),
		Env:        env,
		Stdout:     stdout,
		Stderr:     stderr,
		ExtraFiles: []*os.File{theirs}, // becomes initControl
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS,
			Setpgid:    true,
			// The kernel forgets this when the binary has file capabilities,
			// and it comes too late if we die first; the end of the control
			// channel covers both.
			Pdeathsig: unix.SIGKILL,
		},
	}
	if err := s.startWith(stdin); err != nil {
		s.control.Close()
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w: a PID namespace needs CAP_SYS_ADMIN: run with sudo", err)
		}
		return err
	}
	go func() {
		defer close(s.events)
		message := make([]byte, 1)
		for {
			if _, err := s.control.Read(message); err != nil {
				return
			}
			select {
			case s.events <- message[0]:
			case <-s.done:
				return
			}
		}
	}()
	go func() { s.waited <- s.init.Wait() }()
	return nil
}

// startWith starts init with stdin. What is not a file is copied by a
// goroutine of ours, since that of package exec would keep Wait waiting for a
// reader that has no more to say.
func (s *session) startWith(stdin io.Reader) error {
	if f, ok := stdin.(*os.File); ok || stdin == nil {
		if f != nil {
			s.init.Stdin = f
		}
		return s.init.Start()
	}
	pipe, err := s.init.StdinPipe()
	if err != nil {
		return err
	}
	if err := s.init.Start(); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(pipe, stdin) // a command need not read all its input
		pipe.Close()
	}()
	return nil
}

// send writes one byte to init. It fails only if init has ended, and then the
// wait says so.
func (s *session) send(message byte) {
	_, _ = s.control.Write([]byte{message})
}

func (s *session) forward(sig syscall.Signal) {
	s.send(byte(sig))
	if sig == unix.SIGTERM && s.deadline == nil {
		s.deadline = time.After(s.killDelay)
	}
}

// suspend lets the shell see that the command has been stopped (Ctrl-Z): the
// lab stops as well, and continues the command when it is itself continued.
func (s *session) suspend() {
	if s.terminal == nil {
		return // nobody there to continue us
	}
	s.terminal.takeBack()
	_ = unix.Kill(unix.Getpid(), unix.SIGSTOP)
	s.terminal.give(s.init.Process.Pid)
	s.send(byte(unix.SIGCONT))
}

// status turns the end of init into that of the command.
func (s *session) status(err error, ctx context.Context, canceled bool) (int, error) {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil
	}
	if err == nil && canceled {
		err = ctx.Err()
	}
	ws, ok := s.init.ProcessState.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() { // init itself was killed
		return statusSignal + int(ws.Signal()), err
	}
	return s.init.ProcessState.ExitCode(), err
}
