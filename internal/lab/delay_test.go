// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"xsweep/internal/testrand"
	"xsweep/sweep/target"
)

// Delayed answers are those of simnet, each as often, and no sooner than they may.
func TestDelayAnswers(t *testing.T) {
	r := testrand.New(t)
	for _, tc := range []struct {
		name   string
		config Config
		mode   string
	}{
		{"at once", Config{Live: 1}, "none"},
		{"fixed", Config{Live: 1, Delay: mustDistribution(t, "2ms")}, "native"},
		{"duplicates and loss", Config{Live: 0.5, Loss: 0.3, Duplicate: 0.5, Delay: mustDistribution(t, "0s..3ms")}, "generic"},
		{"swaps", Config{Live: 1, Reorder: 0.3}, "none"},
		{"all queues", Config{Live: 1, Queues: 1, Queue: Queue{1_000_000, 1_000_000}}, "none"},
		{"wide", Config{Live: 1, MTU: maxSimnetMTU}, "none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := tc.config
			c.Responder, c.InPlace, c.Seed = Delay, true, r.Uint64()
			l := start(t, c)
			attachPass(t, tc.mode)
			set := span(0xf0000000, 4000)
			replies, s, _ := sweep(t, l, set, 2)
			want := map[target.Addr]heard{}
			for a := range set.All() {
				if n := c.Replies(a, 2); n > 0 {
					want[a] = heard{n, c.Host(a).TTL}
				}
			}
			if diff := cmp.Diff(want, replies, cmp.AllowUnexported(heard{})); diff != "" {
				t.Errorf("seed %d (-want +got):\n%s", c.Seed, diff)
			}
			d := s.Delay
			if d.Taken != s.Answered-s.Duplicated || d.Twice != s.Duplicated || d.Pending != 0 || d.Refused+d.RingLost+d.NoRoom+d.QueueFull != 0 {
				t.Errorf("counters %+v, %+v", s, d)
			}
			if low, high := c.Delay.Quantile(0), c.Delay.Quantile(1); c.Reorder == 0 && c.Queue == (Queue{}) &&
				(d.Injected.Min < low || d.Injected.Max > high) || d.Actual.Min < d.Injected.Min-maxLead {
				t.Errorf("latencies %+v, want %v to %v", d, low, high)
			}
			if (d.Swapped > 0) != (c.Reorder > 0) {
				t.Errorf("%d swapped", d.Swapped)
			}
		})
	}
}

// An answer comes as it would without delay, to the last byte.
func TestDelayFrame(t *testing.T) {
	c := Config{Responder: Delay, Live: 1, Delay: mustDistribution(t, "1ms"), InPlace: true}
	start(t, c)
	in, err := packetSocket(unix.ETH_P_IP)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(in)
	const a = target.Addr(0xf0000001)
	sent := echoRequest(a, 42)
	begin := time.Now()
	if _, err := unix.Write(in, sent); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2048)
	for {
		n, _, err := unix.Recvfrom(in, buf, 0)
		if err == nil {
			if diff := cmp.Diff(wantReply(sent, c.Host(a).TTL), buf[:n]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			break
		}
		if time.Since(begin) > patience {
			t.Fatalf("no answer: %v", err)
		}
	}
	if took := time.Since(begin); took < time.Millisecond-maxLead {
		t.Errorf("the answer came after %v", took)
	}
}

// What a queue has no room for is dropped and counted, and a closed lab leaves
// what is pending.
func TestDelayQueueFull(t *testing.T) {
	l := start(t, Config{Responder: Delay, Live: 1, Queue: Queue{1, 3}, InPlace: true})
	out, err := packetSocket(0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(out)
	for range 10 {
		if _, err := unix.Write(out, echoRequest(0xf0000001, 42)); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(patience); ; {
		d := stats(t, l).Delay
		if d.Taken == 10 {
			if d.QueueFull < 5 || d.QueueFull > 7 || d.Pending+d.Departed != 10-d.QueueFull {
				t.Errorf("counters %+v", d)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not all come: %+v", d)
		}
	}
}

// Memory of answers is used again, and has an end.
func TestFrameMemory(t *testing.T) {
	var m frameMemory
	a := m.get(100)
	m.put(a)
	if b := m.get(128); b != a || len(b.frame) != 128 {
		t.Error("memory is not used again")
	}
	if m.get(4097) != nil {
		t.Error("there is room for a frame of 4097 bytes")
	}
	m.taken = maxHeldBytes - 511
	if m.get(500) != nil || m.get(64) == nil {
		t.Error("the bound is wrong")
	}
}
