// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// childResult is what a run of the built program took.
type childResult struct {
	cpu      time.Duration // user and system
	accepted uint64        // probes
	answered uint64        // targets
	peakAnon uint64        // largest RssAnon that was seen, in bytes; 0 unless watched
	readings int           // of RssAnon
}

// sampleEvery is how often the memory of a child is looked at.
const sampleEvery = 10 * time.Millisecond

// child runs `xsweep sweep` with more arguments until it ends, with results to
// /dev/null.
func (b *bench) child(watchMemory bool, args ...string) (childResult, error) {
	return b.childBeside(watchMemory, nil, append([]string{"--seed", "1", "--output", os.DevNull}, args...)...)
}

// childBeside runs `xsweep sweep`, and beside it a function, which is given the
// time right before the start and must return when ended is closed. The summary
// comes to us; losses are an error as in any sweep here.
func (b *bench) childBeside(watchMemory bool, beside func(began time.Time, ended <-chan struct{}) error, args ...string) (childResult, error) {
	// The child is killed when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(b.ctx, b.xsweep, append([]string{"sweep", "--quiet", "--summary", "-"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	fail := func(err error) (childResult, error) {
		return childResult{}, fmt.Errorf("run xsweep %s: %w: %s", strings.Join(cmd.Args[1:], " "), err, strings.TrimSpace(stderr.String()))
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	var r childResult
	var memoryErr, besideErr error
	ended := make(chan struct{})
	var watchers sync.WaitGroup
	if watchMemory {
		watchers.Go(func() { r.peakAnon, r.readings, memoryErr = watchAnon(cmd.Process.Pid, ended) })
	}
	if beside != nil {
		watchers.Go(func() { besideErr = beside(began, ended) })
	}
	err := cmd.Wait()
	close(ended)
	watchers.Wait()
	if err = errors.Join(err, memoryErr, besideErr); err != nil {
		return fail(err)
	}
	var summary struct {
		Targets struct {
			Answered uint64 `json:"answered"`
		} `json:"targets"`
		Probes struct {
			Accepted uint64 `json:"accepted"`
		} `json:"probes"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &summary); err != nil {
		return fail(fmt.Errorf("read its summary: %w", err))
	}
	r.accepted, r.answered = summary.Probes.Accepted, summary.Targets.Answered
	r.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return r, nil
}

// watchAnon looks at a process's RssAnon until ended is closed.
func watchAnon(pid int, ended <-chan struct{}) (peak uint64, readings int, err error) {
	path := fmt.Sprintf("/proc/%d/status", pid)
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			if readings == 0 {
				err = errors.New("its memory was never seen")
			}
			return peak, readings, err
		case <-ticker.C:
			status, err := os.ReadFile(path)
			if err != nil {
				continue // it has just ended
			}
			// A process that has ended and was not waited for has no such line.
			if anon, ok := rssAnon(string(status)); ok {
				peak = max(peak, anon)
				readings++
			}
		}
	}
}

// rssAnon finds RssAnon in the form of /proc/PID/status (proc(5)), in bytes.
func rssAnon(status string) (uint64, bool) {
	for line := range strings.Lines(status) {
		var kib uint64
		if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &kib); err == nil {
			return kib << 10, true
		}
	}
	return 0, false
}
