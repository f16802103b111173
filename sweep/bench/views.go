// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
)

// numbered is a trial with its place in the run, from 1 on.
type numbered struct {
	*Trial
	Number int
}

// view is what there is to see of one size of probes.
type view struct {
	Size  int
	found []Throughput
	// trials are in the order of the run.
	trials []numbered
	// Chosen are the trials whose latencies are shown in detail.
	Chosen []numbered
}

// views are those of each size, in the order of the run.
func (r *Result) views() []*view {
	var list []*view
	for i := range r.Trials {
		t := &r.Trials[i]
		at := slices.IndexFunc(list, func(v *view) bool { return v.Size == t.Size })
		if at < 0 {
			at = len(list)
			v := &view{Size: t.Size}
			for _, f := range slices.Concat(r.NDR, r.PDR) {
				if f.Size == t.Size {
					v.found = append(v.found, f)
				}
			}
			list = append(list, v)
		}
		list[at].trials = append(list[at].trials, numbered{t, i + 1})
	}
	for _, v := range list {
		v.Chosen = v.choose()
	}
	return list
}

// byLoad are the trials that sent something, by load.
func (v *view) byLoad(keep func(*Trial) bool) []numbered {
	var list []numbered
	for _, t := range v.trials {
		if t.Sent > 0 && keep(t.Trial) {
			list = append(list, t)
		}
	}
	slices.SortStableFunc(list, func(a, b numbered) int { return cmp.Compare(a.RateOffered, b.RateOffered) })
	return list
}

func (t *Trial) isValid() bool { return t.Valid }

// isMeasured says whether the trial has latencies that count.
func (t *Trial) isMeasured() bool { return t.Valid && t.RTT.Count > 0 }

// longest is how long the full-length trials are, in s.
func (v *view) longest() (seconds float64) {
	for _, t := range v.trials {
		seconds = max(seconds, t.Duration)
	}
	return seconds
}

// groups are valid trials whose loads are no further apart than a share of the
// highest, ascending. Of each group only the longest trials are kept.
func (v *view) groups(apart float64, keep func(*Trial) bool) (groups [][]numbered) {
	list := v.byLoad(keep)
	if len(list) == 0 {
		return nil
	}
	apart *= list[len(list)-1].RateOffered
	for _, t := range list {
		if n := len(groups); n > 0 && t.RateOffered-groups[n-1][0].RateOffered <= apart {
			groups[n-1] = append(groups[n-1], t)
			continue
		}
		groups = append(groups, []numbered{t})
	}
	for i, g := range groups {
		longest := slices.MaxFunc(g, func(a, b numbered) int { return cmp.Compare(a.Duration, b.Duration) }).Duration
		groups[i] = slices.DeleteFunc(g, func(t numbered) bool { return t.Duration < longest })
	}
	return groups
}

// median is that of a value of some trials.
func median(trials []numbered, value func(*Trial) float64) float64 {
	var list []float64
	for _, t := range trials {
		list = append(list, value(t.Trial))
	}
	slices.Sort(list)
	n := len(list)
	return (list[(n-1)/2] + list[n/2]) / 2
}

func loadOf(t *Trial) float64 { return t.RateOffered }

func lossOf(t *Trial) float64 { return 100 * t.LossRatio() }

func showLoss(v float64) string { return fmt.Sprintf("%.4g %%", v) }

// dots are the trials as dots, those with and without loss and those that are not
// valid each in a series.
func (v *view) dots(at func(numbered) (x, y float64, ok bool)) []series {
	all := []series{{name: "no loss", class: "good", shape: disc}, {name: "loss", class: "lossy", shape: diamond}, {name: "not valid", class: "bad", shape: cross}}
	full := v.longest()
	for _, t := range v.trials {
		x, y, ok := at(t)
		if !ok || t.Sent == 0 {
			continue
		}
		p := point{x: x, y: y, tip: fmt.Sprintf("trial %d, %s", t.Number, t.tip()), less: t.Duration < full}
		switch {
		case !t.Valid:
			all[2].points = append(all[2].points, p)
		case t.Lost > 0:
			all[1].points = append(all[1].points, p)
		default:
			all[0].points = append(all[0].points, p)
		}
	}
	return all
}

// note explains small dots if there are any.
func note(all []series) string {
	for _, s := range all {
		if slices.ContainsFunc(s.points, func(p point) bool { return p.less }) {
			return "small: shorter trials"
		}
	}
	return ""
}

// bounds are guides at what the search found, from the lower to the upper bound.
func (v *view) bounds() (list []guide) {
	for _, f := range v.found {
		if f.Lower > 0 {
			list = append(list, guide{at: float64(f.Lower), to: float64(f.Upper), label: showGoal(f.Goal)})
		}
	}
	return list
}

// Loss is the chart of loss against load; nothing if there is only one load.
func (v *view) Loss() template.HTML {
	through := series{name: "median", class: "thin", shape: plain}
	for _, g := range v.groups(0, (*Trial).isValid) {
		through.points = append(through.points, point{x: g[0].RateOffered, y: median(g, lossOf)})
	}
	if len(through.points) < 2 {
		return ""
	}
	dots := v.dots(func(t numbered) (float64, float64, bool) { return t.RateOffered, lossOf(t.Trial), true })
	return chart{
		title: "Loss against load", x: axis{label: "load, probes a second", show: showRate}, y: axis{label: "lost", show: showLoss},
		series: append([]series{through}, dots...), upright: v.bounds(), note: note(dots),
	}.html()
}

// Near is the same, close to what the search found.
func (v *view) Near() template.HTML {
	bounds := v.bounds()
	low, high, goal := math.Inf(1), 0.0, 0.0
	for i, m := range bounds {
		if m.to == 0 {
			return ""
		}
		low, high, goal = min(low, m.at), max(high, m.to), max(goal, 100*v.found[i].Goal)
	}
	if len(bounds) == 0 {
		return ""
	}
	room := 1.5 * (high - low)
	low, high = max(low-room, 0), high+room
	most := 2 * goal
	dots := v.dots(func(t numbered) (float64, float64, bool) {
		inside := t.RateOffered >= low && t.RateOffered <= high
		if inside && t.Valid {
			most = max(most, lossOf(t.Trial))
		}
		return t.RateOffered, lossOf(t.Trial), inside && t.Valid
	})
	var goals []guide
	for _, f := range v.found {
		if f.Goal > 0 {
			goals = append(goals, guide{at: 100 * f.Goal, label: "at most " + showPercent(f.Goal)})
		}
	}
	return chart{
		title: "Loss near the bounds", x: axis{label: "load, probes a second", low: low, high: high, show: showCount[float64]},
		y:      axis{label: "lost", low: 0, high: max(most, 1e-3) * 1.05, show: showLoss},
		series: dots, upright: bounds, level: goals, note: note(dots),
	}.html()
}

// Latency is the chart of latency against load; nothing if there is only one
// load. Loads that are closer together than dots can be are one.
func (v *view) Latency() template.HTML {
	groups := v.groups(0.012, (*Trial).isMeasured)
	if len(groups) < 2 {
		return ""
	}
	quantiles := []struct {
		name, class string
		of          func(*Trial) float64
	}{
		{"p50", "a", func(t *Trial) float64 { return float64(t.RTT.P50) }},
		{"p99", "b", func(t *Trial) float64 { return float64(t.RTT.P99) }},
		{"p99.9", "c", func(t *Trial) float64 { return float64(t.RTT.P999) }},
		{"p99 from the scheduled time", "d dashed", func(t *Trial) float64 { return float64(t.RTTScheduled.P99) }},
	}
	c := chart{
		title: "Latency against load", x: axis{label: "load, probes a second", show: showRate}, y: axis{label: "latency", log: true, show: showLatency},
		upright: v.bounds(),
	}
	for _, q := range quantiles {
		s := series{name: q.name, class: q.class}
		for _, g := range groups {
			load, value := median(g, loadOf), median(g, q.of)
			tip := fmt.Sprintf("%s/s: %s %s", showCount(load), q.name, showLatency(value))
			if len(g) > 1 {
				tip += fmt.Sprintf(", median of %d trials", len(g))
			}
			s.points = append(s.points, point{x: load, y: value, tip: tip})
		}
		c.series = append(c.series, s)
	}
	return c.html()
}

// choose takes the trials whose latencies are shown in detail: those for
// latencies behind a search, or some of a curve, evenly.
func (v *view) choose() []numbered {
	const most = 4
	list := v.byLoad(func(t *Trial) bool {
		return t.isMeasured() && (strings.HasPrefix(t.Purpose, "latency") || t.Purpose == "")
	})
	if len(list) <= most {
		return list
	}
	var some []numbered
	for i := range most {
		some = append(some, list[i*(len(list)-1)/(most-1)])
	}
	return some
}

// Percentiles is the chart of latency by percentile, with HdrHistogram's axis:
// the logarithm of what is left to 100 %.
func (v *view) Percentiles() template.HTML {
	classes := []string{"a", "b", "c", "d"}
	c := chart{
		title: "Latency by percentile",
		x: axis{label: "percentile", log: true, decades: true, show: func(x float64) string {
			return fmt.Sprintf("%.12g %%", 100*(1-1/x))
		}},
		y:    axis{label: "latency", log: true, show: showLatency},
		note: "dashed: from the scheduled time",
	}
	for i, t := range v.Chosen {
		for _, l := range []struct {
			*Latency
			name, class, from string
		}{
			{&t.RTT, showCount(t.RateOffered) + "/s", classes[i], "sent"},
			{&t.RTTScheduled, "", classes[i] + " dashed", "scheduled"},
		} {
			s := series{name: l.name, class: l.class, shape: plain}
			for _, p := range l.Percentiles() {
				left := 1 - p.Share
				if left <= 0 { // the last one's share of the axis
					left = 1 / float64(max(l.Count, 1))
				}
				tip := fmt.Sprintf("%s/s: %.6g %% within %s from %s", showCount(t.RateOffered), 100*p.Share, showLatency(p.NS), l.from)
				s.points = append(s.points, point{x: 1 / left, y: p.NS, tip: tip})
			}
			if len(s.points) > 0 {
				c.series = append(c.series, s)
			}
		}
	}
	if len(c.series) == 0 {
		return ""
	}
	return c.html()
}

// Path is the chart of the loads that a search tried, one after the other.
func (v *view) Path() template.HTML {
	through := series{class: "thin", shape: plain}
	dots := v.dots(func(t numbered) (float64, float64, bool) {
		if t.Purpose != "search" || t.Sent == 0 {
			return 0, 0, false
		}
		through.points = append(through.points, point{x: float64(t.Number), y: t.RateOffered})
		return float64(t.Number), t.RateOffered, true
	})
	if len(through.points) == 0 {
		return ""
	}
	return chart{
		title: "The search's path", x: axis{label: "trial", whole: true, show: showCount[float64]}, y: axis{label: "load, probes a second", log: true, show: showRate},
		series: append([]series{through}, dots...), level: v.bounds(), note: note(dots),
	}.html()
}

// longestTrial is the one with the most seconds, nil if there are less than two.
func (r *Result) longestTrial() *Trial {
	var longest *Trial
	for i := range r.Trials {
		if t := &r.Trials[i]; longest == nil || len(t.Seconds) > len(longest.Seconds) {
			longest = t
		}
	}
	if longest == nil || len(longest.Seconds) < 2 {
		return nil
	}
	return longest
}

// timeChart is what was sent and answered in each second of the longest trial. Of
// the last one, which is no whole one, no rate can be told.
func (r *Result) timeChart() template.HTML {
	longest := r.longestTrial()
	if longest == nil {
		return ""
	}
	sent, answered := series{name: "sent", class: "thick", shape: plain}, series{name: "answered", class: "a"}
	before := 0.0
	for _, s := range longest.Seconds {
		length := s.At - before
		before = s.At
		if math.Abs(length-1) > 0.1 {
			continue
		}
		tip := fmt.Sprintf("%.0f s: %s sent, %s answered", s.At, showCount(s.Sent), showCount(s.Answered))
		if s.Lost != nil {
			tip += fmt.Sprintf(", %s lost", showCount(*s.Lost))
		}
		sent.points = append(sent.points, point{x: s.At, y: float64(s.Sent) / length})
		answered.points = append(answered.points, point{x: s.At, y: float64(s.Answered) / length, tip: tip})
	}
	if len(sent.points) < 2 {
		return ""
	}
	return chart{
		title: "Seconds of the longest trial", x: secondsAxis,
		y: axis{label: "probes a second", show: showRate}, series: []series{sent, answered},
	}.html()
}

var secondsAxis = axis{label: "seconds since the first probe that counts", whole: true, show: showCount[float64]}

// timeLatencyChart is the latency in each second of the longest trial.
func (r *Result) timeLatencyChart() template.HTML {
	longest := r.longestTrial()
	if longest == nil {
		return ""
	}
	all := []series{{name: "p50", class: "a"}, {name: "p99", class: "b"}, {name: "maximum", class: "c"}}
	before := 0.0
	for _, s := range longest.Seconds {
		length := s.At - before
		before = s.At
		if s.P50 == 0 || length < 0.25 { // too little of a second to stand beside the others
			continue
		}
		for i, v := range []uint64{s.P50, s.P99, s.Max} {
			tip := fmt.Sprintf("%.3g s: %s %s", s.At, all[i].name, showNS(v))
			all[i].points = append(all[i].points, point{x: s.At, y: float64(v), tip: tip})
		}
	}
	if len(all[0].points) < 2 {
		return ""
	}
	return chart{title: "Latency in the longest trial", x: secondsAxis, y: axis{label: "latency", log: true, show: showLatency}, series: all}.html()
}
