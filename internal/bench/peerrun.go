// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"xsweep/internal/lab"
	"xsweep/sweep/target"
)

const (
	// peerLimit bounds one run of a tool.
	peerLimit = 25 * time.Second
	// peerQuiet is how long no probe arrives after a tool has sent its last.
	peerQuiet = 2 * time.Second
	// peerLook is how often the responder's counters are looked at.
	peerLook = 5 * time.Millisecond
)

// peerResult is one run of a tool.
type peerResult struct {
	rate float64 // probes a second, from the first that arrived to the last
	verdict
}

// runPeer runs a tool in the lab, on this side of it.
func (b *bench) runPeer(l *lab.Lab, t peerTool, path string, s setting) (r peerResult, err error) {
	// The tool is killed when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	results, err := scratchFile()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, results.Close()) }()
	ctx, cancel := context.WithTimeout(b.ctx, peerLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, t.arguments(t.targets, s)...)
	cmd.Stdout = results
	// A group of its own, so that Ctrl-C kills it with us and does not make it
	// save its state.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	before, err := l.Stats()
	if err != nil {
		return r, err
	}
	if err := cmd.Start(); err != nil {
		return r, fmt.Errorf("run it: %w", err)
	}
	ended := make(chan struct{})
	watched := make(chan error, 1)
	go func() {
		var err error
		r.rate, err = watchArrivals(l, before.EchoRequests+before.RequestsRefused, t.of().Len(), ended)
		watched <- err
	}()
	waitErr := cmd.Wait()
	close(ended)
	watchErr := <-watched
	// Statuses differ: fping's is 1 where hosts are silent. What counts is what
	// was sent and found.
	if ctx.Err() != nil {
		return r, fmt.Errorf("it had not ended after %v", peerLimit)
	}
	if watchErr != nil {
		return r, errors.Join(watchErr, waitErr)
	}
	if _, err := results.Seek(0, io.SeekStart); err != nil {
		return r, fmt.Errorf("read its results: %w", err)
	}
	found := newCensus(t.of())
	if err := t.read(found, results); err != nil {
		return r, err
	}
	r.verdict = found.compare(tenthLive.Truth(target.NewSet(t.of()), 1))
	return r, nil
}

// watchArrivals looks at the responder's counters until ended is closed, and
// returns the rate of the probes beyond those before, of which there are to be
// n.
func watchArrivals(l *lab.Lab, before, n uint64, ended <-chan struct{}) (perSecond float64, err error) {
	ticker := time.NewTicker(peerLook)
	defer ticker.Stop()
	a := arrivals{n: n}
	for over := false; !over; {
		select {
		case <-ended:
			over = true
		case <-ticker.C:
		}
		stats, err := l.Stats()
		if err != nil {
			return 0, err
		}
		if a.look(time.Now(), stats.EchoRequests+stats.RequestsRefused-before) {
			if err := nudge(); err != nil {
				return 0, err
			}
		}
	}
	return a.rate()
}

// arrivals is what the responder's counters say of a tool that sends n probes.
type arrivals struct {
	n             uint64
	first, last   time.Time // when probes were seen to have arrived
	atFirst, seen uint64    // how many had then
	ended         bool      // what arrives from here on is not the tool's
	nudged        time.Time
}

// look takes a reading, and says whether the tool, which has sent all it
// wanted, should be nudged: some wait for one more packet before they look
// whether they should end.
func (a *arrivals) look(now time.Time, arrived uint64) (nudge bool) {
	switch {
	case arrived > a.seen && !a.ended:
		if a.seen == 0 {
			a.first, a.atFirst = now, arrived
		}
		a.last, a.seen = now, arrived
		a.ended = arrived >= a.n
	case a.seen > 0 && now.Sub(a.last) > peerQuiet && now.Sub(a.nudged) > peerQuiet:
		a.ended, a.nudged = true, now
		return true
	}
	return false
}

// rate is that of all probes after the first reading.
func (a *arrivals) rate() (perSecond float64, err error) {
	if a.seen <= a.atFirst {
		return 0, errNothingSent
	}
	return float64(a.seen-a.atFirst) / a.last.Sub(a.first).Seconds(), nil
}

var errNothingSent = errors.New("none of its probes arrived")

// nudge makes a host of the lab send replies that nobody asked for.
func nudge() error {
	var live target.Addr
	for a := range tenthLive.Truth(target.NewSet(prefix(range524k)), 1) {
		live = a
		break
	}
	f, err := newFixedFrames([]target.Addr{live})
	if err != nil {
		return err
	}
	defer f.close()
	_, err = f.send(len(f.messages), time.Second)
	return err
}
