// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"testing"

	"xsweep/internal/lab"
	"xsweep/sweep/pace"
)

// A sweep of few answers a second that becomes one of many in its middle, between
// two looks at the rings, loses no record.
func TestRateRisesBetweenLooks(t *testing.T) {
	l := startLab(t, lab.Config{Live: 1})
	c := Config{Targets: named(t, "240.0.0.0/14"), Rate: 1000, Tx: TxPacket, Monitor: new(Monitor)}
	done := once(c.Monitor, 20, func() error { return c.Monitor.SetRate(pace.Max) })
	s, records := undisturbed(t, l, c)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	verdicts(t, &s, map[string]uint64{"first": 1 << 18})
	if len(records) != 1<<18 {
		t.Errorf("%d records", len(records))
	}
}

// Readers leave the kernel only at rates that their rings have room for.
func TestCollectorFew(t *testing.T) {
	if fewFor(nil) != 0 {
		t.Error("no ring has room for any")
	}
	c := collector{awake: make(chan struct{}), few: 1000}
	c.setRate(1000)
	select {
	case <-c.awake:
		t.Error("awake at a low rate")
	default:
	}
	c.setRate(1001)
	c.setRate(pace.Max)
	select {
	case <-c.awake:
	default:
		t.Error("asleep at a high rate")
	}
}
