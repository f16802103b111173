// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"math"
	"testing"
	"time"

	"xsweep/internal/lab"
)

// A limiter that is exactly known is found: its rate within 2 %, its bucket within
// 10 %.
func TestLimiterOfTheLab(t *testing.T) {
	startLab(t, lab.Config{Live: 1, Limiter: lab.Bucket{Rate: 2000, Burst: 400}})
	s := open(t, Config{Tx: TxPacket, PacingError: 0.5, MaxRate: 10_000})
	relaxed := try(t, s, Load{Rate: 500, Duration: 200 * time.Millisecond})
	// A machine that is busy with others may spoil a try.
	for range 3 {
		l, trials, err := FindLimiter(context.Background(), s, 2000, time.Second/2, relaxed.RTT, rest)
		switch {
		case err != nil:
			t.Fatal(err)
		case l == nil:
			t.Logf("not recognised: %+v", trials)
		case math.Abs(l.Rate-2000) > 40 || math.Abs(l.Burst-400) > 40:
			t.Logf("%+v, want 2000 a second and 400", l)
		default:
			return
		}
	}
	t.Error("not found in three tries")
}
