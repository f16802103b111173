// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"xsweep/internal/lab"
	"xsweep/internal/testrand"
)

// killCases are the sweeps that are killed. Each is of 4096 targets, and takes
// about a second if it is left alone.
var killCases = []struct {
	name  string
	args  []string
	lasts time.Duration
}{
	{"positive", nil, 800 * time.Millisecond},
	{"errors too", []string{"--replies", "all"}, 800 * time.Millisecond},
	{"errors alone", []string{"--replies", "errors"}, 800 * time.Millisecond},
	{"two probes", []string{"--replies", "all", "--probes", "2", "--probe-interval", "20ms"}, 1300 * time.Millisecond},
	{"where", []string{"--replies", "all", "--where", "hops > 8 && code != 1"}, 800 * time.Millisecond},
	{"two kinds", []string{"--probe", "echo,timestamp", "--probe-interval", "20ms"}, 1300 * time.Millisecond},
}

// killWeights are of hosts whose answers do not depend on how often they were
// asked: in a resumed sweep that is not determined.
const killWeights = "host=8,echo,timestamp,silent,unreachable=4,parameter-problem=2,broken=2"

// A hundred kills at random moments: the results are those of a sweep that was
// never stopped, each once, and the account adds up with what the device has
// counted.
func TestHundredKills(t *testing.T) {
	weights, err := lab.ParseWeights(killWeights)
	if err != nil {
		t.Fatal(err)
	}
	world := lab.Config{Live: 0.7, Duplicate: 0.1, Seed: 11, Behaviours: weights}
	placeLab(t, world)
	random := testrand.New(t)
	const enough = 100
	for number, kills := 0, 0; kills < enough; number++ {
		tx, tc := []string{"packet", "xdp"}[number%2], killCases[number/2%len(killCases)]
		t.Run(fmt.Sprintf("%s/%s", tx, tc.name), func(t *testing.T) {
			s := newSaga(t, world, "240.7.0.0/20", append([]string{"--tx", tx, "--rate", "8k"}, tc.args...)...)
			for most := 5 + random.IntN(5); s.kills < most; {
				alone := random.IntN(2) == 0
				after := time.Duration(random.Int64N(int64(tc.lasts)))
				if !s.runUntil(t, alone, after) {
					break
				}
			}
			kills += s.kills
			s.finish(t)
			s.check(t)
		})
		if t.Failed() {
			return
		}
	}
}

// At most the targets of an interval and a cooldown are probed twice, and not what
// came long before.
func TestProbedAgain(t *testing.T) {
	world := lab.Config{Live: 0.3, Seed: 12}
	placeLab(t, world)
	random := testrand.New(t)
	const rate, tries = 10_000, 3
	const interval, cooldown = 100 * time.Millisecond, 300 * time.Millisecond
	// A record may be 200 ms on its way to a sink, and how far the sweep has come
	// is noted every 25 ms. On a machine that is busy with others all comes late.
	const slack, busy = 200*time.Millisecond + 25*time.Millisecond, 2
	try := func(tx string) bool {
		s := newSaga(t, world, "240.7.0.0/16", "--tx", tx, "--rate", strconv.Itoa(rate),
			"--cooldown", cooldown.String(), "--checkpoint-every", interval.String())
		if !s.runUntil(t, false, 3*time.Second+time.Duration(random.Int64N(int64(time.Second)))) {
			t.Fatal("it has ended before it was killed")
		}
		// A save takes its time too.
		saved := s.state(t)
		late := max(s.killed.Sub(saved.Saved), interval)
		s.finish(t, "--rate", "100k")
		a := s.check(t)
		unaccounted := s.sent(t) - a.count("probes.accepted")
		again, most := a.count("probes.again")+unaccounted, busy*rate*(late+cooldown+slack).Seconds()+64
		t.Logf("%s: of %d targets %d were probed again, want %.0f at most; killed %v after the last save; %d have no account, %d at most",
			tx, saved.Account.Accepted, again, most, late, unaccounted, a.count("probes.unaccounted_at_most"))
		return float64(again) <= most
	}
	for _, tx := range []string{"packet", "xdp"} {
		for n := 1; !try(tx); n++ {
			if n == tries {
				t.Errorf("%s: too many targets were probed again in each of %d tries", tx, tries)
				break
			}
		}
	}
}
