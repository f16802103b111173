// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"xsweep/internal/si"
	"xsweep/sweep/bench"
)

const compareHelp = `Put two benchmarks side by side, as --summary wrote them. Each side may be several
files with commas between, repeats of the same: then means are compared, with
confidence intervals of 95 %.

What is worse in B than in A by more than --tolerance is a regression, unless the
intervals overlap. Loss is compared in points: 5% allows 5 probes of 100 more.

Exit status: 0 no regression; 1 a regression; 2 bad usage or input.`

func newCompareCommand(env *environment) *cobra.Command {
	tolerance := 0.05
	c := &cobra.Command{
		Use:     "compare [flags] A.json B.json",
		Short:   "Compare two benchmarks",
		Long:    compareHelp,
		Example: "  xsweep bench compare before.json after.json --tolerance 3%\n  xsweep bench compare a1.json,a2.json,a3.json b1.json,b2.json,b3.json",

		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return compareBenches(env.stdout, args, tolerance)
		},
	}
	c.Flags().Var(flagValue[float64]{&tolerance, parseRatio, showRatio, "ratio"}, "tolerance", "how much worse B may be")
	return c
}

func compareBenches(w io.Writer, args []string, tolerance float64) error {
	if len(args) != 2 {
		return usageError(errors.New("name two summaries to compare: those of before and after"))
	}
	var sides [2][]*bench.Result
	for i, arg := range args {
		for path := range strings.SplitSeq(arg, ",") {
			text, err := os.ReadFile(path)
			if err != nil {
				return usageError(err)
			}
			r, err := bench.ReadResult(text)
			if err != nil {
				return usageError(fmt.Errorf("%s: %w", path, err))
			}
			sides[i] = append(sides[i], r)
		}
	}
	list := bench.Compare(sides[0], sides[1], tolerance)
	if len(list) == 0 {
		return usageError(errors.New("the two have nothing in common: no search, and no valid trial at the same rate and size"))
	}
	t := table(w)
	fmt.Fprintln(t, "measure\tA\tB\tchange\t\t")
	worse := 0
	for _, c := range list {
		mark := ""
		if c.Regression {
			mark = "worse"
			worse++
		}
		change := fmt.Sprintf("%+.2f%%", 100*c.Change)
		if c.Unit == "" {
			change = fmt.Sprintf("%+.2f points", 100*c.Change)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t\n", c.What, estimated(c.A, c.Unit), estimated(c.B, c.Unit), change, mark)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if worse > 0 {
		fmt.Fprintf(w, "\n%d of %d measures are worse by more than %s\n", worse, len(list), showRatio(tolerance))
		return exitStatus(exitFailed)
	}
	fmt.Fprintf(w, "\nnothing is worse by more than %s\n", showRatio(tolerance))
	return nil
}

// estimated shows a mean, and the interval where there are repeats.
func estimated(e bench.Estimate, unit string) string {
	show := func(v float64) string {
		switch unit {
		case "ns":
			return rtt(uint64(max(v, 0)))
		case "":
			return percent(max(v, 0))
		}
		return si.Short(max(v, 0), unit)
	}
	if e.N < 2 {
		return show(e.Mean)
	}
	return fmt.Sprintf("%s (%s to %s)", show(e.Mean), show(e.Low), show(e.High))
}
