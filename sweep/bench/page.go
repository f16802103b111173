// SPDX-License-Identifier: Apache-2.0

package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"xsweep/internal/si"
	"xsweep/loader"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"percent": showPercent, "ns": showNS, "rate": showCount[float64], "count": showCount[uint64], "goal": showGoal, "reason": (*Trial).remark,
	"nanos": func(v float64) string { return showNS(uint64(v)) }, "seconds": func(v float64) string { return fmt.Sprintf("%.3g s", v) },
	"refused": showRefused, "offloads": showOffloads, "coalescing": showCoalescing, "number": func(i int) int { return i + 1 },
	"lost": func(t TargetResult) uint64 { return t.Sent - min(t.Answered, t.Sent) },
}).Parse(pageText))

// WritePage writes the result as an HTML page of its own: it asks for nothing
// else, not from the network either.
func (r *Result) WritePage(w io.Writer) error {
	views := r.views()
	return page.Execute(w, map[string]any{
		"R": r, "Found": slices.Concat(r.NDR, r.PDR), "Targets": r.targets(), "Views": views, "Several": len(views) > 1, "Time": r.timeChart(), "TimeLatency": r.timeLatencyChart(),
		"Command": strings.Join(r.Command, " "), "Started": r.Started.Format(time.RFC3339), "Took": r.Ended.Sub(r.Started).Round(time.Second),
		"PerTarget": r.perTarget(), "Incomplete": r.Interrupted && !strings.HasPrefix(r.Verdict, "interrupted"),
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

func showLatency(v float64) string { return showNS(uint64(v + 0.5)) }

// showRate has three digits, as --rate takes them: 51.2k.
func showRate(v float64) string { return strings.ReplaceAll(si.Short(v, ""), " ", "") }

// showCount has all digits, in groups: 51,234.
func showCount[T uint64 | float64](v T) string {
	digits := fmt.Sprintf("%.0f", float64(v))
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func showRefused(refused map[string]uint64) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		words = append(words, fmt.Sprintf("%s %s", showCount(refused[name]), name))
	}
	if len(words) == 0 {
		return "0"
	}
	return strings.Join(words, ", ")
}

func showOffloads(offloads map[string]bool) string {
	var on, off []string
	for _, name := range slices.Sorted(maps.Keys(offloads)) {
		if offloads[name] {
			on = append(on, name)
		} else {
			off = append(off, name)
		}
	}
	var words []string
	if len(on) > 0 {
		words = append(words, "on: "+strings.Join(on, ", "))
	}
	if len(off) > 0 {
		words = append(words, "off: "+strings.Join(off, ", "))
	}
	return strings.Join(words, "; ")
}

func showCoalescing(c *loader.Coalescing) string {
	side := func(name string, adaptive bool, us, frames uint32) string {
		if adaptive {
			return name + " adaptive"
		}
		return fmt.Sprintf("%s %d µs or %d frames", name, us, frames)
	}
	return side("receive", c.AdaptiveRx, c.RxMicroseconds, c.RxFrames) + "; " + side("transmit", c.AdaptiveTx, c.TxMicroseconds, c.TxFrames)
}

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

// mostTargets is how many targets the page lists.
const mostTargets = 50

// perTarget are the targets of the last trial, if there are several.
func (r *Result) perTarget() []TargetResult {
	if len(r.Trials) == 0 {
		return nil
	}
	list := r.Trials[len(r.Trials)-1].Targets
	if len(list) < 2 {
		return nil
	}
	return list[:min(len(list), mostTargets)]
}

// remark is what the table of trials says of one beside its figures.
func (t *Trial) remark() string {
	var words []string
	if !t.Valid {
		words = append(words, "not valid: "+t.Reason)
	}
	if t.Burst > 0 {
		words = append(words, fmt.Sprintf("in bursts of %d", t.Burst))
	}
	if t.Recovery != nil {
		words = append(words, fmt.Sprintf("overloaded first; lost probes for %s after that", showNS(*t.Recovery)))
	}
	return strings.Join(words, "; ")
}

func (t *Trial) tip() string {
	text := fmt.Sprintf("%s/s for %.3g s: %s lost (%s of %s)", showCount(t.RateOffered), t.Duration, showPercent(t.LossRatio()), showCount(t.Lost), showCount(t.Sent))
	if t.RTT.Count > 0 {
		text += fmt.Sprintf(", p50 %s, p99 %s", showNS(t.RTT.P50), showNS(t.RTT.P99))
	}
	if !t.Valid {
		text += "; not valid: " + t.Reason
	}
	return text
}
