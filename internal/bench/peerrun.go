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
// returns the rate of n probes on top of those before, from the first arrival
// to the last.
func watchArrivals(l *lab.Lab, before, n uint64, ended <-chan struct{}) (perSecond float64, err error) {
	ticker := time.NewTicker(peerLook)
	defer ticker.Stop()
	var first, last, nudged time.Time
	var seen, atFirst uint64
	sending := true
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
		now := time.Now()
		sent := stats.EchoRequests + stats.RequestsRefused - before
		switch {
		case sent > seen && sending:
			if seen == 0 {
				first, atFirst = now, sent
			}
			seen, last = sent, now
			sending = seen < n
		case seen > 0 && now.Sub(last) > peerQuiet && now.Sub(nudged) > peerQuiet:
			// Some tools wait for one more packet before they look whether they
			// should end. What arrives from here on is not the tool's.
			sending, nudged = false, now
			if err := nudge(); err != nil {
				return 0, err
			}
		}
	}
	if seen <= atFirst {
		return 0, errNothingSent
	}
	return float64(seen-atFirst) / last.Sub(first).Seconds(), nil
}

// nudge makes some hosts of the lab send replies that nobody asked for.
func nudge() error {
	f, err := newFixedFrames()
	if err != nil {
		return err
	}
	defer f.close()
	_, err = f.send(len(f.messages), time.Second)
	return err
}
