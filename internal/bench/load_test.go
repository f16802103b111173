// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
	"unsafe"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
	"xsweep/loader"
	"xsweep/sweep/pace"
)

// What the figures of the filter stand on: each prepared reply is shown once
// in a run, and to a fresh filter each is a first reply with a known round
// trip.
func TestReplayShowsEachReplyOnce(t *testing.T) {
	labtest.Kernel(t)
	const n = 5000
	replies, err := prepareReplies(prefix(range16M), n)
	if err != nil {
		t.Fatal(err)
	}
	r, err := newReplayer(replies)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if _, err := judgeOnce(r, loader.First); err != nil {
		t.Errorf("into a fresh filter: %v", err)
	}

	filter, err := newFilter()
	if err != nil {
		t.Fatal(err)
	}
	defer filter.Close()
	for range 2 {
		if _, err := r.run(filter.Program()); err != nil {
			t.Fatal(err)
		}
	}
	stats, err := filter.Stats()
	if err != nil {
		t.Fatal(err)
	}
	v := stats.Verdicts
	if v[loader.First] != n || v[loader.Duplicate] != n || stats.Judged != 2*n {
		t.Errorf("two runs over %d replies: %d first, %d duplicate, %d judged", n, v[loader.First], v[loader.Duplicate], stats.Judged)
	}
}

// A reply that is no first one must not be timed as one.
func TestJudgeOnceWantsFirstReplies(t *testing.T) {
	labtest.Kernel(t)
	replies, err := prepareReplies(prefix(range16M), 10)
	if err != nil {
		t.Fatal(err)
	}
	replies[7] = replies[3]
	r, err := newReplayer(replies)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if mean, err := judgeOnce(r, loader.First); err == nil {
		t.Errorf("a duplicate passed for a first reply, at %v", mean)
	}
}

// To the responder the fixed frames are probes like any other.
func TestFixedFramesAreProbes(t *testing.T) {
	labtest.Kernel(t)
	const n = 6400
	c := lab.Config{Responder: lab.Sink}
	err := inLab(c, func(l *lab.Lab) error {
		f, err := newFixedFrames(silent(c))
		if err != nil {
			return err
		}
		defer f.close()
		distinct := map[string]bool{}
		for i := range f.messages {
			iov := f.messages[i].hdr.Iov
			distinct[string(unsafe.Slice(iov.Base, iov.Len))] = true
		}
		if len(distinct) != pace.Burst {
			t.Errorf("%d frames differ, want %d", len(distinct), pace.Burst)
		}
		accepted, err := f.send(n, time.Minute)
		if err != nil {
			return err
		}
		if accepted < n/2 || accepted > n {
			t.Errorf("%d frames of %d were accepted", accepted, n)
		}
		stats, err := l.Stats()
		if err != nil {
			return err
		}
		if stats.Sunk+stats.RequestsRefused != n || stats.Sunk < n/2 {
			t.Errorf("of %d frames the responder took %d for echo requests, and its ring refused %d", n, stats.Sunk, stats.RequestsRefused)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// To the responder the frame of the live limit is a probe like any other, and
// its rate is that of those which arrive.
func TestFixedLiveFramesAreProbes(t *testing.T) {
	labtest.Kernel(t)
	const n = 2_000_000
	c := lab.Config{Responder: lab.Sink}
	err := inLab(c, func(l *lab.Lab) error {
		f, err := newFixedLiveFrames(silent(c)[0])
		if err != nil {
			return err
		}
		defer f.close()
		rate, err := f.send(l, 1, n)
		if err != nil {
			return err
		}
		if rate <= 0 {
			t.Errorf("rate is %v", rate)
		}
		stats, err := l.Stats()
		if err != nil {
			return err
		}
		// Rounds that a signal cut short are repeated.
		if stats.Passed+stats.Malformed > 0 || stats.Sunk+stats.RequestsRefused < n+liveSetUp || stats.Sunk < n/2 {
			t.Errorf("of %d frames and more the responder took %d for echo requests, %d for others, and its ring refused %d",
				n+liveSetUp, stats.Sunk, stats.Passed+stats.Malformed, stats.RequestsRefused)
		}
		if _, err := f.send(l, len(f.cpus)+1, 1); err == nil {
			t.Error("more threads than CPUs")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Limits beside a loop must not be answered.
func TestSilent(t *testing.T) {
	addrs := silent(tenthLive)
	if len(addrs) != pace.Burst {
		t.Errorf("%d addresses, want %d", len(addrs), pace.Burst)
	}
	for _, a := range addrs {
		if tenthLive.Host(a).Live {
			t.Errorf("%v answers", a)
		}
	}
	if addrs := silent(lab.Config{Live: 1}); len(addrs) > 0 {
		t.Errorf("where everybody lives %d are silent", len(addrs))
	}
}
