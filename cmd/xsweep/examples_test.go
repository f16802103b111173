// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"xsweep/internal/lab/labtest"
)

// everyCommand calls f with the program and all its commands but help's own.
func everyCommand(f func(*cobra.Command)) {
	root := newRootCommand(&environment{})
	f(root)
	for _, c := range root.Commands() {
		if c.Name() != "help" {
			f(c)
		}
	}
}

// Help ends with the examples, which every command has, and is no wider than
// 100 columns.
func TestHelp(t *testing.T) {
	everyCommand(func(c *cobra.Command) {
		var out bytes.Buffer
		c.Root().SetOut(&out)
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		help := out.String()
		if c.Example == "" || !strings.HasSuffix(help, "\nExamples:\n"+c.Example+"\n") {
			t.Errorf("the help of %s does not end with its examples", c.CommandPath())
		}
		for line := range strings.Lines(help) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 100 {
				t.Errorf("%s: %d columns: %q", c.CommandPath(), n, line)
			}
		}
	})
}

// exampleScript is how an example is run: documentation's networks, which nobody
// may sweep, become some of the lab's, and what is not run in a lab by itself is.
func exampleScript(line string) string {
	line, _, _ = strings.Cut(line, "  #")
	line = strings.TrimPrefix(strings.TrimSpace(line), "sudo ")
	line = strings.NewReplacer("192.0.2.", "198.18.2.", "198.51.100.", "198.18.100.", "203.0.113.", "198.18.113.", "eth0", "lab0").Replace(line)
	if strings.Contains(line, "--resume") { // what is gone on with must have begun
		line = "timeout -s KILL 1 xsweep sweep -q --rate 200 --checkpoint sweep.ckpt -o live.csv.zst 198.18.2.0/24; " + line
	}
	if !strings.HasPrefix(line, "xsweep lab ") {
		line = fmt.Sprintf("xsweep lab -- bash -c '%s'", strings.ReplaceAll(line, "'", `'\''`))
	}
	return line
}

// What help shows works as it stands.
func TestExamples(t *testing.T) {
	labtest.Kernel(t)
	for _, program := range []string{"bash", "ping"} {
		lookFor(t, program)
	}
	everyCommand(func(c *cobra.Command) {
		for example := range strings.Lines(c.Example) {
			t.Run(strings.TrimSpace(example), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				for name, text := range map[string]string{"targets.txt": "198.18.4.0/24\n", "no.txt": "198.18.4.7 # not this one\n"} {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				cmd := exec.Command("bash", "-c", exampleScript(example))
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "XSWEEP_COOLDOWN=200ms", "XSWEEP_DRAIN=200ms", "XSWEEP_MAX_PACING_ERROR=100%")
				var errs bytes.Buffer
				cmd.Stderr = &errs
				if err := cmd.Run(); err != nil {
					t.Errorf("%s: %v\n%s", cmd.Args[2], err, &errs)
				}
			})
		}
	})
}
