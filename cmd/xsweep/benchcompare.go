// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"xsweep/internal/si"
	"xsweep/sweep/bench"
)

const compareHelp = `Put two benchmarks side by side, as --summary wrote them: A is what was before, B
what is now. Each side may be several files with commas between, repeats of the
same: then means are compared, with confidence intervals of 95 %.

What is worse in B than in A by more than --tolerance is a regression, unless the
intervals overlap. Loss is compared in points: 5% allows 5 probes of 100 more. It
is a regression as well if a search of B found nothing where A's did, or if B has
no valid trial at a load where it tried, or if B was interrupted or failed. Loads
that only one side has are listed, and do not count.

Exit status: 0 no regression; 1 a regression; 2 bad usage or input, or nothing in
common.`

func newCompareCommand(env *environment) *cobra.Command {
	tolerance, format := 0.05, "text"
	c := &cobra.Command{
		Use:     "compare [flags] A.json B.json",
		Short:   "Compare two benchmarks",
		Long:    compareHelp,
		Example: "  xsweep bench compare before.json after.json --tolerance 3%\n  xsweep bench compare a1.json,a2.json,a3.json b1.json,b2.json,b3.json\n  xsweep bench compare --format json before.json after.json",

		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return compareBenches(env.stdout, args, tolerance, format)
		},
	}
	c.Flags().Var(flagValue[float64]{&tolerance, parseRatio, showRatio, "ratio"}, "tolerance", "how much worse B may be")
	c.Flags().StringVar(&format, "format", format, "what goes to standard output: text or json")
	return c
}

// side is one side of a comparison.
type side struct {
	Files   []string `json:"files"`
	results []*bench.Result
}

func readSide(arg string) (s side, err error) {
	for path := range strings.SplitSeq(arg, ",") {
		text, err := os.ReadFile(path)
		if err != nil {
			return s, err
		}
		r, err := bench.ReadResult(text)
		if err != nil {
			return s, fmt.Errorf("%s: %w", path, err)
		}
		s.Files, s.results = append(s.Files, path), append(s.results, r)
	}
	return s, nil
}

func compareBenches(w io.Writer, args []string, tolerance float64, format string) error {
	switch {
	case len(args) != 2:
		return usageError(errors.New("name two summaries to compare: those of before and after"))
	case format != "text" && format != "json":
		return usageError(fmt.Errorf("--format %q: must be text or json", format))
	}
	a, err := readSide(args[0])
	if err != nil {
		return usageError(err)
	}
	b, err := readSide(args[1])
	if err != nil {
		return usageError(err)
	}
	c := bench.Compare(a.results, b.results, tolerance)
	if inCommon(&c) == 0 && c.Passed() {
		return usageError(errors.New("the two have nothing in common: no search, and no valid trial at the same rate and size"))
	}
	if format == "json" {
		err = writeComparison(w, a, b, &c)
	} else {
		err = printComparison(w, a, b, &c)
	}
	if err == nil && !c.Passed() {
		return exitStatus(exitFailed)
	}
	return err
}

// inCommon is how many measures both sides have, or B should have.
func inCommon(c *bench.Compared) (n int) {
	for _, m := range c.Measures {
		if m.Outcome != bench.OnlyA && m.Outcome != bench.OnlyB {
			n++
		}
	}
	return n
}

// writeComparison writes the comparison for programs.
func writeComparison(w io.Writer, a, b side, c *bench.Compared) error {
	text, err := json.MarshalIndent(struct {
		Passed bool `json:"passed"`
		A      side `json:"a"`
		B      side `json:"b"`
		*bench.Compared
	}{c.Passed(), a, b, c}, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// printComparison prints it for people.
func printComparison(w io.Writer, a, b side, c *bench.Compared) error {
	out := bufio.NewWriter(w)
	printSide(out, "A", a)
	printSide(out, "B", b)
	fmt.Fprintln(out)
	rows := [][]string{{"measure", "A", "B", "change", "outcome"}}
	for _, m := range c.Measures {
		outcome := string(m.Outcome)
		if m.Remark != "" {
			outcome += " (" + m.Remark + ")"
		}
		rows = append(rows, []string{m.What, estimated(m.A, m.Unit), estimated(m.B, m.Unit), changed(&m), outcome})
	}
	printRows(out, rows)
	fmt.Fprintln(out)
	for _, note := range c.Notes {
		fmt.Fprintf(out, "note: %s\n", note)
	}
	worse, missing := 0, 0
	for _, m := range c.Measures {
		switch {
		case m.Outcome == bench.Worse:
			worse++
		case m.Outcome.Regression():
			missing++
		}
	}
	if worse > 0 {
		fmt.Fprintf(out, "%d of %d measures are worse by more than %s\n", worse, inCommon(c), showRatio(c.Tolerance))
	}
	if missing > 0 {
		fmt.Fprintf(out, "%d of %d measures are missing in B, or not valid there\n", missing, inCommon(c))
	}
	for _, problem := range c.Problems {
		fmt.Fprintln(out, problem)
	}
	if c.Passed() {
		fmt.Fprintf(out, "nothing is worse by more than %s\n", showRatio(c.Tolerance))
	}
	return out.Flush()
}

func printSide(w io.Writer, name string, s side) {
	var words []string
	for i, path := range s.Files {
		if at := s.results[i].Started; !at.IsZero() {
			path += " (" + at.Format(time.RFC3339) + ")"
		}
		words = append(words, path)
	}
	fmt.Fprintf(w, "%s: %s\n", name, strings.Join(words, ", "))
}

// printRows prints a table whose first and last columns are words, and the others
// figures.
func printRows(w io.Writer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			room := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			switch i {
			case 0, len(row) - 1:
				line.WriteString(cell + room + "  ")
			default:
				line.WriteString(room + cell + "  ")
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

func changed(m *bench.Comparison) string {
	switch {
	case m.A.N == 0 || m.B.N == 0:
		return "-"
	case m.Unit == "":
		return fmt.Sprintf("%+.2f points", 100*m.Change)
	}
	return fmt.Sprintf("%+.2f%%", 100*m.Change)
}

// estimated shows a mean, and how far its interval reaches where there are
// repeats.
func estimated(e bench.Estimate, unit string) string {
	show := func(v float64) string {
		switch unit {
		case "ns":
			return rtt(uint64(v))
		case "":
			return percent(v)
		}
		return si.Short(v, unit)
	}
	switch e.N {
	case 0:
		return "-"
	case 1:
		return show(e.Mean)
	}
	return show(e.Mean) + " ± " + show(e.High-e.Mean)
}
