// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
)

// A signal ends a benchmark, in a trial alone or among others: what was sent is
// accounted for, the trial counts for nothing, and nothing stays on the device.
func TestBenchInterrupt(t *testing.T) {
	for _, tc := range []struct {
		name          string
		first, second os.Signal
		drain         time.Duration
		mode          []string
	}{
		{"SIGINT", unix.SIGINT, nil, 400 * time.Millisecond, []string{"--rate", "2k"}},
		{"SIGTERM and SIGINT", unix.SIGTERM, unix.SIGINT, maxDrain, []string{"--sweep", "2k:4k:1k"}},
		{"SIGINT in a search", unix.SIGINT, nil, 100 * time.Millisecond, []string{"--search", "--max-rate", "2k"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := placeLab(t, lab.Config{Live: 1})
			dir := t.TempDir()
			summary := filepath.Join(dir, "run.json")
			args := append([]string{"bench", "--tx", "packet", "--duration", "1m", "--warmup", "0s", "--drain", tc.drain.String(), "--summary", summary, "198.18.2.7"}, tc.mode...)
			c := beginCommand(t, command(t, args...))
			arrived := func() uint64 {
				t.Helper()
				s, err := l.Stats()
				if err != nil {
					t.Fatal(err)
				}
				return s.EchoRequests
			}
			for arrived() < 100 {
				c.alive(t)
				runtime.Gosched()
			}
			at := time.Now()
			c.signal(t, tc.first)
			await(t, c.stderr, "interrupted: waiting for late replies")
			if tc.second != nil {
				c.signal(t, tc.second)
			}
			r := c.end(t)
			if took := time.Since(at); tc.second == nil && took < tc.drain {
				t.Errorf("it ended after %v and has not waited the drain time", took)
			}
			if r.status != 130 {
				t.Errorf("status %d, want 130; stderr:\n%s", r.status, r.stderr)
			}
			text, err := os.ReadFile(summary)
			if err != nil {
				t.Fatal(err)
			}
			a, err := readAccount(text)
			if err != nil {
				t.Fatal(err)
			}
			for path, want := range map[string]any{
				"interrupted": true, "trials.0.valid": false, "trials.0.reason": "interrupted", "verdict": "interrupted: what was measured so far is incomplete",
			} {
				if got, _ := a.at(path); got != want {
					t.Errorf("%s is %v, want %v", path, got, want)
				}
			}
			if _, more := a.at("trials.1"); more {
				t.Error("it went on with another trial")
			}
			if sent := a.count("trials.0.sent"); sent != arrived() || a.count("trials.0.answered") != sent {
				t.Errorf("%d sent and %d answered, %d arrived", sent, a.count("trials.0.answered"), arrived())
			}
			assertNoProgram(t)
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
				t.Errorf("files %v, %v, want the summary alone", entries, err)
			}
		})
	}
}
