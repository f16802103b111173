// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// A chart's size in pixels, and what its axes take of it.
const (
	chartWidth, chartHeight = 860, 320
	chartLeft, chartRight   = 76, 36
	chartTop, chartBottom   = 16, 48
)

// point is one of a series.
type point struct {
	x, y float64
	tip  string // shown where the pointer rests on it; empty: no dot
}

// series is a line, or dots alone.
type series struct {
	name   string
	class  string // of the style sheet: a, b, c, bad
	points []point
	dots   bool // without a line
}

// axis maps values to pixels.
type axis struct {
	label    string
	low      float64
	high     float64
	log      bool
	from, to float64 // pixels
	show     func(float64) string
}

func (a *axis) at(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log10(max(v, a.low)), math.Log10(low), math.Log10(high)
	}
	if high == low {
		return (a.from + a.to) / 2
	}
	return a.from + (v-low)/(high-low)*(a.to-a.from)
}

// ticks are round values along the axis.
func (a *axis) ticks() []float64 {
	var list []float64
	if a.log {
		for decade := math.Floor(math.Log10(a.low)); decade <= math.Log10(a.high)+1e-9; decade++ {
			if v := math.Pow(10, decade); v >= a.low*0.999 {
				list = append(list, v)
			}
		}
		return list
	}
	span := a.high - a.low
	if span <= 0 {
		return []float64{a.low}
	}
	step := math.Pow(10, math.Floor(math.Log10(span/4)))
	for _, m := range []float64{1, 2, 5, 10} {
		if span/(step*m) <= 6 {
			step *= m
			break
		}
	}
	for v := math.Ceil(a.low/step) * step; v <= a.high*1.0001; v += step {
		list = append(list, v)
	}
	return list
}

// fit sets the axis' ends so that all values are between.
func (a *axis) fit(all []series, value func(point) float64) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, s := range all {
		for _, p := range s.points {
			v := value(p)
			if a.log && v <= 0 {
				continue
			}
			low, high = min(low, v), max(high, v)
		}
	}
	switch {
	case math.IsInf(low, 1):
		a.low, a.high = 1, 10
	case a.log:
		a.low, a.high = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)+1e-9))
		if a.low == a.high {
			a.high *= 10
		}
	default:
		a.low, a.high = min(low, 0), high*1.05
		if a.high <= a.low {
			a.high = a.low + 1
		}
	}
}

// chart draws series over two axes as SVG.
func chart(title string, x, y axis, all ...series) template.HTML {
	x.from, x.to = chartLeft, chartWidth-chartRight
	y.from, y.to = chartHeight-chartBottom, chartTop
	if x.high == 0 {
		x.fit(all, func(p point) float64 { return p.x })
	}
	if y.high == 0 {
		y.fit(all, func(p point) float64 { return p.y })
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, chartWidth, chartHeight, escape(title))
	for _, v := range x.ticks() {
		at := x.at(v)
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/><text class="tick" x="%.1f" y="%d" text-anchor="middle">%s</text>`,
			at, chartTop, at, chartHeight-chartBottom, at, chartHeight-chartBottom+16, escape(x.show(v)))
	}
	for _, v := range y.ticks() {
		at := y.at(v)
		fmt.Fprintf(&b, `<line class="grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/><text class="tick" x="%d" y="%.1f" text-anchor="end">%s</text>`,
			chartLeft, at, chartWidth-chartRight, at, chartLeft-6, at+4, escape(y.show(v)))
	}
	fmt.Fprintf(&b, `<text class="label" x="%d" y="%d" text-anchor="middle">%s</text>`, (chartLeft+chartWidth-chartRight)/2, chartHeight-8, escape(x.label))
	fmt.Fprintf(&b, `<text class="label" transform="translate(14 %d) rotate(-90)" text-anchor="middle">%s</text>`, (chartTop+chartHeight-chartBottom)/2, escape(y.label))
	for _, s := range all {
		s.draw(&b, &x, &y)
	}
	b.WriteString("</svg>")
	b.WriteString(legend(all))
	return template.HTML(b.String())
}

func (s *series) draw(b *strings.Builder, x, y *axis) {
	if !s.dots && len(s.points) > 1 {
		fmt.Fprintf(b, `<polyline class="line %s" points="`, s.class)
		for _, p := range s.points {
			fmt.Fprintf(b, "%.1f,%.1f ", x.at(p.x), y.at(p.y))
		}
		b.WriteString(`"/>`)
	}
	for _, p := range s.points {
		if p.tip != "" {
			fmt.Fprintf(b, `<circle class="dot %s" cx="%.1f" cy="%.1f" r="4"><title>%s</title></circle>`, s.class, x.at(p.x), y.at(p.y), escape(p.tip))
		}
	}
}

func legend(all []series) string {
	if len(all) < 2 {
		return ""
	}
	var b strings.Builder
	b.WriteString(`<p class="legend">`)
	for _, s := range all {
		if len(s.points) > 0 {
			fmt.Fprintf(&b, `<span class="%s">%s</span> `, s.class, escape(s.name))
		}
	}
	b.WriteString("</p>")
	return b.String()
}

func escape(text string) string { return template.HTMLEscapeString(text) }
