// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xsweep/loader"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
	"xsweep/sweep/target"
)

func newPlan(t *testing.T, c Config) *Plan {
	t.Helper()
	p, err := NewPlan(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The shards of a plan have each target of the whole exactly once, in its
// order, whatever the number of threads.
func TestPlanShards(t *testing.T) {
	c := Config{
		Targets: named(t, "198.18.0.0/24", "240.0.0.7-240.0.1.9"), Seed: 42,
		Exclude: target.SetOf(named(t, "198.18.0.16/28", "240.0.0.8")),
	}
	whole := newPlan(t, c)
	order := slices.Collect(whole.All())
	if want := 256 + 259 - 16 - 1; len(order) != want || whole.Len() != uint64(want) {
		t.Fatalf("%d targets, Len says %d, want %d", len(order), whole.Len(), want)
	}
	for _, count := range []uint64{1, 2, 3, 7, 498, 600} {
		got := make([]target.Addr, len(order))
		seen := map[uint64]bool{}
		for index := range count {
			c := c
			c.Shard = target.Shard{Index: index + 1, Count: count}
			c.Threads = int(index%3) + 1
			p := newPlan(t, c)
			for k := range p.Len() {
				addr, i := p.At(k)
				if seen[i] {
					t.Fatalf("of %d shards two have index %d", count, i)
				}
				seen[i], got[i] = true, addr
			}
			s := p.Summary()
			if err := s.Check(); err != nil {
				t.Errorf("shard %d/%d: %v", index+1, count, err)
			}
			if s.Targets.OtherShards != uint64(len(order))-p.Len() || s.Probes.Due != p.Len() {
				t.Errorf("shard %d/%d: %+v, %+v", index+1, count, s.Targets, s.Probes)
			}
		}
		if diff := cmp.Diff(order, got); diff != "" {
			t.Errorf("%d shards together (-whole +shards):\n%s", count, diff)
		}
	}
	// An early end of the loop ends the plan's too.
	n := 0
	for range whole.All() {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d targets", n)
	}
}

// A dry run counts all and sends nothing.
func TestPlanSummary(t *testing.T) {
	p := newPlan(t, Config{
		Targets: named(t, "9.255.255.0-10.0.0.9"), Exclude: target.SetOf(named(t, "9.255.255.1-5")), Probes: 3,
	})
	s := p.Summary()
	want := TargetCounts{Named: 266, Excluded: 5, Special: 10, Skipped: map[string]uint64{}, Unprobed: 251}
	if diff := cmp.Diff(want, s.Targets); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(ProbeCounts{Due: 753, Unsent: map[string]uint64{"dry_run": 753}, Refused: map[string]uint64{}}, s.Probes); diff != "" {
		t.Errorf("probes (-want +got):\n%s", diff)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

func TestPlanNothingLeft(t *testing.T) {
	for name, c := range map[string]Config{
		"excluded": {Targets: named(t, "240.0.0.0/30"), Exclude: target.SetOf(named(t, "240.0.0.0/29"))},
		"special":  {Targets: named(t, "9.255.255.255-10.0.0.1"), Exclude: target.SetOf(named(t, "9.255.255.255"))},
	} {
		_, err := NewPlan(c)
		if !errors.Is(err, ErrNothing) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, number := range []string{"of ", "excluded", "special"} {
			if !strings.Contains(err.Error(), number) {
				t.Errorf("%s: %q does not say %q", name, err, number)
			}
		}
	}
}

// Each field that cannot be is refused, and named in the error.
func TestPlanErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no targets":            {func(c *Config) { c.Targets = nil }, "no targets"},
		"negative probes":       {func(c *Config) { c.Probes = -1 }, "-1 probes"},
		"too many probes":       {func(c *Config) { c.Probes = loader.MaxAttempts + 1 }, "62 probes"},
		"a kind twice":          {func(c *Config) { c.Kinds = []probe.Kind{probe.Mask, probe.Mask} }, "each once"},
		"unknown kind":          {func(c *Config) { c.Kinds = []probe.Kind{probe.NumKinds} }, "kind 3"},
		"too long":              {func(c *Config) { c.Size = 65508 }, "size 65508"},
		"unknown replies":       {func(c *Config) { c.Replies = "some" }, `"some"`},
		"many without a tag":    {func(c *Config) { c.Many, c.Size = true, 19 }, "at least 20"},
		"negative max runtime":  {func(c *Config) { c.MaxRuntime = -time.Second }, "max runtime -1s"},
		"unknown transmitter":   {func(c *Config) { c.Tx = "pigeon" }, `"pigeon"`},
		"shard beyond the last": {func(c *Config) { c.Shard = target.Shard{Index: 5, Count: 4} }, `"5/4"`},
		"shard 0":               {func(c *Config) { c.Shard = target.Shard{Count: 4} }, `"0/4"`},
		"absurd rate":           {func(c *Config) { c.Rate = pace.Highest + 1 }, "rate 1000000001"},
		"negative threads":      {func(c *Config) { c.Threads = -1 }, "-1 threads"},
		"too many threads":      {func(c *Config) { c.Threads = pace.MaxThreads + 1 }, "17 threads"},
		"negative batch":        {func(c *Config) { c.Batch = -1 }, "-1 frames"},
		"too large a batch":     {func(c *Config) { c.Batch = pace.Burst + 1 }, "65 frames"},
	} {
		t.Run(name, func(t *testing.T) {
			c := Config{Targets: named(t, "240.0.0.0/30")}
			tc.change(&c)
			_, err := NewPlan(c)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v: should say %q, on one line", err, tc.want)
			}
			// A sweep finds the same, before it does anything.
			var start *StartError
			if _, run := Run(t.Context(), c, new(keeper)); !errors.As(run, &start) || run.Error() != err.Error() {
				t.Errorf("Run says %v, NewPlan %v", run, err)
			}
		})
	}
	for _, c := range []Config{
		{Probes: loader.MaxAttempts}, {Rate: pace.Max}, {Rate: pace.Highest}, {Threads: pace.MaxThreads}, {Batch: pace.Burst},
		{Tx: TxRaw}, {Tx: TxPacket}, {Shard: target.Shard{Index: 4, Count: 4}}, {Cooldown: -1}, {Source: netip.Addr{}},
	} {
		c.Targets = named(t, "240.0.0.0/30")
		newPlan(t, c)
	}
}

func TestParseTx(t *testing.T) {
	for _, want := range []Tx{TxAuto, TxPacket, TxRaw, TxXDP} {
		if got, err := ParseTx(string(want)); got != want || err != nil {
			t.Errorf("ParseTx(%q) = %q, %v", want, got, err)
		}
	}
	for _, text := range []string{"", "RAW", "afxdp"} {
		if _, err := ParseTx(text); err == nil || !strings.Contains(err.Error(), "auto, packet, raw or xdp") {
			t.Errorf("ParseTx(%q): %v", text, err)
		}
	}
}
