// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"xsweep/internal/lab/labtest"
)

// lookFor finds a program that a test needs; CI has it.
func lookFor(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		labtest.Lacking(t, program+": install it")
	}
	return path
}

// output runs a command and returns what it prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, &errs)
	}
	return out.String()
}

// Each shell takes its script.
func TestCompletionParses(t *testing.T) {
	for _, shell := range names(completionShells) {
		t.Run(shell, func(t *testing.T) {
			script := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(script, []byte(output(t, "xsweep", "completion", shell)), 0o600); err != nil {
				t.Fatal(err)
			}
			output(t, lookFor(t, shell), "-n", script)
		})
	}
}

// bashHarness completes the words after its first argument, which is the script,
// as readline would, and prints what it would offer. The package bash-completion
// has its own way to cut the line into words; here it is as it was typed.
const bashHarness = `
source "$1"; shift
_get_comp_words_by_ref() {
	words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
	cur=${words[cword]} prev=${words[cword-1]}
}
compopt() { :; }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9 COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
complete -p xsweep | grep -q __start_xsweep || exit 1
__start_xsweep
printf '%s\n' "${COMPREPLY[@]}"
`

// Bash's function for real: it asks the command and offers what fits.
func TestCompletionInBash(t *testing.T) {
	bash := lookFor(t, "bash")
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte(output(t, "xsweep", "completion", "bash")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		words []string
		want  string
	}{
		{[]string{"sweep", "--tx", "x"}, "xdp"},
		{[]string{"sweep", "--replies", ""}, "positive errors all"},
		{[]string{"sweep", "--probe", "echo,m"}, `echo\,mask`},
		{[]string{"sweep", "-i", "l"}, "lo"},
		{[]string{"swe"}, "sweep"},
		{[]string{"lab", "--", "xsweep", "sweep", "--xdp", "g"}, "generic"},
		{[]string{"sweep", "--seed", ""}, ""},
	} {
		args := append([]string{"-c", bashHarness, "bash", script, "xsweep"}, tc.words...)
		if got := strings.Join(strings.Fields(output(t, bash, args...)), " "); got != tc.want {
			t.Errorf("xsweep %q: %q, want %q", tc.words, got, tc.want)
		}
	}
}

// completions are the words that are offered, without what is said of them, and
// whether files are.
func completions(t *testing.T, args ...string) (words []string, files bool) {
	t.Helper()
	list, directive := completeOwn(args[:len(args)-1], args[len(args)-1])
	if directive&cobra.ShellCompDirectiveError != 0 {
		t.Fatalf("%q: an error", args)
	}
	for _, word := range list {
		word, _, _ = strings.Cut(word, "\t")
		words = append(words, word)
	}
	return words, directive&cobra.ShellCompDirectiveNoFileComp == 0
}

func TestCompletions(t *testing.T) {
	for _, tc := range []struct {
		args  string // the last word is to be completed; _ is an empty one
		want  string // is among the words; empty: there is none
		not   string // is not
		files bool
	}{
		{"_", "sweep", "man", false},
		{"sweep --tx _", "packet", "", false},
		{"sweep --xdp _", "native", "", false},
		{"sweep --format _", "jsonl", "", false},
		{"sweep --replies _", "errors", "", false},
		{"sweep --probe _", "timestamp", "", false},
		{"sweep --fields addr,rtt,", "addr,rtt,os", "addr,rtt,addr", false},
		{"sweep --dscp _", "EF", "", false},
		{"sweep --interface _", "lo", "", false},
		{"sweep --file _", "", "", true},
		{"sweep --exclude-file _", "", "", true},
		{"sweep --output _", "", "", true},
		{"sweep --summary _", "", "", true},
		{"sweep --config _", "", "", true},
		{"sweep --seed _", "", "", false},
		{"sweep --shard _", "", "", false},
		{"sweep --log-format _", "json", "", false},
		{"sweep _", "", "127.0.0.0/8", false},
		{"lab --responder _", "kernel", "sink", false},
		{"lab --behaviour host,", "host,mask", "host,host", false},
		{"lab -- xswee", "xsweep", "", true},
		{"lab -- cat _", "", "", true},
		{"lab -- xsweep sweep --tx _", "raw", "", false},
		{"config _", "lab", "version", false},
		{"completion _", "fish", "", false},
		{"version _", "", "", false},
	} {
		args := strings.Fields(tc.args)
		for i := range args {
			if args[i] == "_" {
				args[i] = ""
			}
		}
		words, files := completions(t, args...)
		if files != tc.files || tc.want != "" && !slices.Contains(words, tc.want) || tc.not != "" && slices.Contains(words, tc.not) {
			t.Errorf("xsweep %q: %q, files %v; want %q, not %q, files %v", args, words, files, tc.want, tc.not, tc.files)
		}
	}
}

// A flag with a file as its value completes to files, whatever its name.
func TestCompletionOfFiles(t *testing.T) {
	for _, c := range newRootCommand(&environment{}).Commands() {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if value, _ := pflag.UnquoteUsage(f); value != "FILE" {
				return
			}
			if _, files := completions(t, c.Name(), "--"+f.Name, ""); !files {
				t.Errorf("%s --%s: no files", c.Name(), f.Name)
			}
		})
	}
}
