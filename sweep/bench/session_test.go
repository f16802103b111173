// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"xsweep/internal/lab"
	"xsweep/sweep/target"
)

// Loss and duplicates are those that the responder counts, by every transmitter,
// with one thread and one target or several.
func TestTrialIsExact(t *testing.T) {
	for _, c := range []Config{
		{Tx: TxXDP},
		{Tx: TxPacket},
		{Tx: TxPacket, Threads: 2, Targets: addrs("198.18.2.7", "198.18.2.8", "198.18.2.9")},
	} {
		t.Run(fmt.Sprintf("%s, %d threads", c.Tx, max(c.Threads, 1)), func(t *testing.T) {
			l := startLab(t, lab.Config{Live: 1, Loss: 0.1, Duplicate: 1, Seed: 3})
			s := open(t, c)
			whole := 0
			for round := 0; whole < 2; round++ { // what the first one counts is not the second one's
				if round == 10 {
					t.Fatal("the link loses replies each time")
				}
				before, err := l.Stats()
				if err != nil {
					t.Fatal(err)
				}
				trial := try(t, s, Load{Rate: 20_000, Duration: 500 * time.Millisecond})
				after, err := l.Stats()
				if err != nil {
					t.Fatal(err)
				}
				if after.RepliesRefused > before.RepliesRefused || after.RequestsRefused > before.RequestsRefused {
					continue
				}
				whole++
				if sent := after.EchoRequests - before.EchoRequests; trial.Sent != sent {
					t.Errorf("%d sent, the responder saw %d", trial.Sent, sent)
				}
				if lost := after.Lost - before.Lost; trial.Lost != lost || lost == 0 {
					t.Errorf("%d lost, the responder lost %d", trial.Lost, lost)
				}
				if duplicates := after.Duplicated - before.Duplicated; trial.Duplicate != duplicates || duplicates == 0 {
					t.Errorf("%d duplicates, the responder sent %d", trial.Duplicate, duplicates)
				}
				if trial.Late != 0 || trial.Errors != 0 {
					t.Errorf("%d late, %d errors", trial.Late, trial.Errors)
				}
			}
		})
	}
}

// The warm-up is sent, and not counted.
func TestTrialWarmup(t *testing.T) {
	l := startLab(t, lab.Config{Live: 1})
	s := open(t, Config{Tx: TxPacket})
	trial := try(t, s, Load{Rate: 10_000, Duration: 200 * time.Millisecond, Warmup: 100 * time.Millisecond})
	stats, err := l.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if trial.Verdicts["warmup"]+trial.Answered != stats.HostsAnswered || trial.Verdicts["warmup"] > 1000 {
		t.Errorf("%d in the warm-up, %d behind it, the responder answered %d", trial.Verdicts["warmup"], trial.Answered, stats.HostsAnswered)
	}
	if trial.Reordered != 0 || trial.Lost != 0 {
		t.Errorf("%d reordered, %d lost", trial.Reordered, trial.Lost)
	}
}

// Bursts are sent as asked for, and every probe of them is its own.
func TestTrialBursts(t *testing.T) {
	for _, tx := range []Tx{TxPacket, TxXDP} {
		t.Run(string(tx), func(t *testing.T) {
			startLab(t, lab.Config{Live: 1})
			trial := try(t, open(t, Config{Tx: tx}), Load{Rate: 5_000, Duration: 400 * time.Millisecond, Burst: 50})
			if trial.Sent != 2000 || trial.Burst != 50 {
				t.Errorf("%d sent, %d answered", trial.Sent, trial.Answered)
			}
		})
	}
}

// Whoever does not answer, or only with errors, is given up after the warm-up.
func TestTrialSilent(t *testing.T) {
	errors, err := lab.ParseWeights("unreachable")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		lab     lab.Config
		verdict string
	}{
		"nobody":      {lab.Config{Live: 0}, "did not answer a single probe"},
		"only errors": {lab.Config{Live: 1, Behaviours: errors}, "only errors came"},
	} {
		t.Run(name, func(t *testing.T) {
			startLab(t, c.lab)
			s := open(t, Config{Tx: TxPacket})
			trial := try(t, s, Load{Rate: 1000, Duration: time.Minute, Warmup: 200 * time.Millisecond})
			if trial.Answered != 0 || trial.Sent > 30_000 {
				t.Errorf("%d sent, %d answered", trial.Sent, trial.Answered)
			}
			if verdict := conclusion(trial); !strings.Contains(verdict, c.verdict) {
				t.Errorf("verdict %q", verdict)
			}
		})
	}
}

// One dead target of several is named.
func TestTrialOneDead(t *testing.T) {
	world := lab.Config{Live: 0.5, Seed: 4}
	live, dead := "", ""
	for i := range 100 {
		a := fmt.Sprintf("198.18.2.%d", i+1)
		if world.Host(at(a)).Live {
			live = a
		} else {
			dead = a
		}
	}
	startLab(t, world)
	s := open(t, Config{Tx: TxPacket, Targets: addrs(live, dead)})
	trial := try(t, s, Load{Rate: 5000, Duration: 200 * time.Millisecond, Warmup: 50 * time.Millisecond})
	if want := fmt.Sprintf("of 2 targets 1 did not answer: %s", dead); conclusion(trial) != want {
		t.Errorf("verdict %q, want %q", conclusion(trial), want)
	}
	if trial.Targets[0].Answered != trial.Answered || trial.Targets[1].Sent != trial.Sent/2 {
		t.Errorf("%+v", trial.Targets)
	}
}

// An interrupted trial counts what it has sent, and adds up.
func TestTrialInterrupted(t *testing.T) {
	startLab(t, lab.Config{Live: 1})
	s := open(t, Config{Tx: TxPacket})
	ctx, cancel := context.WithCancel(context.Background())
	s.config.Progress = func(p Progress) {
		if p.Answered > 0 {
			cancel()
		}
	}
	trial, err := s.Trial(ctx, Load{Rate: 5000, Duration: time.Minute})
	if err != nil || !trial.Interrupted() || trial.Valid || trial.Sent == 0 || trial.Lost != 0 {
		t.Errorf("%v, %d sent, %d lost, valid %t", err, trial.Sent, trial.Lost, trial.Valid)
	}
}

// What cannot be measured is refused before anything is sent.
func TestOpenRefuses(t *testing.T) {
	startLab(t, lab.Config{Live: 1})
	for want, c := range map[string]Config{
		"do not fit into the MTU": {Size: 1500},
		"payload":                 {Size: 19},
		"named twice":             {Targets: addrs("198.18.2.7", "198.18.2.7")},
		"can be told apart":       {MaxRate: 1_000_000_000},
	} {
		c.Log = slog.New(slog.DiscardHandler)
		if c.Targets == nil {
			c.Targets = addrs("198.18.2.7")
		}
		if c.Size == 0 {
			c.Size = DefaultSize
		}
		if c.MaxRate == 0 {
			c.MaxRate = 1000
		}
		s, err := Open(context.Background(), c)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func at(text string) target.Addr {
	a, _ := target.AddrFrom(addrs(text)[0])
	return a
}
