// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"xsweep/internal/si"
	"xsweep/sweep"
)

// status shows a sweep's progress on standard error, once a second: redrawn in
// place on a terminal, one plain line otherwise.
type status struct {
	out     io.Writer
	objects bool // for programs: no line to redraw
	monitor *sweep.Monitor
	fd      int // of the terminal; -1 where it is none

	mu    sync.Mutex
	drawn bool // the status line stands on the terminal
	last  sweep.Progress

	quit chan struct{}
	done sync.WaitGroup
	once sync.Once
}

// startStatus begins to show progress. Quiet, it shows nothing, neither
// progress nor what is logged.
func startStatus(env *environment, c *sweep.Config, quiet bool) *status {
	c.Monitor = new(sweep.Monitor)
	s := &status{out: env.stderr, monitor: c.Monitor, fd: terminal(env.stderr), quit: make(chan struct{})}
	if env.jsonLogs() {
		s.objects, s.fd = true, -1
	}
	if quiet {
		s.out = io.Discard
		s.fd = -1
		return s
	}
	s.done.Add(1)
	go s.loop()
	return s
}

// terminal is the descriptor of a stream that is a terminal and can be drawn
// on, or -1. (no-color.org; a dumb terminal knows no control sequences.)
func terminal(w any) int {
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return -1
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return int(f.Fd())
	}
	return -1
}

func (s *status) loop() {
	defer s.done.Done()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-second.C:
			if p := s.monitor.Progress(); p.Phase == sweep.Sending || p.Phase == sweep.CoolingDown {
				s.draw(p)
			}
		}
	}
}

// end takes the status line off the terminal. It may be called twice.
func (s *status) end() {
	s.once.Do(func() {
		close(s.quit)
		s.done.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.erase()
	})
}

// Write prints lines that are logged.
func (s *status) Write(lines []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	return s.out.Write(lines)
}

func (s *status) draw(p sweep.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects {
		logProgress(s.out, p)
		return
	}
	line := statusLine(s.last, p)
	s.last = p
	if s.fd < 0 {
		fmt.Fprintln(s.out, line)
		return
	}
	// A line longer than the terminal would wrap and could not be redrawn.
	if width, _, err := term.GetSize(s.fd); err == nil && width > 0 && len(line) >= width {
		line = line[:width-1]
	}
	s.erase()
	fmt.Fprint(s.out, line)
	s.drawn = true
}

// erase takes the line off the terminal, if it stands there.
func (s *status) erase() {
	if s.drawn {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.drawn = false
	}
}

// guard keeps results and status line apart where both go to the terminal.
func (s *status) guard(o io.Writer) io.Writer {
	if s.fd < 0 || terminal(o) < 0 {
		return o
	}
	return writerFunc(func(b []byte) (int, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.erase()
		return o.Write(b)
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// statusLine is the progress in one line, in the order and with the words
// that users of zmap know.
func statusLine(last, now sweep.Progress) string {
	var b strings.Builder
	done := now.Handed + now.Skipped
	share := 1.0
	if now.Due > 0 {
		share = float64(done) / float64(now.Due)
	}
	fmt.Fprintf(&b, "%s %.0f%%", clock(now.Elapsed), 100*share)
	switch {
	case now.Phase == sweep.CoolingDown:
		fmt.Fprintf(&b, " (cooldown, %s left)", clock(now.CooldownLeft))
	case done > 0:
		left := time.Duration(float64(now.SendingFor) * (1 - share) / share)
		fmt.Fprintf(&b, " (%s left)", clock(left))
	}
	rate := 0.0
	if step := now.Elapsed - last.Elapsed; step > 0 && now.Phase == sweep.Sending {
		rate = float64(now.Accepted-last.Accepted) / step.Seconds()
	}
	average := 0.0
	if now.SendingFor > 0 {
		average = float64(now.Accepted) / now.SendingFor.Seconds()
	}
	fmt.Fprintf(&b, "; send: %d %s (%s avg)", now.Accepted, si.Short(rate, "p/s"), si.Short(average, "p/s"))
	fmt.Fprintf(&b, "; recv: %d first", now.First)
	if now.Handed > 0 {
		// Replies to a batch under way count before its probes.
		fmt.Fprintf(&b, "; hitrate: %.2f%%", min(100*float64(now.First)/float64(now.Handed), 100))
	}
	if now.Refused > 0 {
		fmt.Fprintf(&b, "; refused: %d", now.Refused)
	}
	if now.Lost > 0 {
		fmt.Fprintf(&b, "; lost: %d", now.Lost)
	}
	return b.String()
}

// clock shows a duration, to the nearest second, as minutes and seconds, and
// hours where there are any.
func clock(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
