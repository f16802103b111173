// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/term"

	"xsweep/internal/si"
	"xsweep/sweep/bench"
)

// benchView shows how a benchmark goes on standard error: the trial under way,
// redrawn in place on a terminal, and a line for each that is done, and for every
// second of a soak.
type benchView struct {
	out     io.Writer
	fd      int  // of the terminal; -1 where it is none
	objects bool // for programs

	mu    sync.Mutex
	drawn bool
}

func newBenchView(env *environment, quiet bool) *benchView {
	v := &benchView{out: env.stderr, fd: terminal(env.stderr), objects: env.jsonLogs()}
	if v.objects {
		v.fd = -1
	}
	if quiet {
		v.out, v.fd = io.Discard, -1
	}
	return v
}

// Write prints lines that are logged.
func (v *benchView) Write(lines []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.erase()
	return v.out.Write(lines)
}

func (v *benchView) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.erase()
}

func (v *benchView) erase() {
	if v.drawn {
		fmt.Fprint(v.out, "\r\x1b[K")
		v.drawn = false
	}
}

// progress shows the trial under way.
func (v *benchView) progress(p bench.Progress) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fd < 0 {
		return
	}
	line := progressLine(p)
	if width, _, err := term.GetSize(v.fd); err == nil && width > 0 && len(line) >= width {
		line = line[:width-1]
	}
	v.erase()
	fmt.Fprint(v.out, line)
	v.drawn = true
}

// second tells of a second of a soak.
func (v *benchView) second(s bench.Second) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var lost any = "unknown"
	if s.Lost != nil {
		lost = *s.Lost
	}
	if v.objects {
		objects(v.out).Info("second", "at", s.At, "sent", s.Sent, "answered", s.Answered, "lost", lost, "p50", s.P50, "p99", s.P99, "max", s.Max)
		return
	}
	v.erase()
	fmt.Fprintf(v.out, "%.2f s; sent %d; answered %d; lost %v; p50 %s; p99 %s\n", s.At, s.Sent, s.Answered, lost, rtt(s.P50), rtt(s.P99))
}

func progressLine(p bench.Progress) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s", clock(p.Elapsed), si.Short(float64(p.Load.Rate), "p/s"))
	switch {
	case p.Warming:
		b.WriteString(" (warm-up)")
	case p.Draining:
		b.WriteString(" (waiting for late answers)")
	}
	fmt.Fprintf(&b, "; sent %d; answered %d", p.Sent, p.Answered)
	if p.Sent > 0 && p.Draining {
		fmt.Fprintf(&b, " (%.2f%% lost)", 100*float64(p.Sent-min(p.Answered, p.Sent))/float64(p.Sent))
	}
	if p.P50 > 0 {
		fmt.Fprintf(&b, "; p50 %s; p99 %s", rtt(p.P50), rtt(p.P99))
	}
	return b.String()
}

// trial tells of a trial among others that is done, and of what is known then.
func (v *benchView) trial(t *bench.Trial, known []bench.Throughput) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.erase()
	if v.objects {
		objects(v.out).Info("trial", "purpose", t.Purpose, "rate_offered", t.RateOffered, "rate_sent", t.RateSent, "rate_answered", t.RateAnswered,
			"sent", t.Sent, "answered", t.Answered, "lost", t.Lost, "valid", t.Valid, "reason", t.Reason)
		return
	}
	if t.Purpose == "" {
		return // the table says it
	}
	fmt.Fprintf(v.out, "%s: %.0f/s for %.3gs: %s lost", t.Purpose, t.RateOffered, t.Duration, percent(t.LossRatio()))
	if !t.Valid {
		fmt.Fprintf(v.out, "; not valid: %s", t.Reason)
	}
	if t.Purpose == "search" {
		for _, k := range known {
			if k.Lower > 0 || k.Upper > 0 {
				fmt.Fprintf(v.out, "; %s %s", goalName(k.Goal), bounds(k))
			}
		}
	}
	fmt.Fprintln(v.out)
}

// goalName is what a throughput is called.
func goalName(loss float64) string {
	if loss == 0 {
		return "NDR"
	}
	return "PDR " + showRatio(loss)
}

func bounds(t bench.Throughput) string {
	upper := "..."
	if t.Upper > 0 {
		upper = fmt.Sprint(t.Upper)
	}
	return fmt.Sprintf("[%d, %s]", t.Lower, upper)
}
