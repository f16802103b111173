// SPDX-License-Identifier: Apache-2.0

// Command bench measures what xsweep's design promises about speed and memory,
// and prints one table: what was measured, what it is compared with, the
// ratio, the goal. `make bench` builds and runs it.
//
// # Vocabulary
//
// A figure is measured in several rounds. Where it has a limit, something that
// bounds it on any machine (ready-made frames for a transmitter, an empty
// program for the filter), both are measured by turns, a round of the one
// after a round of the other; the ratio is the median of the rounds' ratios.
// docs/measuring.md says of each figure how it is measured and why so.
//
// # Contracts
//
// Figures decide nothing: the exit status is 0 unless something could not be
// measured (1) or asked for (2). Packets go nowhere but to labs inside a
// network namespace of the program's own, in which it runs itself again, and
// every load ends by itself. Nothing is pinned to CPUs, and no setting of the
// machine is changed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// options is what the command line asks for.
type options struct {
	xsweep string   // path of the program
	json   string   // file for the report; empty is none
	only   []string // groups to measure; nil is all
}

func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 2
	}
	if !inside() {
		status, err := enterNamespace()
		if err != nil {
			fmt.Fprintf(stderr, "bench: %v\n", err)
			return 1
		}
		return status
	}
	if err := measure(o, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.xsweep, "xsweep", "bin/xsweep", "`PATH` of the built xsweep")
	flags.StringVar(&o.json, "json", "", "write the report as JSON to `FILE` too")
	flags.StringVar(&only, "only", "", "measure only these `GROUPS`, of "+strings.Join(groupNames(), ","))
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(stderr)
		flags.Usage()
	}
	if err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("argument %q: there are none, only flags", flags.Arg(0))
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	for _, name := range o.only {
		if !slices.Contains(groupNames(), name) {
			return options{}, fmt.Errorf("-only %q: must be of %s", name, strings.Join(groupNames(), ","))
		}
	}
	if o.xsweep, err = filepath.Abs(o.xsweep); err == nil {
		_, err = os.Stat(o.xsweep)
	}
	if err != nil {
		return options{}, fmt.Errorf("-xsweep: %w: build it with `make build`", err)
	}
	return o, nil
}

// bench is one run.
type bench struct {
	ctx    context.Context
	xsweep string
}

// groups are the figures in the order of the report.
var groups = []struct {
	name    string
	measure func(*bench) ([]row, error)
}{
	{"packet", (*bench).packet},
	{"filter", (*bench).filter},
	{"order", (*bench).order},
	{"promise", (*bench).promise},
	{"memory", (*bench).memory},
	{"cpu", (*bench).cpu},
	{"bias", (*bench).bias},
}

func groupNames() []string {
	var names []string
	for _, g := range groups {
		names = append(names, g.name)
	}
	return names
}

// measure measures the groups and writes the report.
func measure(o options, stdout, stderr io.Writer) error {
	b := &bench{ctx: context.Background(), xsweep: o.xsweep}
	r := report{Started: time.Now()}
	var errs []error
	var err error
	if r.Machine, err = describeMachine(); err != nil {
		return err
	}
	for _, g := range groups {
		if o.only != nil && !slices.Contains(o.only, g.name) {
			continue
		}
		began := time.Now()
		fmt.Fprintf(stderr, "%-8s", g.name)
		rows, err := g.measure(b)
		fmt.Fprintf(stderr, "%4.0f s\n", time.Since(began).Seconds())
		if err != nil { // the other figures stand without it
			errs = append(errs, fmt.Errorf("measure %s: %w", g.name, err))
			continue
		}
		r.Rows = append(r.Rows, rows...)
	}
	fmt.Fprintln(stderr)
	if err := errors.Join(r.writeTable(stdout), r.writeRounds(stdout, promisePrefix)); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if o.json != "" {
		encoded, err := r.encode()
		if err == nil {
			err = os.WriteFile(o.json, encoded, 0o644)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("write the report as JSON: %w", err))
		}
	}
	return errors.Join(errs...)
}
