// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// canvas is a size that a chart is drawn in. Each chart is drawn for wide and for
// narrow screens, of which the style sheet shows one: scaled down, the text of a
// wide one could not be read.
type canvas struct {
	class         string
	width, height float64 // of the view box; its text is textSize high
}

var canvases = []canvas{{"broad", 860, 320}, {"slim", 420, 320}}

// Text is placed by estimate, a little more than what wide fonts take; the style
// sheet has the same size.
const (
	textSize    = 12.0
	textAdvance = 7.8 // a character's width
	textGap     = 14.0
	tickGap     = 60.0 // of ticks, however short their labels are
)

func textWidth(text string) float64 { return textAdvance * float64(utf8.RuneCountInString(text)) }

// What the plot leaves free above and below.
const plotTop, plotBottom = 28.0, 46.0

// point is one of a series.
type point struct {
	x, y float64
	tip  string // shown where the pointer rests on it; empty: no dot
	less bool   // a smaller dot
}

// series is a line with dots, or dots alone. How it looks says its class in the
// style sheet; dots are of a shape each, so that not colour alone tells them.
type series struct {
	name   string
	class  string
	points []point
	shape  shape
}

type shape int

const (
	line    shape = iota // with round dots
	plain                // a line, dots where the pointer finds them
	disc                 // dots without a line
	diamond              // as well
	cross                // as well
)

// guide is a value that is drawn across the plot, or a range of them.
type guide struct {
	at    float64
	to    float64 // 0: no range
	label string
}

// axis maps values to pixels. With high unset it is fitted to the values.
type axis struct {
	label     string
	low, high float64
	log       bool
	decades   bool // of a logarithmic one: ticks at powers of ten alone, ends where the values do
	whole     bool // of a linear one: ticks at whole numbers alone
	show      func(float64) string
	from, to  float64 // pixels
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

// steps are the mantissas of round numbers.
var steps = []float64{1, 2, 5}

// ticks are round values along the axis: as many as fits says have room.
func (a *axis) ticks(fits func([]float64) bool) []float64 {
	if a.high <= a.low {
		return []float64{a.low}
	}
	var list []float64
	for rough := 0; rough < 100; rough++ {
		if list = a.roundValues(rough); fits(list) {
			break
		}
	}
	return list
}

// roundValues are round values between the ends; the rougher, the fewer.
func (a *axis) roundValues(rough int) (list []float64) {
	const tolerance = 1e-9
	if a.log {
		mantissas, every := steps, 1
		if rough > 0 || a.decades {
			mantissas, every = steps[:1], max(rough, 1)
		}
		for decade := int(math.Floor(math.Log10(a.low) + tolerance)); decade <= int(math.Log10(a.high)+tolerance); decade += every {
			for _, m := range mantissas {
				if v := m * math.Pow10(decade); v >= a.low*(1-tolerance) && v <= a.high*(1+tolerance) {
					list = append(list, v)
				}
			}
		}
		return list
	}
	span := a.high - a.low
	finest := int(math.Floor(math.Log10(span/20))) * len(steps)
	n := finest + rough
	decade := int(math.Floor(float64(n) / float64(len(steps))))
	step := steps[n-decade*len(steps)] * math.Pow10(decade)
	if a.whole {
		step = max(step, 1)
	}
	for i := math.Ceil(a.low/step - tolerance); i*step <= a.high+span*tolerance; i++ {
		list = append(list, i*step+0) // never -0
	}
	return list
}

// apart says whether the labels of values find room side by side.
func (a *axis) apart(values []float64) bool {
	last, end := math.Inf(-1), math.Inf(-1)
	for _, v := range values {
		at, half := a.at(v), textWidth(a.show(v))/2
		if at-half < end+textGap || at-last < tickGap {
			return false
		}
		last, end = at, at+half
	}
	return true
}

// stacked says whether they do one above the other.
func (a *axis) stacked(values []float64) bool {
	for i := 1; i < len(values); i++ {
		if math.Abs(a.at(values[i])-a.at(values[i-1])) < 2.2*textSize {
			return false
		}
	}
	return true
}

// fit sets the axis' ends so that all values are between.
func (a *axis) fit(all []series, value func(point) float64) {
	if a.high != 0 {
		return
	}
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
	case a.decades:
		a.low, a.high = low, max(high, 10*low)
	case a.log:
		a.low, a.high = roundDown(low), roundUp(high)
		if a.low == a.high {
			a.high = roundUp(a.high * 1.01)
		}
	default:
		a.low, a.high = min(low, 0), high*1.05
		if a.high <= a.low {
			a.high = a.low + 1
		}
	}
}

// roundDown and roundUp are the round numbers next to one.
func roundDown(v float64) float64 {
	decade := math.Pow10(int(math.Floor(math.Log10(v) + 1e-9)))
	best := decade
	for _, m := range steps {
		if m*decade <= v*(1+1e-9) {
			best = m * decade
		}
	}
	return best
}

func roundUp(v float64) float64 {
	decade := math.Pow10(int(math.Floor(math.Log10(v) + 1e-9)))
	for _, m := range steps {
		if m*decade >= v*(1-1e-9) {
			return m * decade
		}
	}
	return 10 * decade
}

// chart is series over two axes.
type chart struct {
	title   string
	x, y    axis
	series  []series
	upright []guide
	level   []guide
	note    string // behind the legend
}

// html is the chart as SVG, once for each canvas, and its legend.
func (c chart) html() template.HTML {
	c.x.fit(c.series, func(p point) float64 { return p.x })
	c.y.fit(c.series, func(p point) float64 { return p.y })
	var b strings.Builder
	b.WriteString("<figure>")
	for _, size := range canvases {
		c.draw(&b, size)
	}
	c.legend(&b)
	b.WriteString("</figure>")
	return template.HTML(b.String())
}

func (c *chart) draw(b *strings.Builder, size canvas) {
	x, y := c.x, c.y
	bottom := size.height - plotBottom
	y.from, y.to = bottom, plotTop
	levels := y.ticks(y.stacked)
	x.from, x.to = 0, size.width-10
	for _, v := range levels {
		x.from = max(x.from, textWidth(y.show(v))+10)
	}
	// The last label stands half outside of the plot.
	x.to -= textWidth(x.show(x.high)) / 2
	fmt.Fprintf(b, `<svg class="%s" viewBox="0 0 %g %g" role="img" aria-label="%s">`, size.class, size.width, size.height, escape(c.title))
	for _, m := range c.upright {
		if m.to > 0 {
			fmt.Fprintf(b, `<rect class="range" x="%.1f" y="%g" width="%.1f" height="%g"/>`, x.at(m.at), plotTop, max(x.at(m.to)-x.at(m.at), 1), bottom-plotTop)
		}
	}
	for _, v := range x.ticks(x.apart) {
		at := x.at(v)
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" y1="%g" x2="%.1f" y2="%g"/>`, at, plotTop, at, bottom)
		write(b, "tick", "middle", at, bottom+19, x.show(v))
	}
	for _, v := range levels {
		at := y.at(v)
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, x.from, at, x.to, at)
		write(b, "tick", "end", x.from-7, at+4, y.show(v))
	}
	write(b, "label", "start", 2, textSize, y.label)
	write(b, "label", "middle", (x.from+x.to)/2, size.height-6, x.label)
	for i := range c.series {
		c.series[i].drawLine(b, &x, &y)
	}
	labels := c.drawGuides(b, &x, &y)
	for i := range c.series {
		c.series[i].drawDots(b, &x, &y)
	}
	b.WriteString(labels + "</svg>")
}

// drawGuides draws the guides and returns their labels, for later: nothing may
// lie on them. Those that would lie on each other are joined; upright ones have a
// row each.
func (c *chart) drawGuides(b *strings.Builder, x, y *axis) (labels string) {
	var later strings.Builder
	for row, m := range joined(c.upright, x, 4) {
		at := x.at(m.at)
		fmt.Fprintf(b, `<line class="guide" x1="%.1f" y1="%g" x2="%.1f" y2="%g"/>`, at, plotTop, at, y.from)
		anchor, place := "start", at+5
		if place+textWidth(m.label) > x.to {
			anchor, place = "end", at-5
		}
		write(&later, "name", anchor, place, plotTop+(1+float64(row)*1.3)*textSize, m.label)
	}
	for _, m := range joined(c.level, y, 1.5*textSize) {
		at := y.at(m.at)
		fmt.Fprintf(b, `<line class="guide" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, x.from, at, x.to, at)
		write(&later, "name", "start", x.from+4, at-4, m.label)
	}
	return later.String()
}

// joined are guides along an axis, those that are closer than so many pixels as
// one.
func joined(guides []guide, a *axis, pixels float64) []guide {
	list := slices.Clone(guides)
	slices.SortStableFunc(list, func(a, b guide) int { return cmp.Compare(a.at, b.at) })
	var out []guide
	for _, m := range list {
		if n := len(out); n > 0 && math.Abs(a.at(m.at)-a.at(out[n-1].at)) < pixels {
			out[n-1].label += ", " + m.label
			continue
		}
		out = append(out, m)
	}
	return out
}

func write(b *strings.Builder, class, anchor string, x, y float64, text string) {
	fmt.Fprintf(b, `<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, class, x, y, anchor, escape(text))
}

func (s *series) drawLine(b *strings.Builder, x, y *axis) {
	if s.shape > plain || len(s.points) < 2 {
		return
	}
	fmt.Fprintf(b, `<polyline class="line %s" points="`, s.class)
	for _, p := range s.points {
		fmt.Fprintf(b, "%.1f,%.1f ", x.at(p.x), y.at(p.y))
	}
	b.WriteString(`"/>`)
}

func (s *series) drawDots(b *strings.Builder, x, y *axis) {
	for _, p := range s.points {
		if p.tip == "" {
			continue
		}
		px, py, r := x.at(p.x), y.at(p.y), 4.0
		if p.less {
			r = 2.5
		}
		tip := escape(p.tip)
		switch s.shape {
		case diamond:
			r *= 1.3
			fmt.Fprintf(b, `<path class="dot %s" d="M%.1f %.1fl%.1f %.1fl%.1f %.1fl%.1f %.1fz"><title>%s</title></path>`, s.class, px, py-r, r, r, -r, r, -r, -r, tip)
		case cross:
			fmt.Fprintf(b, `<path class="dot %s" d="M%.1f %.1fl%.1f %.1fM%.1f %.1fl%.1f %.1f"><title>%s</title></path>`, s.class, px-r, py-r, 2*r, 2*r, px-r, py+r, 2*r, -2*r, tip)
		case plain:
			fmt.Fprintf(b, `<circle class="dot faint %s" cx="%.1f" cy="%.1f" r="6"><title>%s</title></circle>`, s.class, px, py, tip)
		default:
			fmt.Fprintf(b, `<circle class="dot %s" cx="%.1f" cy="%.1f" r="%g"><title>%s</title></circle>`, s.class, px, py, r, tip)
		}
	}
}

// signs stand for dots in a legend; lines have one of their own, by the style
// sheet.
var signs = map[shape]string{disc: "●", diamond: "◆", cross: "✕"}

func (c *chart) legend(b *strings.Builder) {
	var words []string
	for _, s := range c.series {
		if len(s.points) == 0 || s.name == "" {
			continue
		}
		sign := fmt.Sprintf(`<i class="sample %s"></i>`, s.class)
		if text := signs[s.shape]; text != "" {
			sign = fmt.Sprintf(`<i class="sign %s">%s</i>`, s.class, text)
		}
		words = append(words, fmt.Sprintf(`<span>%s%s</span>`, sign, escape(s.name)))
	}
	if c.note != "" {
		words = append(words, "<span>"+escape(c.note)+"</span>")
	}
	if len(words) > 0 {
		fmt.Fprintf(b, `<figcaption>%s</figcaption>`, strings.Join(words, " "))
	}
}

func escape(text string) string { return template.HTMLEscapeString(text) }
