// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"xsweep/internal/lab"
	"xsweep/loader"
	"xsweep/sweep/pace"
	"xsweep/sweep/target"
)

func TestDefaultThreads(t *testing.T) {
	for _, tc := range []struct {
		rate, each   pace.Rate
		queues, cpus int
		want         int
	}{
		{10_000, 250_000, 8, 8, 1},
		{250_000, 250_000, 8, 8, 1},
		{250_001, 250_000, 8, 8, 2},
		{5_000_000, 1_000_000, 8, 8, 5},
		{pace.Max, 1_000_000, 8, 8, 7},       // a CPU is left to receive
		{pace.Max, 1_000_000, 4, 8, 4},       // one a queue
		{pace.Max, 1_000_000, 64, 64, 16},    // as many as can share a burst
		{pace.Max, 1_000_000, 2, 2, 1},       //
		{pace.Max, 1_000_000, 1, 1, 1},       //
		{pace.Max, 1_000_000, 2, 0, 1},       // CPUs that could not be counted
		{1_000_000_000, 1_000_000, 8, 12, 8}, //
	} {
		if got := defaultThreads(tc.rate, tc.each, tc.queues, tc.cpus); got != tc.want {
			t.Errorf("rate %v at %v a thread, %d queues, %d CPUs: %d threads, want %d", tc.rate, tc.each, tc.queues, tc.cpus, got, tc.want)
		}
	}
}

// details keeps what a sweep tells of its decisions.
type details struct {
	mu    sync.Mutex
	lines []string
}

func (d *details) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (d *details) WithAttrs([]slog.Attr) slog.Handler               { return d }
func (d *details) WithGroup(string) slog.Handler                    { return d }
func (d *details) Handle(_ context.Context, r slog.Record) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, r.Message)
	return nil
}

// The way that is used follows from what is asked, and what was measured; with
// all of them the truth is found.
func TestChoice(t *testing.T) {
	world := lab.Config{Live: 0.1, Seed: 3}
	l := startLab(t, world)
	for _, tc := range []struct {
		name     string
		config   Config
		targets  string
		used     Tx
		why      string
		measured []Tx
	}{
		{"a modest rate", Config{Rate: 100_000}, "240.0.0.0/18", TxPacket, "any device", nil},
		{"asked for packet", Config{Rate: pace.Max, Tx: TxPacket}, "240.0.0.0/14", TxPacket, "asked", nil},
		{"asked for xdp", Config{Rate: 50_000, Tx: TxXDP}, "240.0.0.0/20", TxXDP, "asked", nil},
		{"asked for raw", Config{Rate: 50_000, Tx: TxRaw}, "240.0.0.0/20", TxRaw, "asked", nil},
		{"few probes", Config{Rate: pace.Max}, "240.0.0.0/16", TxPacket, "fewer", nil},
		{"more than packet can", Config{Rate: pace.Max}, "240.0.0.0/12", TxXDP, "faster", []Tx{TxPacket, TxXDP}},
		{"two threads", Config{Rate: pace.Max, Threads: 2}, "240.0.0.0/12", TxXDP, "faster", []Tx{TxPacket, TxXDP}},
		{"a rate that packet reaches", Config{Rate: 120_000}, "240.0.0.0/14", "", "", nil}, // it depends on the machine
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := labStats(t, l)
			var said details
			tc.config.Log = slog.New(&said)
			tc.config.Targets = named(t, tc.targets)
			s, records := runSweep(t, tc.config)
			var found, truth []netip.Addr
			for _, r := range records {
				found = append(found, r.Addr)
			}
			for a := range world.Truth(target.SetOf(tc.config.Targets), 1) {
				truth = append(truth, a.Netip())
			}
			if !slices.Equal(sorted(found), truth) {
				t.Errorf("%d found, want %d", len(found), len(truth))
			}
			if n := labStats(t, l).EchoRequests - before.EchoRequests; n != s.Probes.Due {
				t.Errorf("%d probes arrived, %d were due", n, s.Probes.Due)
			}
			c := s.Transmitter
			if tc.used == "" {
				return
			}
			if c.Used != tc.used || !strings.Contains(c.Why, tc.why) || c.Threads != max(tc.config.Threads, 1) || s.Config["tx_threads"] != c.Threads {
				t.Errorf("%+v, want %s for %q", c, tc.used, tc.why)
			}
			if len(c.Measured) != len(tc.measured) {
				t.Errorf("measured %v, want %v", c.Measured, tc.measured)
			}
			for _, tx := range tc.measured {
				if c.Measured[tx] <= 0 {
					t.Errorf("measured %v, want %v", c.Measured, tc.measured)
				}
			}
			if !slices.ContainsFunc(said.lines, func(line string) bool {
				return strings.HasPrefix(line, "transmitter "+string(c.Used)) && strings.HasSuffix(line, c.Why)
			}) {
				t.Errorf("said %q", said.lines)
			}
		})
	}
}

// Where the device takes no frames from programs, that is known before.
func TestChoiceWithoutSupport(t *testing.T) {
	l := startLab(t, lab.Config{Responder: lab.Kernel}) // no program at lab1
	if err := l.AtResponder(func() error { return lab.SetGRO(lab.ResponderDevice, false) }); err != nil {
		t.Fatal(err)
	}
	targets := named(t, "198.19.0.0/17", "198.19.128.0/18", "198.19.192.0/19")
	s, _ := runSweep(t, Config{Targets: targets, Rate: 150_000, Probes: 4, ProbeInterval: -1})
	if c := s.Transmitter; c.Used != TxPacket || !strings.Contains(c.Why, "xdp cannot be used: lab0 takes no frames") {
		t.Errorf("%+v", c)
	}
	var kept keeper
	_, err := Run(t.Context(), Config{Targets: targets, Tx: TxXDP}, &kept)
	if start := (*StartError)(nil); !errors.As(err, &start) || !strings.Contains(err.Error(), "use --tx packet") {
		t.Errorf("asked for xdp: %v", err)
	}
}

// The rate of a sweep under way can be changed: at the first it would take an
// hour.
func TestMonitorSetRate(t *testing.T) {
	startLab(t, lab.Config{Responder: lab.Sink})
	for _, tx := range []Tx{TxPacket, TxXDP} {
		t.Run(string(tx), func(t *testing.T) {
			c := Config{Targets: named(t, "240.0.0.0/16"), Rate: 20, Tx: tx, Cooldown: -1, Monitor: new(Monitor)}
			if err := c.Monitor.SetRate(1000); !errors.Is(err, ErrNotSending) {
				t.Errorf("before the sweep: %v", err)
			}
			done := once(c.Monitor, 2, func() error { return c.Monitor.SetRate(200_000) })
			s, _ := runSweep(t, c)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if s.Probes.Accepted != 1<<16 {
				t.Errorf("probes %+v", s.Probes)
			}
			if err := c.Monitor.SetRate(1000); !errors.Is(err, ErrNotSending) {
				t.Errorf("after the sweep: %v", err)
			}
		})
	}
}

// Without its filter a sweep hears nothing and must not go on as if nobody
// answered.
func TestFilterDetached(t *testing.T) {
	startLab(t, lab.Config{Live: 1})
	for _, tx := range []Tx{TxPacket, TxXDP} {
		c := long(t)
		c.Tx = tx
		done := once(c.Monitor, 100, func() error { return detachXDP(t) })
		var kept keeper
		s, err := Run(context.Background(), c, &kept)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if !errors.Is(err, ErrDetached) || !strings.Contains(err.Error(), lab.SenderDevice) {
			t.Errorf("%s: error %v", tx, err)
		}
		cut(t, &s, &kept, "filter_detached")
	}
}

// Where the kernel does not tell what became of xdp's frames, nothing is claimed:
// they are unconfirmed, and the choice by itself is not xdp.
func TestUntraced(t *testing.T) {
	startLab(t, lab.Config{Live: 1})
	var kept keeper
	s, err := Run(t.Context(), brief(Config{Targets: named(t, "240.0.0.0/22"), Tx: TxXDP, untraced: true}), &kept)
	if err != nil {
		t.Fatal(err)
	}
	checkAccount(t, &s, &kept)
	if p := s.Probes; p.Unconfirmed != 1024 || p.Handed != 1024 || p.Accepted != 0 || len(kept.records) != 1024 {
		t.Errorf("probes %+v, %d records", p, len(kept.records))
	}
	if s.Devices[lab.SenderDevice].Unexplained != 0 {
		t.Errorf("devices %+v", s.Devices)
	}
	s, _ = runSweep(t, Config{Targets: named(t, "240.0.0.0/14"), Rate: pace.Max, untraced: true})
	if c := s.Transmitter; c.Used != TxPacket || !strings.Contains(c.Why, "tracepoints") {
		t.Errorf("%+v", c)
	}
}

// detachXDP takes this process's filter off lab0 as anybody with privileges
// could.
func detachXDP(t *testing.T) error {
	t.Helper()
	index := uint32(labIndex(t))
	found, ok := loader.FindXDP(int(index))
	if !ok {
		return os.ErrNotExist
	}
	for it := new(link.Iterator); it.Next(); {
		info, err := it.Link.Info()
		if err == nil && info.Type == link.XDPType && info.Program == ebpf.ProgramID(found.ID) {
			return it.Link.Detach()
		}
	}
	return os.ErrNotExist
}
