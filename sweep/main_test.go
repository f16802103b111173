// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
	"xsweep/loader"
	"xsweep/sweep/reply"
	"xsweep/sweep/sink"
	"xsweep/sweep/target"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// within bounds each wait for something that must come.
const within = 20 * time.Second

// named parses targets.
func named(t testing.TB, texts ...string) []target.Target {
	t.Helper()
	var targets []target.Target
	for _, text := range texts {
		parsed, err := target.Parse(context.Background(), nil, text)
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, parsed...)
	}
	return targets
}

// keeper is a sink that keeps all records.
type keeper struct {
	mu      sync.Mutex
	records []reply.Record
	closed  int
	fail    error // what Write returns from the first record on
	failed  uint64
}

func (k *keeper) Write(records []reply.Record) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		k.failed += uint64(len(records))
		return k.fail
	}
	k.records = append(k.records, records...)
	return nil
}

func (k *keeper) Counts() sink.Counts {
	return sink.Counts{Path: "kept", Format: "none", Written: uint64(len(k.records)), Failed: k.failed}
}

func (k *keeper) Close() error { k.closed++; return nil }

// openLab makes a lab in the test's namespace, which the caller closes.
func openLab(t *testing.T, c lab.Config) *lab.Lab {
	t.Helper()
	labtest.Kernel(t)
	c.InPlace = true
	l, err := lab.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// startLab makes a lab in the test's namespace, which ends with the test.
func startLab(t *testing.T, c lab.Config) *lab.Lab {
	t.Helper()
	l := openLab(t, c)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func labStats(t *testing.T, l *lab.Lab) lab.Stats {
	t.Helper()
	s, err := l.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// labIndex is the interface index of lab0.
func labIndex(t *testing.T) int {
	t.Helper()
	link, err := netlink.LinkByName(lab.SenderDevice)
	if err != nil {
		t.Fatal(err)
	}
	return link.Attrs().Index
}

// brief fills in what keeps a test short.
func brief(c Config) Config {
	if c.Rate == 0 {
		c.Rate = 50_000
	}
	if c.Cooldown == 0 {
		c.Cooldown = 100 * time.Millisecond
	}
	return c
}

// runSweep runs a sweep that must end without an error, and checks its account:
// the identities, what the device has sent, and that no program is left.
func runSweep(t *testing.T, c Config) (Summary, []reply.Record) {
	t.Helper()
	var kept keeper
	s, err := Run(context.Background(), brief(c), &kept)
	if err != nil {
		t.Fatal(err)
	}
	checkAccount(t, &s, &kept)
	checkDevice(t, &s)
	return s, kept.records
}

// checkAccount checks what must hold after every sweep, however it ended.
func checkAccount(t *testing.T, s *Summary, kept *keeper) {
	t.Helper()
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	if got := uint64(len(kept.records)) + kept.failed; got != s.Records.Emitted {
		t.Errorf("the sink got %d records, but %d were emitted", got, s.Records.Emitted)
	}
	if kept.closed != 1 {
		t.Errorf("the sink was closed %d times", kept.closed)
	}
	if s.Started.After(s.Ended) || s.Started.IsZero() {
		t.Errorf("started %v, ended %v", s.Started, s.Ended)
	}
}

// checkDevice checks that lab0 has sent the accepted probes, nothing else, and
// has no program on it any more.
func checkDevice(t *testing.T, s *Summary) {
	t.Helper()
	d, ok := s.Devices[lab.SenderDevice]
	if !ok || d.Tx != s.Probes.Accepted || d.Unexplained != 0 {
		t.Errorf("%d probes were accepted, but the devices say %+v", s.Probes.Accepted, s.Devices)
	}
	if found, ok := loader.FindXDP(labIndex(t)); ok {
		t.Errorf("%v is still on %s", found, lab.SenderDevice)
	}
}
