// SPDX-License-Identifier: Apache-2.0

package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"xsweep/internal/si"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"percent": showPercent, "ns": showNS, "rate": func(v float64) string { return fmt.Sprintf("%.0f", v) },
	"nanos": func(v float64) string { return showNS(uint64(v)) }, "goal": showGoal,
}).Parse(pageText))

// WritePage writes the result as an HTML page of its own: it asks for nothing
// else, not from the network either.
func (r *Result) WritePage(w io.Writer) error {
	return page.Execute(w, map[string]any{
		"R": r, "Found": slices.Concat(r.NDR, r.PDR), "Targets": r.targets(),
		"Loss": r.lossChart(), "Latency": r.latencyChart(), "Percentiles": r.percentileChart(), "Time": r.timeChart(), "Path": r.pathChart(),
		"Command": strings.Join(r.Command, " "), "Started": r.Started.Format(time.RFC3339), "Took": r.Ended.Sub(r.Started).Round(time.Second),
	})
}

func showPercent(ratio float64) string { return fmt.Sprintf("%.3g %%", 100*ratio) }

func showGoal(loss float64) string {
	if loss == 0 {
		return "NDR"
	}
	return "PDR " + showPercent(loss)
}

func showNS(ns uint64) string {
	switch v := float64(ns); {
	case ns >= 1e9:
		return fmt.Sprintf("%.3g s", v/1e9)
	case ns >= 1e6:
		return fmt.Sprintf("%.3g ms", v/1e6)
	case ns >= 1e3:
		return fmt.Sprintf("%.3g µs", v/1e3)
	}
	return fmt.Sprintf("%d ns", ns)
}

func showRate(v float64) string { return si.Short(v, "") }

func (r *Result) targets() string {
	if len(r.Trials) == 0 {
		return ""
	}
	var words []string
	for i, t := range r.Trials[0].Targets {
		if i == 5 {
			words = append(words, fmt.Sprintf("and %d more", len(r.Trials[0].Targets)-i))
			break
		}
		words = append(words, t.Addr.String())
	}
	return strings.Join(words, ", ")
}

// byLoad are the trials in the order of their loads, valid ones or the others.
func (r *Result) byLoad(valid bool) []*Trial {
	var list []*Trial
	for i := range r.Trials {
		if t := &r.Trials[i]; t.Valid == valid && t.Sent > 0 {
			list = append(list, t)
		}
	}
	slices.SortStableFunc(list, func(a, b *Trial) int {
		switch {
		case a.RateOffered < b.RateOffered:
			return -1
		case a.RateOffered > b.RateOffered:
			return 1
		}
		return 0
	})
	return list
}

func (t *Trial) tip() string {
	return fmt.Sprintf("%.0f/s: %s lost (%d of %d), p50 %s, p99 %s", t.RateOffered, showPercent(t.LossRatio()), t.Lost, t.Sent, showNS(t.RTT.P50), showNS(t.RTT.P99))
}

func (r *Result) lossChart() template.HTML {
	lost, bad := series{name: "valid trials", class: "a"}, series{name: "not valid", class: "bad", dots: true}
	for _, t := range r.byLoad(true) {
		lost.points = append(lost.points, point{t.RateOffered, 100 * t.LossRatio(), t.tip()})
	}
	for _, t := range r.byLoad(false) {
		bad.points = append(bad.points, point{t.RateOffered, 100 * t.LossRatio(), t.tip() + "; " + t.Reason})
	}
	return chart("Loss against load", axis{label: "load, probes a second", show: showRate}, axis{label: "lost, %", show: func(v float64) string { return fmt.Sprintf("%.3g", v) }}, lost, bad)
}

func (r *Result) latencyChart() template.HTML {
	quantiles := []series{{name: "p50", class: "a"}, {name: "p99", class: "b"}, {name: "p99.9", class: "c"}, {name: "p99, scheduled", class: "d"}}
	for _, t := range r.byLoad(true) {
		if t.RTT.Count == 0 {
			continue
		}
		for i, v := range []uint64{t.RTT.P50, t.RTT.P99, t.RTT.P999, t.RTTScheduled.P99} {
			quantiles[i].points = append(quantiles[i].points, point{t.RateOffered, float64(v), t.tip()})
		}
	}
	return chart("Latency against load", axis{label: "load, probes a second", show: showRate},
		axis{label: "latency", log: true, show: func(v float64) string { return showNS(uint64(v)) }}, quantiles...)
}

// percentileChart has a logarithmic axis of what is left to 100 %, as
// HdrHistogram's plotter does.
func (r *Result) percentileChart() template.HTML {
	var all []series
	classes := []string{"a", "b", "c", "d"}
	var chosen []*Trial
	for _, t := range r.byLoad(true) {
		if t.RTT.Count > 0 && (strings.HasPrefix(t.Purpose, "latency") || t.Purpose == "") {
			chosen = append(chosen, t)
		}
	}
	if len(chosen) > len(classes) { // evenly of a curve
		var some []*Trial
		for i := range classes {
			some = append(some, chosen[i*(len(chosen)-1)/(len(classes)-1)])
		}
		chosen = some
	}
	for i, t := range chosen {
		s := series{name: fmt.Sprintf("%.0f/s", t.RateOffered), class: classes[i]}
		for _, p := range t.RTT.Percentiles() {
			left := 1 - p.Share
			if left <= 0 {
				left = 0.5 / float64(max(t.RTT.Count, 1))
			}
			s.points = append(s.points, point{x: 1 / left, y: p.NS})
		}
		all = append(all, s)
	}
	show := func(v float64) string { return fmt.Sprintf("%.12g %%", 100*(1-1/v)) }
	return chart("Latency by percentile", axis{label: "percentile", log: true, show: show},
		axis{label: "latency from the send stamp", show: func(v float64) string { return showNS(uint64(v)) }}, all...)
}

// timeChart is of the longest trial.
func (r *Result) timeChart() template.HTML {
	var longest *Trial
	for i := range r.Trials {
		if t := &r.Trials[i]; longest == nil || len(t.Seconds) > len(longest.Seconds) {
			longest = t
		}
	}
	if longest == nil || len(longest.Seconds) < 2 {
		return ""
	}
	sent, answered := series{name: "sent", class: "b"}, series{name: "answered", class: "a"}
	before := 0.0
	for _, s := range longest.Seconds {
		length := s.At - before
		before = s.At
		sent.points = append(sent.points, point{x: s.At, y: float64(s.Sent) / length})
		answered.points = append(answered.points, point{s.At, float64(s.Answered) / length, fmt.Sprintf("%.0f s: %d sent, %d answered", s.At, s.Sent, s.Answered)})
	}
	return chart("Seconds of the longest trial", axis{label: "seconds", show: showRate}, axis{label: "a second", show: showRate}, sent, answered)
}

func (r *Result) pathChart() template.HTML {
	good, lossy, bad := series{name: "no loss", class: "a", dots: true}, series{name: "loss", class: "b", dots: true}, series{name: "not valid", class: "bad", dots: true}
	number := 0.0
	for i := range r.Trials {
		t := &r.Trials[i]
		if t.Purpose != "search" {
			continue
		}
		number++
		p := point{number, t.RateOffered, fmt.Sprintf("trial %.0f, %.3g s at %s", number, t.Duration, t.tip())}
		switch {
		case !t.Valid:
			bad.points = append(bad.points, p)
		case t.Lost > 0:
			lossy.points = append(lossy.points, p)
		default:
			good.points = append(good.points, p)
		}
	}
	if number == 0 {
		return ""
	}
	return chart("The search's path", axis{label: "trial", show: showRate}, axis{label: "load, probes a second", log: true, show: showRate}, good, lossy, bad)
}
