// SPDX-License-Identifier: Apache-2.0

// Command xsweep sweeps networks with ICMP probes. See README.md, or
// `xsweep --help`.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"xsweep/internal/lab"
	"xsweep/sweep"
	"xsweep/sweep/pace"
)

// The exit statuses. (130 and up are the shell's way to name a signal.)
const (
	exitOK          = 0
	exitFailed      = 1 // failed while running, or something was lost
	exitUsage       = 2 // bad usage or input: nothing was sent
	exitInterrupted = 130
)

// environment is what a command has of the world outside.
type environment struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	logFormat string    // of what goes to stderr
	settings  *settings // of the command that runs
}

func main() {
	lab.MaybeInit()
	maybeCeiling()
	pace.SpareProcessors()
	os.Exit(run(&environment{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}, os.Args[1:]))
}

// run is main with its streams and arguments given and its status returned.
func run(env *environment, args []string) int {
	// A reader that went away (`| head -1`) shall be an error of the write,
	// not the end of the process.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	root := newRootCommand(env)
	env.wantLogs(args)
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	status, message := verdict(err)
	if message != "" {
		env.fail(env.settings.locate(message))
	}
	return status
}

// exitStatus ends the program with a status of its own and no message.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// badUsage is an error in flags or arguments.
type badUsage struct{ error }

func (e badUsage) Unwrap() error { return e.error }

// usageError marks err as the user's: exit status 2.
func usageError(err error) error { return badUsage{err} }

// verdict is the exit status for an error, and what to print.
func verdict(err error) (status int, message string) {
	var own exitStatus
	var usage badUsage
	var start *sweep.StartError
	switch {
	case err == nil:
		return exitOK, ""
	case errors.As(err, &own):
		return int(own), ""
	case readerGone(err):
		return exitOK, ""
	case errors.As(err, &start) && errors.Is(err, context.Canceled):
		return exitInterrupted, "interrupted before the first probe"
	case errors.As(err, &usage), errors.As(err, &start):
		return exitUsage, err.Error()
	}
	return exitFailed, err.Error()
}

// readerGone tells whether err is that of writing to standard output after its
// reader has left (`| head -1`): he has all he wanted.
func readerGone(err error) bool {
	var path *fs.PathError
	return errors.As(err, &path) && path.Path == os.Stdout.Name() && errors.Is(path, syscall.EPIPE)
}

func newRootCommand(env *environment) *cobra.Command {
	root := &cobra.Command{
		Use:   "xsweep",
		Short: "Find live hosts with ICMP, very fast and exact to the packet",
		Long: `xsweep probes IPv4 networks with ICMP echo requests. An XDP program in the
kernel judges, counts and drops the replies; what it prints adds up.

Sweep only networks that you may: see "Being a good citizen" in the README.`,
		Example: `  xsweep sweep 192.0.2.0/24
  xsweep lab -- xsweep sweep 198.18.0.0/16      # try it in a simulated network
  xsweep doctor                                 # what this machine can do`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError(fmt.Errorf("unknown command %q: see `xsweep --help`", args[0]))
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetIn(env.stdin)
	root.SetOut(env.stdout)
	root.SetErr(env.stderr)
	env.registerLogs(root.PersistentFlags())
	root.PersistentFlags().String("config", "", "read settings from `FILE` (default: ~/.config/xsweep/config.toml, or /etc/xsweep/config.toml)")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if settles(c) {
			var err error
			if env.settings, err = settle(c); err != nil {
				return usageError(err)
			}
		}
		if err := env.checkLogFormat(); err != nil {
			return usageError(err)
		}
		return nil
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError(fmt.Errorf("%w: see `%s --help`", err, c.CommandPath()))
	})
	root.AddCommand(newSweepCommand(env), newBenchCommand(env), newLabCommand(env), newDoctorCommand(env), newConfigCommand(env), newVersionCommand(env), newCompletionCommand(env), newManCommand())
	root.SetUsageFunc(printUsage)
	registerCompletions(root)
	return root
}
