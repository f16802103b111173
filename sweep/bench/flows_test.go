// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"xsweep/internal/lab"
)

// Flows come from all addresses of the device before identifiers vary, each gets
// its share, and the answers to all are judged: Linux answers to the address that
// asked.
func TestTrialFlows(t *testing.T) {
	for _, tx := range []Tx{TxPacket, TxXDP} {
		t.Run(string(tx), func(t *testing.T) {
			startLab(t, lab.Config{Responder: lab.Kernel, Addresses: 3})
			s := open(t, Config{Tx: tx, Flows: 7, Targets: addrs("198.18.2.7", "198.18.2.8")})
			trial := try(t, s, Load{Rate: 7000, Duration: 200 * time.Millisecond})
			if trial.Sent != 1400 || trial.Lost != 0 || trial.Reordered != 0 {
				t.Errorf("%d sent, %d lost, %d reordered, %v", trial.Sent, trial.Lost, trial.Reordered, trial.Verdicts)
			}
			flows, err := s.judge.Flows()
			if err != nil {
				t.Fatal(err)
			}
			sources, kinds := map[netip.Addr]uint64{}, map[uint16]uint64{}
			for _, f := range flows {
				if f.Answered != 100 {
					t.Errorf("%+v: want 100 answered", f)
				}
				sources[f.Flow.Source] += f.Answered
				kinds[f.Flow.IDOffset] += f.Answered
			}
			for a, want := range map[string]uint64{"198.18.0.1": 600, "198.18.0.16": 400, "198.18.0.17": 400} {
				if got := sources[netip.MustParseAddr(a)]; got != want {
					t.Errorf("%d answered to %s, want %d", got, a, want)
				}
			}
			if kinds[0] != 600 || kinds[1] != 600 || kinds[2] != 200 {
				t.Errorf("by identifier %v", kinds)
			}
			// The flows of a target together are never silent for long, however few
			// probes each of them has.
			for _, r := range trial.Targets {
				if r.Outage > uint64(trial.Duration*1e9)/2 {
					t.Errorf("%v: an outage of %v", r.Addr, time.Duration(r.Outage))
				}
			}
		})
	}
}

// Named sources are the flows, in their order; more flows take turns in them.
func TestNamedSources(t *testing.T) {
	startLab(t, lab.Config{Live: 1})
	s := open(t, Config{Tx: TxPacket, Sources: addrs("198.19.7.7", "198.18.0.1")})
	if flows := s.template.Flows(); len(flows) != 2 || flows[0].Source != addrs("198.19.7.7")[0] || s.route.Source != flows[0].Source {
		t.Errorf("flows %v", flows)
	}
	trial := try(t, s, Load{Rate: 2000, Duration: 100 * time.Millisecond})
	if trial.Answered != 200 {
		t.Errorf("%d answered of %d", trial.Answered, trial.Sent)
	}
	for want, c := range map[string]Config{
		"use as many flows at least": {Flows: 1, Sources: addrs("198.18.0.1", "198.18.0.2")},
		"must be 1 to 256":           {Flows: 257},
		"loopback":                   {Sources: addrs("198.18.0.1", "127.0.0.1")},
	} {
		c.Targets, c.Size, c.MaxRate, c.Log = addrs("198.18.2.7"), DefaultSize, 1000, slog.New(slog.DiscardHandler)
		s, err := Open(context.Background(), c)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
