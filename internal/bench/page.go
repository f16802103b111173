// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
)

// sections are the groups as the performance page shows them. No text here
// holds a figure: figures come from the report.
var sections = []struct{ group, title, text string }{
	{"send", "Send rate to a peer that drops",
		"The limits are the least that any program can do: frames that are ready, handed over by plain `sendmmsg(2)` or redirected as they are by a BPF program over live frames."},
	{"kinds", "Kinds of probes",
		"By one thread to a peer that drops, by turns with echo requests of as much data."},
	{"loop", "The whole loop",
		"Probes go out, the simulated network answers, the filter judges, each live host is written to a file once. The file is compared with the truth, address for address. The limits are those of above, to addresses where nobody answers."},
	{"scale", "At scale",
		"A sweep of 268 million addresses against one of a million, by what an address costs, and its result against the truth in a bitmap."},
	{"records", "Records to files, on one core",
		"Records as the filter wrote them, one in a hundred an error, are decoded and written with all columns. Into a file: without waiting for the disk, against a plain loop of write(2) of as many bytes; to /dev/null: against the standard library's encoders with the same columns."},
	{"pressure", "Where records come faster than they are taken",
		"Every host answers, at rate max, and a sink takes fewer records than there are answers."},
	{"checkpoint", "What checkpoints cost",
		"Sweeps of 268 million addresses at rate max, one host in ten live, cut off after some seconds, with CSV to a file; with checkpoints and without by turns. A window is the rate over 100 ms as a share of its sweep's median window; the least of those that a checkpoint falls into is compared with the least of the same ones without."},
	{"resume", "Resuming 268 million addresses",
		"A checkpoint near the end of the sweep, one host in ten live, whose log is not in the page cache; from the start of the program to the first probe at the far end."},
	{"filter", "The filter, a packet",
		"Under BPF_PROG_TEST_RUN, less what an empty program takes."},
	{"order", "The order, an address", ""},
	{"cpu", "Processor time",
		"User and system time of the built program, responder included where the veth pair runs it on the sender's time."},
	{"alloc", "Allocations a probe", ""},
	{"rtt", "Round-trip times against a hop's clock",
		"Each record's RTT less the time between probe and reply at a hop between sender and responder, which notes both by itself. What lies between sender and hop is in it."},
	{"bias", "What a batch adds to a round-trip time", ""},
	{"hostbench", "Benchmarks of a host: speed",
		"What `xsweep bench` sends and judges where every probe is answered. The limit is a frame that is ready, sent to the same host, whose answers are dropped unseen."},
	{"hoststamps", "Benchmarks of a host: latencies against a hop's clock",
		"Quantiles of a trial's latencies less those that a hop between sender and responder sees of the same probes. What lies between sender and hop is in them."},
	{"hostsearch", "Benchmarks of a host: searches against the truth",
		"The lower bound of loss-free rates that repeated searches find, in a network whose capacity is known."},
	{"peers", "Other tools in the same lab",
		"Best rate at which the tool finds every live host, as far as it has one, by the responder's counters from the first probe's arrival to the last: start and cooldown do not count against a tool."},
	{"promise", "The rate promise",
		"Frames as they arrive at the far end; the value is that of the round that other load disturbed least."},
	{"memory", "Memory", ""},
}

// page is the performance page.
func (r report) page() string {
	var p strings.Builder
	p.WriteString("# Performance\n\n" +
		"Written by `make bench` from docs/performance.json; no figure here is typed by hand. docs/measuring.md says how each is measured and what the columns mean.\n\n")
	fmt.Fprintf(&p, "- machine: %s, %d cores (%s)\n- kernel: Linux %s\n- built with: %s, objects of clang %s\n- commit: %s\n- date: %s\n\n",
		r.Machine.CPU, r.Machine.Cores, r.Machine.Arch, r.Machine.Kernel, r.Machine.Go, r.Machine.Clang, r.Commit, r.Started.UTC().Format("2006-01-02 15:04 UTC"))
	p.WriteString(r.goals())
	for _, s := range sections {
		rows, notes := r.group(s.group)
		if len(rows) == 0 && len(notes) == 0 {
			continue
		}
		fmt.Fprintf(&p, "\n## %s\n\n", s.title)
		if s.text != "" {
			p.WriteString(s.text + "\n\n")
		}
		if len(rows) > 0 {
			p.WriteString(markdown(rows))
		}
		for k, n := range notes {
			if k == 0 && len(rows) > 0 {
				p.WriteByte('\n')
			}
			fmt.Fprintf(&p, "- %s\n", n)
		}
	}
	return p.String()
}

// group is what the report says of a group.
func (r report) group(name string) (rows []row, notes []string) {
	for _, row := range r.Rows {
		if row.Group == name {
			rows = append(rows, row)
		}
	}
	for _, n := range r.Notes {
		if n.Group == name {
			notes = append(notes, n.Text)
		}
	}
	return rows, notes
}

// goals says which goals were reached.
func (r report) goals() string {
	reached, all := 0, 0
	var missed []string
	for _, row := range r.Rows {
		switch row.verdict() {
		case "":
			continue
		case missedGoal:
			of := withUnit(row.Value, row.Unit)
			if row.Goal.OfRatio {
				of = "ratio " + plain(row.Ratio) + " to " + row.Limit
			}
			missed = append(missed, fmt.Sprintf("- **missed**: %s, %s: %s, goal %s\n", row.Group, row.What, of, row.Goal.text(row.Unit)))
		default:
			reached++
		}
		all++
	}
	return fmt.Sprintf("%d of %d goals were reached.\n\n%s", reached, all, strings.Join(missed, ""))
}

// markdown is a table of figures.
func markdown(rows []row) string {
	lines := [][]string{columns, slices.Repeat([]string{"---"}, len(columns))}
	for _, r := range rows {
		cells := r.cells()
		if last := len(cells) - 1; cells[last] == missedGoal {
			cells[last] = "**" + missedGoal + "**"
		}
		lines = append(lines, cells)
	}
	var table strings.Builder
	for _, cells := range lines {
		table.WriteString("|")
		for _, cell := range cells {
			if cell != "" {
				cell = " " + cell
			}
			table.WriteString(cell + " |")
		}
		table.WriteByte('\n')
	}
	return table.String()
}
