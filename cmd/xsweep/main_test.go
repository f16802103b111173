// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
)

// movedEnv marks the copy of the test binary that labtest has put into a
// network namespace of its own.
const movedEnv = "XSWEEP_COMMAND_TEST_MOVED"

// raceEnv sets the race detector, which by default makes each command sleep
// for a second before it ends.
const raceEnv = "GORACE"

// TestMain makes the test binary three things: the init of labs, the command
// xsweep that scripts and tests find in PATH, and, as root only inside a
// network namespace of its own, the tests.
func TestMain(m *testing.M) {
	lab.MaybeInit()
	maybeCeiling()
	// What the user of this machine has set is none of the tests' business.
	if _, set := os.LookupEnv(variable("config")); !set {
		os.Setenv(variable("config"), os.DevNull)
	}
	commands := map[string]func(){"xsweep": main}
	_, isCommand := commands[filepath.Base(os.Args[0])]
	if os.Geteuid() == 0 && !isCommand && os.Getenv(movedEnv) == "" {
		os.Setenv(movedEnv, "1")
		labtest.Main(m) // comes back here in the copy, and does not return
	}
	testscript.Main(suite{m}, commands)
}

// suite is the tests, run once the command is in PATH.
type suite struct{ m *testing.M }

func (s suite) Run() int {
	if err := openPath(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	os.Setenv(raceEnv, os.Getenv(raceEnv)+" atexit_sleep_ms=0")
	return s.m.Run()
}

// openPath lets any user run the command: testscript keeps it in a directory
// that only its owner can enter.
func openPath() error {
	bin, _, _ := strings.Cut(os.Getenv("PATH"), string(filepath.ListSeparator))
	for _, dir := range []string{bin, filepath.Dir(bin)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			return fmt.Errorf("let other users run the command under test: %w", err)
		}
	}
	return nil
}

// Scripts that need no privilege.
func TestScripts(t *testing.T) { runScripts(t, "testdata/script") }

// Scripts that sweep in labs.
func TestKernelScripts(t *testing.T) {
	labtest.Kernel(t)
	runScripts(t, "testdata/script/kernel")
}

func runScripts(t *testing.T, dir string) {
	testscript.Run(t, testscript.Params{
		Dir: dir, Cmds: scriptCommands, RequireUniqueNames: true,
		WorkdirRoot: t.TempDir(), // which is removed also if only some scripts run
		Setup: func(env *testscript.Env) error {
			env.Setenv(raceEnv, os.Getenv(raceEnv))
			env.Setenv(variable("config"), os.DevNull)
			return nil
		},
	})
}
