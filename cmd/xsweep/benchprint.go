// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"xsweep/internal/si"
	"xsweep/sweep/bench"
)

// printBench tells people what was measured: tables, then the verdict.
func printBench(w io.Writer, r *bench.Result) error {
	out := bufio.NewWriter(w)
	if len(r.Trials) > 0 {
		e := &r.Environment
		fmt.Fprintf(out, "%s (%s, transmit queues: %d), %s, judge %s; kernel %s, %d x %s\n", e.Interface, cmp.Or(e.Driver, "no driver"), e.Queues, e.Transmitter, e.XDP, e.Kernel, e.CPUs, e.CPU)
		if c := r.Ceiling; c != nil {
			fmt.Fprintf(out, "this sender's ceiling: %.0f probes a second, into a loop that drops them (%s, %s, %d bytes)\n", c.Rate, c.Transmitter, threads(c.Threads), c.Size)
		}
		fmt.Fprintln(out)
		shown, invalid := []bench.Trial{}, 0
		for _, t := range r.Trials {
			if !t.Exploring() {
				shown = append(shown, t)
			} else if !t.Valid {
				invalid++
			}
		}
		if len(shown) > 0 {
			printLoads(out, shown)
			fmt.Fprintln(out)
			printLatencies(out, shown)
			printInvalid(out, shown)
		}
		if n := len(r.Trials) - len(shown); n > 0 {
			fmt.Fprintf(out, "%d trials of the search (%d not valid) are in --summary and -o\n", n, invalid)
		}
		if last := &r.Trials[len(r.Trials)-1]; len(last.Targets) > 1 {
			fmt.Fprintln(out)
			printTargetTable(out, last.Targets)
		}
		fmt.Fprintln(out)
		printThroughputs(out, r)
	}
	fmt.Fprintln(out, r.Verdict)
	return out.Flush()
}

func threads(n int) string {
	if n == 1 {
		return "1 thread"
	}
	return fmt.Sprintf("%d threads", n)
}

// printThroughputs prints what a search has found.
func printThroughputs(w io.Writer, r *bench.Result) {
	all := slices.Concat(r.NDR, r.PDR)
	if len(all) == 0 {
		return
	}
	t := table(w)
	fmt.Fprintln(t, "size\tgoal\tlower\tupper\tanswered/s\tlimited by\t")
	for _, f := range all {
		upper := "-"
		if f.Upper > 0 {
			upper = fmt.Sprint(f.Upper)
		}
		fmt.Fprintf(t, "%d\t%s\t%d\t%s\t%.0f\t%s\t\n", f.Size, goalName(f.Goal), f.Lower, upper, f.Conditional, f.Limit)
	}
	t.Flush()
	fmt.Fprintln(w)
}

func table(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
}

func printLoads(w io.Writer, trials []bench.Trial) {
	t := table(w)
	fmt.Fprintln(t, "size\toffered\tsent/s\tanswered/s\tsent\tanswered\tlost\tloss\tdup\treord\tlate\terrors\t")
	for _, r := range trials {
		mark := ""
		if !r.Valid {
			mark = "  not valid"
		}
		fmt.Fprintf(t, "%d\t%.0f\t%.0f\t%.0f\t%d\t%d\t%d\t%s\t%d\t%d\t%d\t%d\t%s\n", r.Size, r.RateOffered, r.RateSent, r.RateAnswered,
			r.Sent, r.Answered, r.Lost, percent(r.LossRatio()), r.Duplicate, r.Reordered, r.Late, r.Errors, mark)
	}
	t.Flush()
}

// percent shows a ratio so that what is not zero does not look like it.
func percent(ratio float64) string {
	if ratio > 0 && ratio < 0.0001 {
		return fmt.Sprintf("%.1g%%", 100*ratio)
	}
	return fmt.Sprintf("%.2f%%", 100*ratio)
}

func printLatencies(w io.Writer, trials []bench.Trial) {
	t := table(w)
	fmt.Fprintln(t, "size\trtt at\tfrom\tmin\tp50\tp90\tp99\tp99.9\tp99.99\tmax\tjitter\toutage\t")
	for _, r := range trials {
		for _, l := range []struct {
			from string
			*bench.Latency
		}{{"sent", &r.RTT}, {"scheduled", &r.RTTScheduled}} {
			if l.Count == 0 {
				continue
			}
			fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.Size, si.Short(r.RateOffered, ""), l.from, rtt(l.Min), rtt(l.P50), rtt(l.P90), rtt(l.P99),
				rtt(l.P999), rtt(l.P9999), rtt(l.Max), rtt(uint64(r.Jitter)), rtt(r.Outage))
		}
	}
	t.Flush()
}

func printInvalid(w io.Writer, trials []bench.Trial) {
	for _, r := range trials {
		if !r.Valid {
			fmt.Fprintf(w, "the trial at %.0f/s is not valid: %s\n", r.RateOffered, r.Reason)
		}
	}
}

func printTargetTable(w io.Writer, targets []bench.TargetResult) {
	const most = 20
	t := table(w)
	fmt.Fprintln(t, "target\tsent\tanswered\terrors\t")
	for i, r := range targets {
		if i == most {
			fmt.Fprintf(t, "and %d more\t\t\t\t\n", len(targets)-most)
			break
		}
		fmt.Fprintf(t, "%v\t%d\t%d\t%d\t\n", r.Addr, r.Sent, r.Answered, r.Errors)
	}
	t.Flush()
}
