// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"testing"
	"time"

	"xsweep/internal/lab"
	"xsweep/loader"
	"xsweep/sweep/target"
)

// watched runs a trial without warm-up, and says what the responder did meanwhile.
// A trial whose frames found a link full is run again: nobody knows which were
// lost, and what is sent once more comes out of order. So is one that was not sent
// to its end.
func watched(t *testing.T, l *lab.Lab, s *Session, load Load) (Trial, deeds) {
	t.Helper()
	for range 10 {
		before, first := read(t, l), s.next
		trial := try(t, s, load)
		did := read(t, l).since(before)
		if did.refused == 0 && trial.Generator.Retries == 0 && trial.Sent == s.next-first {
			return trial, did
		}
	}
	t.Fatal("no trial of ten was sent and answered undisturbed")
	return Trial{}, deeds{}
}

// deeds are what the responder did.
type deeds struct {
	requests, lost, duplicated, outage, overCapacity uint64
	queueFull, reordered                             uint64
	refused                                          uint64 // by what belongs to no setting of the lab
}

func read(t *testing.T, l *lab.Lab) deeds {
	t.Helper()
	s, err := l.Stats()
	if err != nil {
		t.Fatal(err)
	}
	d := deeds{
		requests: s.EchoRequests, lost: s.Lost, duplicated: s.Duplicated, outage: s.Outage, overCapacity: s.OverCapacity,
		refused: s.RequestsRefused + s.RepliesRefused,
	}
	if s.Delay != nil {
		d.queueFull, d.reordered = s.Delay.QueueFull, s.Delay.Reordered
		d.refused += s.Delay.RingLost + s.Delay.NoRoom + s.Delay.Refused
	}
	return d
}

func (d deeds) since(before deeds) deeds {
	return deeds{
		requests: d.requests - before.requests, lost: d.lost - before.lost, duplicated: d.duplicated - before.duplicated,
		outage: d.outage - before.outage, overCapacity: d.overCapacity - before.overCapacity,
		queueFull: d.queueFull - before.queueFull, reordered: d.reordered - before.reordered, refused: d.refused - before.refused,
	}
}

// Which probes are lost, and which answered twice, is known before they are sent:
// the counts are those of just these indexes. Answers that leave behind a later
// one are counted where they are sent.
func TestInjectedFaults(t *testing.T) {
	for name, c := range map[string]struct {
		lab     lab.Config
		session Config
	}{
		"reordered, packet":       {lab.Config{Responder: lab.Delay, Reorder: 0.1}, Config{Tx: TxPacket}},
		"xdp":                     {lab.Config{}, Config{Tx: TxXDP}},
		"threads and targets":     {lab.Config{}, Config{Tx: TxPacket, Threads: 2, Targets: addrs("198.18.2.7", "198.18.2.8", "198.18.2.9")}},
		"a judge in generic mode": {lab.Config{}, Config{Tx: TxPacket, XDP: loader.Generic}},
	} {
		t.Run(name, func(t *testing.T) {
			world := c.lab
			world.Live, world.Loss, world.Duplicate, world.PerProbe, world.Seed = 1, 0.02, 0.05, true, 5
			world.Queues = 1 // several may change the order
			l := startLab(t, world)
			s := open(t, c.session)
			trial, did := watched(t, l, s, Load{Rate: 10_000, Duration: 300 * time.Millisecond})
			if did.requests != trial.Sent {
				t.Errorf("%d sent, %d arrived", trial.Sent, did.requests)
			}
			if c.session.XDP != loader.Auto && s.Environment().XDP != c.session.XDP.String() {
				t.Errorf("mode %s", s.Environment().XDP)
			}
			lost, duplicated := foretold(s, world, trial.Sent)
			if trial.Lost != lost || trial.Duplicate != duplicated || min(lost, duplicated) == 0 {
				t.Errorf("%d lost, want %d; %d duplicates, want %d", trial.Lost, lost, trial.Duplicate, duplicated)
			}
			if trial.Reordered != did.reordered || (did.reordered > 0) != (world.Reorder > 0) {
				t.Errorf("%d reordered, the responder reordered %d", trial.Reordered, did.reordered)
			}
		})
	}
}

// foretold counts the faults of the latest so many probes of a session.
func foretold(s *Session, world lab.Config, probes uint64) (lost, duplicated uint64) {
	threads, targets := uint64(s.config.Threads), uint64(len(s.targets))
	for i := s.next - probes; i < s.next; i++ {
		a, word := target.Addr(s.targets[i%(threads*targets)/threads]), i<<8|1 // docs/wire-format.md: the first attempt
		switch {
		case world.IndexLost(a, word):
			lost++
		case world.IndexDuplicated(a, word):
			duplicated++
		}
	}
	return lost, duplicated
}

// Outages are as long as they are, and lose what falls into them.
func TestOutages(t *testing.T) {
	const length = 100 * time.Millisecond
	l := startLab(t, lab.Config{Live: 1, Outage: lab.Outage{Every: 250 * time.Millisecond, For: length}})
	s := open(t, Config{Tx: TxPacket})
	for range 5 {
		// A whole one at least. A batch is a millisecond, on either side.
		trial, did := watched(t, l, s, Load{Rate: 10_000, Duration: 400 * time.Millisecond})
		if trial.Lost != did.outage || trial.Lost == 0 {
			t.Errorf("%d lost, %d in outages", trial.Lost, did.outage)
		}
		took := time.Duration(trial.Outage)
		if took > length*99/100 && took < length*105/100 {
			return
		}
		t.Logf("an outage of %v, want %v", took, length)
	}
	t.Error("not measured in five tries")
}

// tries runs a test that other load may spoil, each time with all that it makes
// anew, until it says that it was not. What is wrong at any time fails.
func tries(t *testing.T, most int, f func(t *testing.T) bool) {
	t.Helper()
	for i := range most {
		good := false
		t.Run(fmt.Sprint("try ", i+1), func(t *testing.T) { good = f(t) })
		if good || t.Failed() {
			return
		}
	}
	t.Errorf("not so in %d tries", most)
}

// A target that dies in mid-run is said to have, and what it did not answer is
// what came since.
func TestDied(t *testing.T) {
	const alive, length = 900 * time.Millisecond, 4200 * time.Millisecond
	tries(t, 3, func(t *testing.T) bool {
		l := startLab(t, lab.Config{Live: 1, Outage: lab.Outage{Every: time.Hour, For: time.Hour - alive}})
		s := open(t, Config{Tx: TxPacket})
		trial, did := watched(t, l, s, Load{Rate: 1000, Duration: length})
		if trial.Answered == 0 {
			t.Log("it began too late")
			return false
		}
		if trial.Lost != did.outage {
			t.Errorf("%d lost, %d came since", trial.Lost, did.outage)
		}
		var said float64
		_, err := fmt.Sscanf(conclusion(trial), "the target stopped answering %f s after the first probe that counts", &said)
		if want := length.Seconds() * (1 - trial.LossRatio()); trial.Valid && (err != nil || said < want-0.15 || said > want+0.15) {
			t.Errorf("verdict %q, want %.2f s", conclusion(trial), want)
		}
		// From the last answer to the last probe.
		silence := length.Seconds() * trial.LossRatio()
		if got := float64(trial.Outage) / 1e9; got < 0.98*silence || got > 1.02*silence {
			t.Logf("silent for %.3f s, want %.3f", got, silence)
			return false
		}
		return trial.Valid
	})
}

// A queue answers later the more there is to do, and what it has no room for is
// lost: at more than its rate answers wait for a whole queue.
func TestQueue(t *testing.T) {
	queue := lab.Queue{Rate: 10_000, Length: 50}
	full := time.Duration(queue.Length) * time.Second / time.Duration(queue.Rate)
	tries(t, 5, func(t *testing.T) bool {
		l := startLab(t, lab.Config{Responder: lab.Delay, Live: 1, Queue: queue, Queues: 1})
		s := open(t, Config{Tx: TxPacket})
		var means [3]float64
		for i, percent := range []uint64{10, 90, 150} {
			trial, did := watched(t, l, s, Load{
				Rate: queue.Rate * percent / 100, Duration: 200 * time.Millisecond, Burst: int(percent / 10), // each millisecond
			})
			if trial.Lost != did.queueFull {
				t.Errorf("at %d %%: %d lost, the queue was full for %d", percent, trial.Lost, did.queueFull)
			}
			means[i] = trial.RTT.Mean
			t.Logf("at %d %% answers take %.0f ns", percent, means[i])
		}
		// Of a burst of 9 the last waits for all, and of one of 15 that finds the queue
		// full, 10 find room as it empties.
		return means[1] > 2*means[0] && means[2] > 0.8*float64(full) && means[2] < 1.03*float64(full)
	})
}

// What the kernel measures are the delays that were injected, within 5
// microseconds or 3 %. Nothing is subtracted: the way there and back is in the
// figures. The 99th percentile is held against what the responder did, which the
// scheduler may have made late.
func TestInjectedLatencies(t *testing.T) {
	const rate, length = 5000, 300 * time.Millisecond
	startLab := func(t *testing.T, c lab.Config) (*lab.Lab, *Session) {
		c.Live, c.Queues = 1, 1
		return startLab(t, c), open(t, Config{Tx: TxXDP})
	}
	t.Run("none", func(t *testing.T) {
		_, s := startLab(t, lab.Config{})
		way := try(t, s, Load{Rate: rate, Duration: length, Settle: true})
		t.Logf("without delay p50 is %d ns, p99 %d", way.RTT.P50, way.RTT.P99)
	})
	for _, text := range []string{"200us", "1ms", "normal:500us,50us", "quantiles:0=200us,0.9=200us,0.91=1ms,1=1ms"} {
		t.Run(text, func(t *testing.T) {
			delay, err := lab.ParseDistribution(text)
			if err != nil {
				t.Fatal(err)
			}
			tries(t, 5, func(t *testing.T) bool {
				l, s := startLab(t, lab.Config{Responder: lab.Delay, Delay: delay})
				trial := try(t, s, Load{Rate: rate, Duration: length, Settle: true})
				stats, err := l.Stats()
				if err != nil {
					t.Fatal(err)
				}
				d := stats.Delay
				if d.Actual.Count != trial.Answered {
					t.Logf("%d delayed, %d answered", d.Actual.Count, trial.Answered)
					return false
				}
				t.Logf("p50 %d, injected %d; p99 %d, injected %d, done %d", trial.RTT.P50, d.Injected.P50, trial.RTT.P99, d.Injected.P99, d.Actual.P99)
				return alike(trial.RTT.P50, d.Injected.P50) && alike(trial.RTT.P99, d.Actual.P99)
			})
		})
	}
}

// alike says whether a latency is that which was injected, within 5 microseconds
// or 3 %.
func alike(ns uint64, injected time.Duration) bool {
	return (time.Duration(ns) - injected).Abs() <= max(5*time.Microsecond, injected*3/100)
}
