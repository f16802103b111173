// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"xsweep/internal/lab"
	"xsweep/sweep/pace"
)

// What a monitor shows never goes back, never exceeds what is due, and ends
// with what the summary says.
func TestMonitor(t *testing.T) {
	startLab(t, lab.Config{Live: 0.5, Duplicate: 0.5, Seed: 2})
	c := Config{
		Targets: named(t, "240.12.0.0/22", "198.18.0.0/28"), Probes: 2, ProbeInterval: time.Millisecond,
		Rate: 20_000, Threads: 2, Cooldown: 100 * time.Millisecond, Monitor: new(Monitor),
	}
	if diff := cmp.Diff(Progress{}, c.Monitor.Progress()); diff != "" {
		t.Errorf("before the sweep (-want +got):\n%s", diff)
	}
	finished := make(chan struct{})
	watched := make(chan error, 1)
	phases := map[Phase]int{}
	go func() {
		watched <- func() error {
			var last Progress
			for {
				p := c.Monitor.Progress()
				if err := follows(last, p, c.Cooldown); err != nil {
					t.Errorf("%+v\nafter\n%+v", p, last)
					return err
				}
				phases[p.Phase]++
				last = p
				select {
				case <-finished:
					return nil
				default:
					runtime.Gosched()
				}
			}
		}()
	}()
	s, _ := runSweep(t, c)
	close(finished)
	if err := <-watched; err != nil {
		t.Error(err)
	}
	for _, phase := range []Phase{Preparing, Sending, CoolingDown} {
		if phases[phase] == 0 {
			t.Errorf("phase %d was never seen: %v", phase, phases)
		}
	}
	v := s.Packets.Verdicts
	want := Progress{
		Phase: Done, Due: s.Probes.Due, Handed: s.Probes.Handed, Skipped: s.Probes.Unsent["skipped"], Accepted: s.Probes.Accepted,
		Judged: s.Packets.Judged, First: v["first"], Repeat: v["repeat"], Duplicate: v["duplicate"],
	}
	got := c.Monitor.Progress()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Progress{}, "Elapsed", "SendingFor")); diff != "" {
		t.Errorf("after the sweep (-want +got):\n%s", diff)
	}
	if got.Elapsed < got.SendingFor+c.Cooldown || got.SendingFor <= 0 {
		t.Errorf("sending took %v of %v", got.SendingFor, got.Elapsed)
	}
	if again := c.Monitor.Progress(); again != got {
		t.Errorf("the last progress changes: %+v, then %+v", got, again)
	}
}

// follows says what is wrong with p as the next progress after last.
func follows(last, p Progress, cooldown time.Duration) error {
	switch {
	case p.Phase < last.Phase:
		return errors.New("the phase goes back")
	case p.Handed != p.Accepted+p.Refused:
		return errors.New("handed is not accepted and refused")
	case p.Phase > Preparing && p.Handed+p.Skipped > p.Due:
		return errors.New("more than was due")
	case p.Accepted < last.Accepted || p.Refused < last.Refused || p.Skipped < last.Skipped:
		return errors.New("probes go back")
	case p.Judged < last.Judged || p.First < last.First || p.Repeat < last.Repeat || p.Duplicate < last.Duplicate || p.Lost < last.Lost:
		return errors.New("packets go back")
	case p.First+p.Repeat > p.Accepted+pace.Burst: // a batch under way may be ahead
		return errors.New("more answers than probes")
	case p.Elapsed < last.Elapsed || p.SendingFor < last.SendingFor || p.SendingFor > p.Elapsed:
		return errors.New("times are wrong")
	case p.CooldownLeft > cooldown || p.CooldownLeft != 0 && p.Phase != CoolingDown:
		return errors.New("the cooldown is wrong")
	}
	return nil
}
