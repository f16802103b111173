// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// report is all that one run has found.
type report struct {
	Machine machine
	Commit  string
	Started time.Time
	Rows    []row
	Notes   []note
}

// note is what a group has to say beside its figures.
type note struct {
	Group string `json:"group"`
	Text  string `json:"text"`
}

// columns are the heads of a table of figures.
var columns = []string{"what", "measured", "min..max", "compared with", "ratio", "goal", "result"}

// cells is a figure as a line of a table.
func (r row) cells() []string {
	line := []string{r.What, withUnit(r.Value, r.Unit), spread(r.Rounds, r.Unit), "", "", r.Goal.text(r.Unit), r.verdict()}
	if r.Limit != "" {
		line[3] = r.Limit + " " + withUnit(r.LimitRounds.median(), r.Unit)
		line[4] = plain(r.Ratio)
	}
	return line
}

// writeTable prints the report: the machine, then one aligned line a figure,
// the groups apart, then what else is to be said.
func (r report) writeTable(w io.Writer) error {
	lines := [][]string{columns}
	group := ""
	for _, row := range r.Rows {
		if row.Group != group && len(lines) > 1 {
			lines = append(lines, nil)
		}
		group = row.Group
		lines = append(lines, row.cells())
	}
	_, err := fmt.Fprintf(w, "%s\n\n%s", r.Machine, align(lines))
	for _, n := range r.Notes {
		if err == nil {
			_, err = fmt.Fprintf(w, "\n%s: %s\n", n.Group, n.Text)
		}
	}
	return err
}

// spread shows the least and the largest round; nothing for a single one.
func spread(s series, unit string) string {
	if len(s) < 2 {
		return ""
	}
	show := plain
	if unit == perSecond {
		show = short
	}
	return show(slices.Min(s)) + ".." + show(slices.Max(s))
}

// align pads the cells of each column to the same width.
func align(lines [][]string) string {
	var widths []int
	for _, line := range lines {
		for k, cell := range line {
			if k == len(widths) {
				widths = append(widths, 0)
			}
			widths[k] = max(widths[k], len(cell))
		}
	}
	var text strings.Builder
	for _, line := range lines {
		var padded strings.Builder
		for k, cell := range line {
			fmt.Fprintf(&padded, "%-*s  ", widths[k], cell)
		}
		text.WriteString(strings.TrimRight(padded.String(), " "))
		text.WriteByte('\n')
	}
	return text.String()
}

// writeRounds prints every round of the rows whose name begins with prefix.
func (r report) writeRounds(w io.Writer, prefix string) error {
	var lines [][]string
	for _, row := range r.Rows {
		if !strings.HasPrefix(row.What, prefix) {
			continue
		}
		line := []string{"  " + row.What}
		for _, v := range row.Rounds {
			line = append(line, withUnit(v, row.Unit))
		}
		lines = append(lines, line)
	}
	if lines == nil {
		return nil
	}
	_, err := fmt.Fprintf(w, "\nevery round:\n%s", align(lines))
	return err
}
