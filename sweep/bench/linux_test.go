// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"math"
	"os"
	"testing"
	"time"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
)

// limited starts a lab where Linux limits its echo replies: so many a second, with
// a bucket (kernel, ip-sysctl.rst: icmp_msgs_per_sec, icmp_msgs_burst,
// icmp_ratemask).
func limited(t *testing.T, rate, burst string) {
	t.Helper()
	l := startLab(t, lab.Config{Responder: lab.Kernel})
	err := l.AtResponder(func() error {
		for name, value := range map[string]string{"icmp_ratemask": "1", "icmp_msgs_per_sec": rate, "icmp_msgs_burst": burst} {
			if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0); err != nil {
				return err
			}
		}
		return nil
	})
	if os.IsNotExist(err) {
		labtest.Lacking(t, "a kernel that limits ICMP by network namespace")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// rest lets a limiter's bucket fill, which none of those here takes long for.
func rest(ctx context.Context, _ time.Duration) error {
	timer := time.NewTimer(400 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Linux's own limit of ICMP is found: as a limiter, with its rate within 2 %. Its
// bucket is only known within a quarter, since Linux fills it every 20 ms, and a
// reply takes none to two of its tokens, by chance.
func TestLinuxLimiter(t *testing.T) {
	limited(t, "2000", "400")
	// A limiter does not mind how exactly it is overloaded.
	s := open(t, Config{Tx: TxPacket, PacingError: 0.5, MaxRate: 10_000})
	relaxed := try(t, s, Load{Rate: 500, Duration: 200 * time.Millisecond})
	for range 5 {
		l, trials, err := FindLimiter(context.Background(), s, 2000, time.Second, relaxed.RTT, rest)
		if err != nil {
			t.Fatal(err)
		}
		if l == nil {
			last := trials[len(trials)-1]
			t.Logf("not recognised: %d trials, the last one %v %s: %d of %d, p50 %d", len(trials), last.Valid, last.Reason, last.Answered, last.Sent, last.RTT.P50)
			continue
		}
		if math.Abs(l.Rate-2000) > 40 || math.Abs(l.Burst-400) > 100 {
			t.Logf("%+v, want 2000 a second and 400", l)
			continue
		}
		return
	}
	t.Error("not found in five tries")
}

// A search finds a capacity that is known. Linux fills its bucket every 20 ms, so
// that it must be deeper than what comes meanwhile.
func TestLinuxSearch(t *testing.T) {
	limited(t, "5000", "200")
	s := open(t, Config{Tx: TxPacket, PacingError: 0.02, MaxRate: 8000, Drain: 200 * time.Millisecond})
	goal := Goal{Exceed: 0.5, Trial: 500 * time.Millisecond, Sum: 1500 * time.Millisecond, Width: 0.02}
	found, trials, err := Search(context.Background(), s, SearchConfig{Goals: []Goal{goal}, Min: 3000, Max: 8_000, Warmup: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d trials: %+v", len(trials), found)
	// The bucket passes another 200 in a trial and its warm-up.
	if found[0].Lower < 4800 || found[0].Lower > 5400 {
		t.Errorf("NDR %+v", found[0])
	}
}
