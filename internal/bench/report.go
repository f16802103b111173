// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// report is all that one run has found.
type report struct {
	Machine machine
	Started time.Time
	Rows    []row
}

// writeTable prints the report: the machine, then one aligned line a figure.
func (r report) writeTable(w io.Writer) error {
	lines := [][]string{{"what", "measured", "min..max", "compared with", "ratio", "goal", "result"}}
	for _, row := range r.Rows {
		line := []string{row.What, withUnit(row.Value, row.Unit), spread(row.Rounds, row.Unit), "", "", row.Goal.text(row.Unit), row.verdict()}
		if row.Limit != "" {
			line[3] = row.Limit + " " + withUnit(row.LimitRounds.median(), row.Unit)
			line[4] = plain(row.Ratio)
		}
		lines = append(lines, line)
	}
	_, err := fmt.Fprintf(w, "%s\n\n%s", r.Machine, align(lines))
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

// The report as JSON. What is not there is left out.
type (
	jsonReport struct {
		Machine machine   `json:"machine"`
		Started time.Time `json:"started"`
		Figures []jsonRow `json:"figures"`
	}
	jsonRow struct {
		What    string     `json:"what"`
		Unit    string     `json:"unit"`
		Value   float64    `json:"value"`
		Rounds  series     `json:"rounds"`
		Limit   *jsonLimit `json:"limit,omitempty"`
		Goal    *jsonGoal  `json:"goal,omitempty"`
		Verdict string     `json:"verdict,omitempty"`
	}
	jsonLimit struct {
		What   string  `json:"what"`
		Value  float64 `json:"value"`
		Rounds series  `json:"rounds"`
		Ratio  float64 `json:"ratio"`
	}
	jsonGoal struct {
		Of    string  `json:"of"`    // "value" or "ratio"
		Sense string  `json:"sense"` // "<=" or ">="
		Bound float64 `json:"bound"`
		Aim   float64 `json:"aim,omitempty"`
	}
)

// encode gives the report as indented JSON with a line feed at its end.
func (r report) encode() ([]byte, error) {
	j := jsonReport{Machine: r.Machine, Started: r.Started.UTC(), Figures: []jsonRow{}}
	for _, row := range r.Rows {
		// Cannot be shown in JSON, and would mean that nothing was measured.
		if math.IsNaN(row.Value) || math.IsInf(row.Value, 0) {
			return nil, fmt.Errorf("%s: the figure is %v", row.What, row.Value)
		}
		figure := jsonRow{What: row.What, Unit: row.Unit, Value: row.Value, Rounds: row.Rounds, Verdict: row.verdict()}
		if row.Limit != "" {
			figure.Limit = &jsonLimit{What: row.Limit, Value: row.LimitRounds.median(), Rounds: row.LimitRounds, Ratio: row.Ratio}
		}
		if g := row.Goal; g != nil {
			figure.Goal = &jsonGoal{Of: "value", Sense: "<=", Bound: g.Bound, Aim: g.Aim}
			if g.OfRatio {
				figure.Goal.Of = "ratio"
			}
			if g.Least {
				figure.Goal.Sense = ">="
			}
		}
		j.Figures = append(j.Figures, figure)
	}
	b, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the report: %w", err)
	}
	return append(b, '\n'), nil
}
