// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"testing"
	"time"

	"xsweep/internal/lab"
	"xsweep/sweep/pace"
)

// The rate changes in mid-flight, from another goroutine, with all probes given
// to the transmitter already or still to come: up soon, down with no more than
// the burst behind it, as the far end sees it. As in TestConformPace the machine
// may hold frames up, so only gross violations count.
func TestConformSetRate(t *testing.T) {
	const (
		low, high = 1000, 20_000
		slow      = 150  // frames at the low rate
		fast      = 4000 // at the high one
		loose     = 4 * pace.Burst
	)
	conform(t, lab.Config{Responder: lab.Sink, MeterRate: high}, func(t *testing.T, l *lab.Lab, open func(options) (Transmitter, thread)) {
		tx, th := open(options{rate: low})
		const n = slow + fast + slow
		raised, lowered, handed := int64(0), int64(0), uint64(0)
		changed := watchAccepted(tx, slow, func() error {
			if err := tx.SetRate(high); err != nil {
				return err
			}
			raised = th.clock.Now()
			return <-watchAccepted(tx, slow+fast, func() error {
				err := tx.SetRate(low)
				lowered, handed = th.clock.Now(), tx.Handed()
				return err
			})
		})
		start := th.clock.Now()
		mustSendAll(t, tx, numbered(0, n))
		end := th.clock.Now()
		if err := <-changed; err != nil {
			t.Fatal(err)
		}
		settle(t, l, n)
		reading, err := l.Meter()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d frames in %v, %v, %v; at most %.1f ahead of the high rate; %d stalls", n,
			time.Duration(raised-start), time.Duration(lowered-raised), time.Duration(end-lowered), reading.Burst, tx.Counts().Stalls)
		if reading.Frames != n || reading.Burst > loose {
			t.Errorf("%d frames arrived, at most %.1f ahead of the high rate", reading.Frames, reading.Burst)
		}
		for what, phase := range map[string]struct {
			frames uint64
			rate   time.Duration
			took   int64
		}{
			"low":  {slow, low, raised - start},
			"high": {fast, high, lowered - raised},
			"back": {n - handed, low, end - lowered},
		} {
			if least := (time.Duration(phase.frames) - loose/2) * time.Second / phase.rate; time.Duration(phase.took) < least {
				t.Errorf("%s: %d frames at %d a second took %v, less than %v", what, phase.frames, phase.rate, time.Duration(phase.took), least)
			}
		}
		// Ten times as long as it should take, and half of what it would at the
		// low rate.
		if took := time.Duration(lowered - raised); took > fast*time.Second/low/2 {
			t.Errorf("%d frames at %d a second took %v", fast, high, took)
		}
	})
}

// To max and back: from then on the rate is kept again.
func TestConformSetRateMax(t *testing.T) {
	const rate, few, many = 1000, 150, 60_000
	conform(t, lab.Config{Responder: lab.Sink}, func(t *testing.T, l *lab.Lab, open func(options) (Transmitter, thread)) {
		tx, th := open(options{rate: rate})
		phase := func(first, n int) time.Duration {
			t.Helper()
			start := th.clock.Now()
			if taken, err := sendOn(tx, numbered(first, n)); err != nil {
				t.Fatalf("%d taken, %v", taken, err)
			}
			eventually(t, "all is handed over", func() bool { return tx.Handed() == uint64(first+n) })
			return time.Duration(th.clock.Now() - start)
		}
		set := func(rate pace.Rate) {
			t.Helper()
			tx.Idle()
			if err := tx.SetRate(rate); err != nil {
				t.Fatal(err)
			}
		}
		before := phase(0, few)
		set(pace.Max)
		unpaced := phase(few, many)
		set(rate)
		after := phase(few+many, few)
		t.Logf("%d frames in %v, %d in %v, %d in %v", few, before, many, unpaced, few, after)
		for _, took := range []time.Duration{before, after} {
			if least := (few - pace.Burst) * time.Second / rate; took < least {
				t.Errorf("%d frames at %d a second took %v, less than %v", few, rate, took, least)
			}
		}
		if unpaced > many*time.Second/rate/4 {
			t.Errorf("at max %d frames took %v", many, unpaced)
		}
		if left, err := tx.Drain(); left != 0 || err != nil {
			t.Errorf("%d left, %v", left, err)
		}
		settle(t, l, few+many+few)
		for _, bad := range []pace.Rate{0, pace.Highest + 1} {
			if err := tx.SetRate(bad); err == nil {
				t.Errorf("rate %d is taken", bad)
			}
		}
	})
}
