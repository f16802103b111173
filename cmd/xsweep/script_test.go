// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptCommands are what scripts have beyond testscript's own commands. FILE
// may be stdout or stderr, of the last program that ran.
//
//	status N PROGRAM [ARG...]    runs it; its exit status must be N
//	refuses RE PROGRAM [ARG...]  runs it: status 2, nothing on standard output,
//	                             one line that matches on standard error
//	lines FILE N                 it has N lines, all of them ended
//	sameset FILE PART...         the lines of FILE are those of the parts, each
//	                             once, in any order
//	order FILE1 FILE2            same lines, but not in the same order
//	names DIR [NAME...]          these are all the files there, hidden ones too
//	summary FILE [CHECK...]      the summary is complete and adds up, and each
//	                             check (path=value, path>value) holds
//	records FILE FORMAT SUMMARY  every column of every record is right
//	objects FILE [WANT...]       each line is a JSON object, and for each WANT
//	                             (key=value, which may be the value's beginning,
//	                             as in level=INFO msg=summary) there is a line
//	duplicates SUMMARY ALL N     as many duplicates with --all as without, and
//	                             N + so many records written
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"status":  positive(scriptStatus),
	"refuses": positive(scriptRefuses),
	"lines":   positive(scriptLines),
	"sameset": positive(scriptSameSet),
	"order":   positive(scriptOrder),
	"names":   positive(scriptNames),
	"summary": positive(scriptSummary),
	"records": positive(scriptRecords),
	"objects": positive(scriptObjects),

	"duplicates": positive(scriptDuplicates),
}

// positive is a command that cannot be negated.
func positive(f func(ts *testscript.TestScript, args []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) == 0 {
			ts.Fatalf("takes arguments and no !")
		}
		f(ts, args)
	}
}

func scriptStatus(ts *testscript.TestScript, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func scriptRefuses(ts *testscript.TestScript, args []string) {
	scriptStatus(ts, append([]string{"2"}, args[1:]...))
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("standard output is %q, want nothing", out)
	}
	message := ts.ReadFile("stderr")
	text, ok := strings.CutPrefix(message, "xsweep: ")
	if !ok || strings.Index(text, "\n") != len(text)-1 {
		ts.Fatalf("standard error is %q, want one line that begins with xsweep:", message)
	}
	if !regexp.MustCompile(args[0]).MatchString(text) {
		ts.Fatalf("%q does not match %s", text, args[0])
	}
}

// fileLines are the lines of a file, the last of which must be ended too.
func fileLines(ts *testscript.TestScript, name string) []string {
	text := ts.ReadFile(name)
	if text == "" {
		return nil
	}
	if !strings.HasSuffix(text, "\n") {
		ts.Fatalf("%s ends in the middle of a line", name)
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

func scriptLines(ts *testscript.TestScript, args []string) {
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	if got := len(fileLines(ts, args[0])); got != want {
		ts.Fatalf("%s has %d lines, want %d", args[0], got, want)
	}
}

func scriptSameSet(ts *testscript.TestScript, args []string) {
	whole := fileLines(ts, args[0])
	var parts []string
	for _, name := range args[1:] {
		parts = append(parts, fileLines(ts, name)...)
	}
	if problem := compareSets(whole, parts); problem != "" {
		ts.Fatalf("%s against %v: %s", args[0], args[1:], problem)
	}
}

func scriptOrder(ts *testscript.TestScript, args []string) {
	a, b := fileLines(ts, args[0]), fileLines(ts, args[1])
	if slices.Equal(a, b) {
		ts.Fatalf("%s and %s are in the same order", args[0], args[1])
	}
	if problem := compareSets(a, b); problem != "" {
		ts.Fatalf("%s against %s: %s", args[0], args[1], problem)
	}
}

func scriptNames(ts *testscript.TestScript, args []string) {
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
	}
	want := slices.Sorted(slices.Values(args[1:]))
	if !slices.Equal(found, want) {
		ts.Fatalf("%s has the files %q, want %q", args[0], found, want)
	}
}

func scriptSummary(ts *testscript.TestScript, args []string) {
	a, err := readAccount([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	ts.Check(a.check())
	for _, check := range args[1:] {
		ts.Check(a.holds(check))
	}
}

func scriptRecords(ts *testscript.TestScript, args []string) {
	a, err := readAccount([]byte(ts.ReadFile(args[2])))
	ts.Check(err)
	rows, err := readRows(args[1], ts.ReadFile(args[0]))
	ts.Check(err)
	ts.Check(checkRows(rows, a))
}

// wantedValue is one key of an object with its value, which goes on to the next
// such word.
var wantedValue = regexp.MustCompile(`(\w+)=(.*?)(?: \w+=|$)`)

func scriptObjects(ts *testscript.TestScript, args []string) {
	var objects []map[string]any
	for _, line := range fileLines(ts, args[0]) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			ts.Fatalf("%q is no JSON object: %v", line, err)
		}
		for _, key := range []string{"time", "level", "msg"} {
			if o[key] == nil {
				ts.Fatalf("%q has no %s", line, key)
			}
		}
		objects = append(objects, o)
	}
	for _, want := range args[1:] {
		if !slices.ContainsFunc(objects, func(o map[string]any) bool { return objectMatches(o, want) }) {
			ts.Fatalf("no object in %s has %s", args[0], want)
		}
	}
}

func objectMatches(o map[string]any, want string) bool {
	for rest := want; rest != ""; {
		m := wantedValue.FindStringSubmatchIndex(rest)
		if m == nil || !strings.HasPrefix(fmt.Sprint(o[rest[m[2]:m[3]]]), rest[m[4]:m[5]]) {
			return false
		}
		rest = strings.TrimPrefix(rest[m[5]:], " ")
	}
	return true
}

func scriptDuplicates(ts *testscript.TestScript, args []string) {
	first, err := readAccount([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	all, err := readAccount([]byte(ts.ReadFile(args[1])))
	ts.Check(err)
	n, err := strconv.ParseUint(args[2], 10, 64)
	ts.Check(err)
	const path = "packets.verdicts.duplicate"
	if first.count(path) != all.count(path) || all.count("records.sinks.0.written") != n+all.count(path) {
		ts.Fatalf("%d and %d duplicates, %d records", first.count(path), all.count(path), all.count("records.sinks.0.written"))
	}
}
