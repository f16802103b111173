// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"slices"
	"testing"
	"time"

	"xsweep/internal/lab"
)

// A search finds what a lab can take: NDR and PDR within 2 %, and in order, and NDR
// in five repeats no more than 2 % apart. In a trial the bucket passes more than
// the rate, by what it holds: what was found must lie between the two, but for what
// pacing may be off.
func TestSearchOfTheLab(t *testing.T) {
	const (
		warmup, length = 50 * time.Millisecond, 150 * time.Millisecond
		share          = 0.005
	)
	capacity := lab.Bucket{Rate: 30_000, Burst: 64} // room for a batch, and for one that is late
	rate := float64(capacity.Rate)
	bucket := float64(capacity.Burst) / (warmup + length).Seconds()
	ndr := Goal{Exceed: 0.5, Trial: length, Sum: length, Width: 0.01}
	pdr := ndr
	pdr.Loss = share
	for _, c := range []struct {
		tx      Tx
		goals   []Goal
		repeats int
	}{
		{TxPacket, []Goal{ndr}, 5},
		{TxXDP, []Goal{ndr, pdr}, 1},
	} {
		t.Run(string(c.tx), func(t *testing.T) {
			startLab(t, lab.Config{Live: 1, Capacity: capacity})
			s := open(t, Config{Tx: c.tx, MaxRate: 2 * capacity.Rate, Drain: 50 * time.Millisecond})
			var lowers []float64
			for range c.repeats + 4 { // others' load may spoil some
				found, _, err := Search(context.Background(), s, SearchConfig{
					Goals: slices.Clone(c.goals), Min: capacity.Rate * 8 / 10, Max: capacity.Rate * 11 / 10, Warmup: warmup,
				})
				good := err == nil && found[0].Lower <= found[len(found)-1].Lower
				for _, f := range found {
					least, most := rate/(1-f.Goal), (rate+bucket)/(1-f.Goal)
					good = good && near(f.Lower, least, 0.02) &&
						float64(f.Upper) >= least*(1-DefaultPacingError) && float64(f.Lower) <= most*(1+DefaultPacingError)
				}
				if !good {
					t.Logf("%+v, %v", found, err)
					continue
				}
				lowers = append(lowers, float64(found[0].Lower))
				slices.Sort(lowers)
				for i := range len(lowers) - c.repeats + 1 {
					if lowers[i+c.repeats-1] <= 1.02*lowers[i] {
						return
					}
				}
			}
			t.Errorf("no %d searches find it, and the same: %v", c.repeats, lowers)
		})
	}
}

// Recovery is the time from the end of an overload to the last probe that was
// lost: none where nothing was too much, next to none where a bucket fills faster
// than it is emptied, and exact where it is known which are lost.
func TestRecovery(t *testing.T) {
	const rate, factor, length = 5000, 4, 200 * time.Millisecond
	load := Load{Rate: rate, Overload: factor, Duration: length}
	t.Run("nothing is too much", func(t *testing.T) {
		l := startLab(t, lab.Config{Live: 1, Capacity: lab.Bucket{Rate: 1_000_000, Burst: 1000}})
		trial, _ := watched(t, l, open(t, Config{Tx: TxPacket}), load)
		if trial.Recovery == nil || *trial.Recovery != 0 || trial.Lost != 0 {
			t.Errorf("%v after the overload, %d lost", trial.Recovery, trial.Lost)
		}
	})
	t.Run("a bucket", func(t *testing.T) {
		l := startLab(t, lab.Config{Live: 1, Capacity: lab.Bucket{Rate: 2 * rate, Burst: 64}})
		s := open(t, Config{Tx: TxPacket})
		for range 5 {
			trial, did := watched(t, l, s, load)
			if trial.Lost != did.overCapacity || trial.Lost == 0 {
				t.Errorf("%d lost, %d over the capacity", trial.Lost, did.overCapacity)
			}
			// In a millisecond it takes twice what comes.
			if *trial.Recovery <= uint64(2*time.Millisecond) {
				return
			}
			t.Logf("%d ns after the overload", *trial.Recovery)
		}
		t.Error("not recovered in five tries")
	})
	for name, late := range map[string]bool{"losses of the overload alone": false, "losses behind the overload": true} {
		t.Run(name, func(t *testing.T) {
			const behind = rate * uint64(length) / uint64(time.Second) // probes
			world := lab.Config{Live: 1, Loss: 0.001, PerProbe: true}
			// after says how many of the probes behind the overload there are up to the
			// last that gets lost.
			after := func(end uint64) uint64 {
				n := behind
				for n > 0 && !world.IndexLost(at("198.18.2.7"), (end-behind+n-1)<<8|1) {
					n--
				}
				return n
			}
			for after((factor+1)*behind) > 0 != late {
				world.Seed++
			}
			l := startLab(t, world)
			s := open(t, Config{Tx: TxPacket})
			trial, _ := watched(t, l, s, load)
			if want := after(s.next) * uint64(time.Second) / rate; *trial.Recovery != want || trial.Lost == 0 {
				t.Errorf("%d lost, %d ns after the overload, want %d", trial.Lost, *trial.Recovery, want)
			}
		})
	}
}
