// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// The report as JSON. What is not there is left out. The performance page and
// the README's block are made from nothing else.
type (
	jsonReport struct {
		Machine machine   `json:"machine"`
		Commit  string    `json:"commit"`
		Started time.Time `json:"started"`
		Figures []jsonRow `json:"figures"`
		Notes   []note    `json:"notes,omitempty"`
	}
	jsonRow struct {
		Group   string     `json:"group"`
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
	j := jsonReport{Machine: r.Machine, Commit: r.Commit, Started: r.Started.UTC().Truncate(time.Second), Figures: []jsonRow{}, Notes: r.Notes}
	for _, row := range r.Rows {
		// Cannot be shown in JSON, and would mean that nothing was measured.
		if math.IsNaN(row.Value) || math.IsInf(row.Value, 0) {
			return nil, fmt.Errorf("%s: the figure is %v", row.What, row.Value)
		}
		figure := jsonRow{Group: row.Group, What: row.What, Unit: row.Unit, Value: row.Value, Rounds: row.Rounds, Verdict: row.verdict()}
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

// decodeReport reads a report back.
func decodeReport(encoded []byte) (report, error) {
	var j jsonReport
	if err := json.Unmarshal(encoded, &j); err != nil {
		return report{}, fmt.Errorf("decode the report: %w", err)
	}
	r := report{Machine: j.Machine, Commit: j.Commit, Started: j.Started, Notes: j.Notes}
	for _, f := range j.Figures {
		row := row{Group: f.Group, What: f.What, Unit: f.Unit, Value: f.Value, Rounds: f.Rounds, Ratio: math.NaN()}
		if l := f.Limit; l != nil {
			row.Limit, row.LimitRounds, row.Ratio = l.What, l.Rounds, l.Ratio
		}
		if g := f.Goal; g != nil {
			row.Goal = &goal{OfRatio: g.Of == "ratio", Least: g.Sense == ">=", Bound: g.Bound, Aim: g.Aim}
		}
		r.Rows = append(r.Rows, row)
	}
	return r, nil
}
