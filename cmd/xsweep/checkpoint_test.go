// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
	"xsweep/internal/testrand"
)

// Two processes cannot be at work on one checkpoint.
func TestCheckpointLock(t *testing.T) {
	world := lab.Config{Live: 0.5, Seed: 18}
	placeLab(t, world)
	s := newSaga(t, world, "240.8.0.0/20", "--rate", "100")
	c := s.begin(t, false)
	s.awaitSaved(t, c)
	for _, alone := range []bool{false, true} {
		r := s.begin(t, alone).end(t)
		if want := "xsweep: checkpoint " + s.checkpoint + ": another process is at work on it"; r.status != 2 || !strings.HasPrefix(r.stderr, want) {
			t.Errorf("status %d, %s", r.status, r.stderr)
		}
	}
	c.signal(t, unix.SIGINT)
	if r := s.end(t, c); r.status != 130 {
		t.Fatalf("status %d, %s", r.status, r.stderr)
	}
	s.finish(t, "--rate", "20k")
	if a := s.check(t); s.sent(t) != a.count("probes.accepted") {
		t.Errorf("%d probes were sent, %d accepted", s.sent(t), a.count("probes.accepted"))
	}
}

// A checkpoint is of one sweep: every other is refused, with all differences
// named, before anything is sent or written. How fast and by which way probes are
// sent is free.
func TestCheckpointOfAnotherSweep(t *testing.T) {
	world := lab.Config{Live: 0.5, Seed: 19}
	placeLab(t, world)
	s := newSaga(t, world, "240.8.0.0/20", "--rate", "8k", "--seed", "42", "--tx", "packet")
	c := s.begin(t, false)
	s.awaitSent(t, c, 500)
	c.signal(t, unix.SIGINT)
	if r := s.end(t, c); r.status != 130 {
		t.Fatalf("status %d, %s", r.status, r.stderr)
	}
	before, sent := s.tree(t), s.sent(t)
	for _, tc := range []struct {
		flags string
		wants []string
	}{
		{"--seed 7", []string{"seed is 42 there, 7 here"}},
		{"240.9.0.0/20", []string{"targets is 4096 addresses of 4096 named, digest "}},
		{"--exclude 240.8.0.1", []string{"targets is 4096 addresses"}},
		{"--shard 1/2", []string{"shard is 1/1 there, 1/2 here"}},
		{"--probe timestamp", []string{"probe is echo there, timestamp here"}},
		{"--probes 2", []string{"probes is 1 there, 2 here"}},
		{"--ttl 9", []string{"ttl is 64 there, 9 here"}},
		{"--size 40", []string{"size is 20 there, 40 here"}},
		{"--size 40 --payload-pattern a5", []string{"payload-pattern is empty there, a5 here", "size is"}},
		{"--tos 4", []string{"tos is 0 there, 4 here"}},
		{"--df", []string{"df is false there, true here"}},
		{"--replies all", []string{"replies is positive there, all here"}},
		{"--all", []string{"all is false there, true here"}},
		{"--where ttl>3", []string{"where is empty there, ttl>3 here"}},
		{"--max-results 5000", []string{"max-results is 0 there, 5000 here"}},
		{"-o other.csv", []string{"--output is " + s.path("live.csv")}},
		{"--fields addr", []string{"--fields is not given there, addr here"}},
		{"--live-set other", []string{"--live-set is " + s.path(liveSet) + " there, other here"}},
		{"--ttl 9 --tos 4 --seed 7", []string{"seed is", "tos is", "ttl is"}},
	} {
		r := s.begin(t, false, strings.Fields(tc.flags)...).end(t)
		if r.status != 2 || strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "xsweep: checkpoint "+s.path("ck")+": it belongs to another sweep: ") {
			t.Errorf("%s: status %d, %s", tc.flags, r.status, r.stderr)
		}
		if got := strings.Count(r.stderr, " there, "); got != len(tc.wants) {
			t.Errorf("%s: %d differences: %s", tc.flags, got, r.stderr)
		}
		for _, want := range tc.wants {
			if !strings.Contains(r.stderr, want) {
				t.Errorf("%s: %s, should say %q", tc.flags, r.stderr, want)
			}
		}
	}
	if after := s.tree(t); s.sent(t) != sent || !maps.Equal(before, after) {
		t.Errorf("%d probes were sent, files %v", s.sent(t)-sent, slices.Sorted(maps.Keys(after)))
	}
	free := "--rate 20k --tx xdp --cooldown 100ms --checkpoint-every 1s --tx-threads 1 --batch 3 --backpressure=false --on-sink-error continue --interface lab0"
	if r := s.end(t, s.begin(t, false, strings.Fields(free)...)); r.status != 0 {
		t.Fatalf("status %d, %s", r.status, r.stderr)
	}
	s.check(t)
}

// A checkpoint with a changed byte, or cut short, is refused before anything is
// sent or written; the one before it goes on.
func TestDamagedCheckpoint(t *testing.T) {
	world := lab.Config{Live: 0.5, Seed: 20}
	placeLab(t, world)
	s := newSaga(t, world, "240.8.0.0/20", "--rate", "8k")
	c := s.begin(t, false)
	s.awaitSent(t, c, 2500)
	c.signal(t, unix.SIGINT)
	if r := s.end(t, c); r.status != 130 {
		t.Fatalf("status %d, %s", r.status, r.stderr)
	}
	before, sent := s.tree(t), s.sent(t)
	refused := func(what string, content []byte, wants ...string) {
		t.Helper()
		var stdout, stderr strings.Builder
		status := run(&environment{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr}, []string{"sweep", "--resume", s.path("ck")})
		text := stderr.String()
		ok := status == 2 && stdout.Len() == 0 && strings.HasPrefix(text, "xsweep: checkpoint "+s.path("ck")+": ")
		for _, want := range wants {
			ok = ok && strings.Contains(text, want)
		}
		if !ok {
			t.Fatalf("%s: status %d, %s; want %q", what, status, text, wants)
		}
	}
	// Package checkpoint tries every byte.
	random := testrand.New(t)
	for _, tc := range []struct {
		file  string
		step  int
		wants []string
	}{
		{"ck", 5, []string{"damaged", "mv " + s.path("ck.prev") + " " + s.path("ck")}},
		{"ck.log", 13, []string{"damaged", s.path("ck")}},
	} {
		content := []byte(before[tc.file])
		for at := random.IntN(tc.step); at < len(content); at += tc.step {
			changed := slices.Clone(content)
			changed[at] ^= 1 << (at % 8)
			for what, damaged := range map[string][]byte{"changed": changed, "cut": content[:at]} {
				if err := os.WriteFile(s.path(tc.file), damaged, 0o600); err != nil {
					t.Fatal(err)
				}
				refused(fmt.Sprintf("%s, %s at byte %d of %d", tc.file, what, at, len(content)), damaged, tc.wants...)
			}
		}
		if err := os.WriteFile(s.path(tc.file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(s.path("ck.log"), s.path("away")); err != nil {
		t.Fatal(err)
	}
	refused("without its log", nil, "its log ck.log is gone")
	if err := os.Rename(s.path("away"), s.path("ck.log")); err != nil {
		t.Fatal(err)
	}
	if after := s.tree(t); s.sent(t) != sent || !maps.Equal(before, after) {
		t.Errorf("%d probes were sent, files %v", s.sent(t)-sent, slices.Sorted(maps.Keys(after)))
	}
	if err := os.Rename(s.path("ck.prev"), s.path("ck")); err != nil {
		t.Fatal(err)
	}
	s.counted = s.state(t).Account.Runs
	s.finish(t)
	s.check(t)
}
