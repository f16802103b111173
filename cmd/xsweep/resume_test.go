// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
	"xsweep/internal/testrand"
)

// Ctrl-C is a pause: nothing is lost, nothing sent again if the cooldown was
// waited for, and what the device has counted is known exactly.
func TestResumeInterrupted(t *testing.T) {
	world := lab.Config{Live: 0.5, Seed: 14}
	placeLab(t, world)
	random := testrand.New(t)
	for signals := 1; signals <= 2; signals++ {
		for _, alone := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d signals, alone %v", signals, alone), func(t *testing.T) {
				cooldown := []string{"", "300ms", "1h"}[signals]
				s := newSaga(t, world, "240.8.0.0/20", "--quiet=false", "-o", "-", "--rate", "8k", "--cooldown", cooldown)
				c := s.begin(t, false)
				s.awaitSent(t, c, 1+random.Uint64N(2500))
				c.signal(t, unix.SIGINT)
				await(t, c.stderr, "interrupted: waiting for late replies")
				if signals == 2 {
					c.signal(t, unix.SIGINT)
				}
				r := s.end(t, c)
				if r.status != 130 || !strings.Contains(r.stderr, "xsweep sweep --resume "+s.path("ck")) {
					t.Fatalf("status %d, %s", r.status, r.stderr)
				}
				if a := s.account(t); a.count("targets.unprobed") == 0 || a.holds("interrupted=true") != nil {
					t.Errorf("%d targets were not reached; %v", a.count("targets.unprobed"), a.holds("interrupted=true"))
				}
				if r := s.end(t, s.begin(t, alone, "--cooldown", "200ms")); r.status != 0 {
					t.Fatalf("status %d, %s", r.status, r.stderr)
				}
				a := s.check(t)
				if problem := compareSets(addresses(t, s.shown), s.truth(t, a).live); problem != "" {
					t.Errorf("standard output: %s", problem)
				}
				checks := []string{"runs=2", "interrupted=false", "probes.unaccounted_at_most=0", "devices.lab0.unexplained=0",
					fmt.Sprintf("devices.lab0.tx=%d", s.sent(t)), fmt.Sprintf("probes.accepted=%d", s.sent(t))}
				if signals == 1 {
					checks = append(checks, "probes.again=0")
				}
				for _, check := range checks {
					if err := a.holds(check); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// A sweep that is cut into pieces by --max-runtime sends each probe once.
func TestResumeMaxRuntime(t *testing.T) {
	world := lab.Config{Live: 0.5, Seed: 15}
	placeLab(t, world)
	s := newSaga(t, world, "240.8.0.0/20", "--rate", "10k", "--max-runtime", "150ms")
	for !s.state(t).Complete {
		if s.counted > 20 {
			t.Fatalf("%d runs were not enough", s.counted)
		}
		if r := s.end(t, s.begin(t, s.counted%2 == 1)); r.status != 0 {
			t.Fatalf("status %d, %s", r.status, r.stderr)
		}
	}
	a := s.check(t)
	if s.counted < 3 || a.count("probes.again") != 0 || s.sent(t) != a.count("probes.accepted") {
		t.Errorf("%d runs, %d probes again, %d sent of %d accepted", s.counted, a.count("probes.again"), s.sent(t), a.count("probes.accepted"))
	}
}

// A sweep that is complete has nothing left to do: the same command sends
// nothing, touches no file, tells its summary, and is content. So also where there
// were errors among the records.
func TestResumeComplete(t *testing.T) {
	weights, err := lab.ParseWeights(killWeights)
	if err != nil {
		t.Fatal(err)
	}
	world := lab.Config{Live: 0.5, Seed: 16, Behaviours: weights}
	placeLab(t, world)
	for _, replies := range []string{"positive", "all", "errors"} {
		t.Run(replies, func(t *testing.T) {
			s := newSaga(t, world, "240.8.0.0/23", "--rate", "20k", "--replies", replies)
			s.finish(t)
			s.check(t)
			sent, before := s.sent(t), s.tree(t)
			for _, alone := range []bool{false, true} {
				if err := os.Remove(s.path("run.json")); err != nil {
					t.Fatal(err)
				}
				r := s.end(t, s.begin(t, alone, "--quiet=false"))
				if r.status != 0 || !strings.Contains(r.stderr, "nothing is left to do") || r.stdout != "" {
					t.Errorf("status %d, output %q, stderr %s", r.status, r.stdout, r.stderr)
				}
				s.check(t)
				if s.sent(t) != sent {
					t.Errorf("%d probes were sent", s.sent(t)-sent)
				}
				if after := s.tree(t); !maps.Equal(before, after) {
					t.Errorf("files %v, and they have changed", slices.Sorted(maps.Keys(after)))
				}
			}
		})
	}
}

// What was shown is not shown again, though some of it may be lost; and only the
// first run has a header.
func TestResumeStandardOutput(t *testing.T) {
	world := lab.Config{Live: 0.5, Seed: 17}
	placeLab(t, world)
	random := testrand.New(t)
	s := newSaga(t, world, "240.8.0.0/19", "-o", "-", "--format", "csv", "--rate", "10k")
	for s.kills < 6 {
		if !s.runUntil(t, s.kills%2 == 0, time.Duration(random.Int64N(int64(time.Second)))) {
			break
		}
	}
	s.finish(t)
	a := s.check(t)
	rows, err := readCSV(s.shown)
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for _, addr := range s.truth(t, a).live {
		missing[addr] = true
	}
	all := len(missing)
	for _, r := range rows {
		if !missing[r["addr"]] {
			t.Errorf("%s is shown twice, or should not be", r["addr"])
		}
		delete(missing, r["addr"])
	}
	// A kill comes between the checkpoint and what it holds hardly ever.
	t.Logf("%d of %d are not shown, after %d kills", len(missing), all, s.kills)
	if len(missing) > all/2 {
		t.Errorf("%d of %d are not shown", len(missing), all)
	}
}
