// SPDX-License-Identifier: Apache-2.0

// Command bench measures what xsweep's design promises about speed and memory,
// and prints one table: what was measured, what it is compared with, the
// ratio, the goal. `make bench` builds and runs it, and makes docs/performance.md
// of what it finds.
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
// every load ends by itself. No setting of the machine is changed. Only what
// sends live frames is pinned to CPUs, as the transmitter xdp is itself, and what
// is measured on one core. Files in between have no name, or stand in a directory
// that is removed at the end, also after Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"xsweep/sweep/pace"
)

func main() {
	if os.Getenv(recordsEnv) != "" {
		os.Exit(recordsChild(os.Stdout, os.Stderr))
	}
	pace.SpareProcessors() // as xsweep does
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// options is what the command line asks for.
type options struct {
	xsweep string   // path of the program
	json   string   // file for the report; empty is none
	page   string   // file for the performance page; empty is none
	readme string   // file with a block of headline figures; empty is none
	from   string   // report to read instead of measuring; empty is none
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
	if o.from != "" {
		if err := o.render(); err != nil {
			fmt.Fprintf(stderr, "bench: %v\n", err)
			return 1
		}
		return 0
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
	flags.StringVar(&o.page, "page", "", "write the performance page to `FILE`, as Markdown")
	flags.StringVar(&o.readme, "readme", "", "renew the headline figures in `FILE`, which has a place for them")
	flags.StringVar(&o.from, "from", "", "measure nothing: take the report from `FILE`, which -json wrote")
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
	if o.from != "" {
		if only != "" || o.page == "" && o.readme == "" {
			return options{}, errors.New("-from: goes with -page or -readme and without -only")
		}
		return o, nil
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
	cpus   int      // that this process may use
	notes  []string // of the group that is being measured
}

// note says something beside the figures.
func (b *bench) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}

// groups are the figures in the order of the report.
var groups = []struct {
	name    string
	measure func(*bench) ([]row, error)
}{
	{"send", (*bench).send},
	{"kinds", (*bench).kinds},
	{"loop", (*bench).loop},
	{"scale", (*bench).scale},
	{"records", (*bench).records},
	{"pressure", (*bench).backpressure},
	{"checkpoint", (*bench).checkpoint},
	{"resume", (*bench).resume},
	{"filter", (*bench).filter},
	{"order", (*bench).order},
	{"promise", (*bench).promise},
	{"memory", (*bench).memory},
	{"cpu", (*bench).cpu},
	{"alloc", (*bench).allocations},
	{"rtt", (*bench).rtt},
	{"bias", (*bench).bias},
	{"hostbench", (*bench).hostbench},
	{"hoststamps", (*bench).hostStamps},
	{"hostsearch", (*bench).hostSearch},
	{"peers", (*bench).peers},
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
	b := &bench{ctx: context.Background(), xsweep: o.xsweep, cpus: runtime.NumCPU()}
	r := report{Started: time.Now(), Commit: commit()}
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
		fmt.Fprintf(stderr, "%-10s", g.name)
		b.notes = nil
		rows, err := g.measure(b)
		fmt.Fprintf(stderr, "%4.0f s\n", time.Since(began).Seconds())
		if err != nil { // the other figures stand without it
			errs = append(errs, fmt.Errorf("measure %s: %w", g.name, err))
			r.Notes = append(r.Notes, note{g.name, fmt.Sprintf("Not measured: %v.", err)})
			continue
		}
		for _, row := range rows {
			row.Group = g.name
			r.Rows = append(r.Rows, row)
		}
		for _, text := range b.notes {
			r.Notes = append(r.Notes, note{g.name, text})
		}
	}
	fmt.Fprintln(stderr)
	if err := errors.Join(r.writeTable(stdout), r.writeRounds(stdout, promisePrefix)); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return errors.Join(append(errs, o.write(r))...)
}

// render makes the files that were asked for of an earlier report.
func (o options) render() error {
	encoded, err := os.ReadFile(o.from)
	if err != nil {
		return fmt.Errorf("read a report: %w", err)
	}
	r, err := decodeReport(encoded)
	if err != nil {
		return fmt.Errorf("%s: %w", o.from, err)
	}
	return o.write(r)
}

// write writes the files that were asked for. The page and the headline are
// made from the report as the JSON has it.
func (o options) write(r report) error {
	encoded, err := r.encode()
	if err != nil {
		return err
	}
	if r, err = decodeReport(encoded); err != nil {
		return err
	}
	var errs []error
	if o.json != "" {
		errs = append(errs, os.WriteFile(o.json, encoded, 0o644))
	}
	if o.page != "" {
		errs = append(errs, os.WriteFile(o.page, []byte(r.page()), 0o644))
	}
	if o.readme != "" {
		errs = append(errs, r.renew(o.readme))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
