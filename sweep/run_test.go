// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/lab"
	"xsweep/loader"
	"xsweep/sweep/reply"
	"xsweep/sweep/target"
)

// undisturbed runs a sweep in a lab. A ring of the veth pair that had no room
// for a reply, because this machine gave the receiver no time, is no fault of
// the sweep's: it is then run again.
func undisturbed(t *testing.T, l *lab.Lab, c Config) (Summary, []reply.Record) {
	t.Helper()
	for range 5 {
		before := labStats(t, l)
		s, records := runSweep(t, c)
		after := labStats(t, l)
		if after.RepliesRefused == before.RepliesRefused {
			if got := after.Seen - before.Seen; got != s.Probes.Accepted {
				t.Errorf("%d probes were accepted, but %d have arrived", s.Probes.Accepted, got)
			}
			if got := after.Answered - before.Answered; got != s.Packets.Judged {
				t.Errorf("%d replies were sent, but %d judged", got, s.Packets.Judged)
			}
			return s, records
		}
		t.Logf("the link lost %d replies: again", after.RepliesRefused-before.RepliesRefused)
	}
	t.Fatal("the link loses replies each time")
	return Summary{}, nil
}

// verdicts checks that no other verdict was given.
func verdicts(t *testing.T, s *Summary, want map[string]uint64) {
	t.Helper()
	got := maps.Clone(s.Packets.Verdicts)
	maps.DeleteFunc(got, func(_ string, n uint64) bool { return n == 0 })
	maps.DeleteFunc(want, func(_ string, n uint64) bool { return n == 0 })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}

func sorted(addrs []netip.Addr) []netip.Addr {
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}

// A sweep finds whom the lab says that it must find, each once, whichever way
// it sends and receives.
func TestRunFindsTheTruth(t *testing.T) {
	targets := named(t, "240.1.0.0/22", "240.200.0.3-240.200.2.200", "241.1.1.1")
	set := target.SetOf(targets)
	for _, live := range []float64{1, 0.1, 0} {
		world := lab.Config{Live: live, Seed: 11}
		var truth []netip.Addr
		ttls := map[string]uint64{}
		for a := range world.Truth(set, 1) {
			truth = append(truth, a.Netip())
			ttls[strconv.Itoa(int(world.Host(a).TTL))]++
		}
		t.Run(fmt.Sprintf("live %v", live), func(t *testing.T) {
			l := startLab(t, world)
			for _, mode := range []loader.XDPMode{loader.Native, loader.Generic} {
				for _, tx := range []Tx{TxPacket, TxRaw, TxXDP} {
					for _, threads := range []int{1, 2} {
						t.Run(fmt.Sprintf("%v, %v, %d", mode, tx, threads), func(t *testing.T) {
							s, records := undisturbed(t, l, Config{Targets: targets, XDP: mode, Tx: tx, Threads: threads, Seed: uint64(threads)})
							var found []netip.Addr
							for _, r := range records {
								found = append(found, r.Addr)
								checkRecord(t, &s, r, world)
							}
							if !slices.Equal(sorted(found), truth) {
								t.Errorf("%d found, want %d: %s", len(found), len(truth), cmp.Diff(fmt.Sprint(truth), fmt.Sprint(found)))
							}
							n := uint64(len(truth))
							verdicts(t, &s, map[string]uint64{"first": n})
							want := TargetCounts{
								Named: set.Len(), Skipped: map[string]uint64{},
								Swept: set.Len(), Answered: n, Silent: set.Len() - n,
							}
							if diff := cmp.Diff(want, s.Targets); diff != "" {
								t.Errorf("targets (-want +got):\n%s", diff)
							}
							if s.Probes.Accepted != set.Len() || s.RTT.Count != n || s.Interrupted || len(s.Losses()) > 0 {
								t.Errorf("probes %+v, %d round-trip times, interrupted %v, losses %q", s.Probes, s.RTT.Count, s.Interrupted, s.Losses())
							}
							if diff := cmp.Diff(ttls, s.TTL); diff != "" {
								t.Errorf("TTLs (-want +got):\n%s", diff)
							}
						})
					}
				}
			}
		})
	}
}

// checkRecord checks a first reply against the lab's host.
func checkRecord(t *testing.T, s *Summary, r reply.Record, world lab.Config) {
	t.Helper()
	const clocks = 10 * time.Millisecond // that two clocks may differ by
	a, _ := target.AddrFrom(r.Addr)
	if r.From != r.Addr || r.TTL != world.Host(a).TTL || r.Attempt != 1 || r.Duplicate || r.Size != 8+DefaultSize ||
		r.RTT <= 0 || uint64(r.RTT) > s.RTT.Max || uint64(r.RTT) < s.RTT.Min ||
		r.Time.Before(s.Started.Add(-clocks)) || r.Time.After(s.Ended.Add(clocks)) {
		t.Errorf("record %+v of host %+v, sweep from %v to %v", r, world.Host(a), s.Started, s.Ended)
	}
}

// Linux's own answers, with its own way to copy a payload back.
func TestRunKernelResponder(t *testing.T) {
	l := startLab(t, lab.Config{Responder: lab.Kernel})
	for range 5 {
		before := labStats(t, l)
		s, records := runSweep(t, Config{Targets: named(t, "198.18.64.0/23"), Rate: 20_000})
		if labStats(t, l).RepliesRefused != before.RepliesRefused {
			continue
		}
		verdicts(t, &s, map[string]uint64{"first": 512})
		if len(records) != 512 || s.RTT.Count != 512 || s.TTL["64"] != 512 {
			t.Errorf("%d records, %d round-trip times, TTLs %v", len(records), s.RTT.Count, s.TTL)
		}
		return
	}
	t.Fatal("the link loses replies each time")
}

// Every host that answers twice is counted as doing so, and with all records
// asked for, each copy has one.
func TestRunDuplicates(t *testing.T) {
	targets := named(t, "240.3.0.0/22")
	world := lab.Config{Live: 0.6, Duplicate: 0.4, Seed: 5}
	want := map[netip.Addr][]bool{} // duplicate or not, by arrival
	var first, duplicate uint64
	for a := range world.Truth(target.SetOf(targets), 1) {
		want[a.Netip()] = []bool{false}
		first++
		if world.Host(a).Duplicate {
			want[a.Netip()] = []bool{false, true}
			duplicate++
		}
	}
	l := startLab(t, world)
	for _, mode := range []loader.XDPMode{loader.Native, loader.Generic} {
		for _, all := range []bool{false, true} {
			s, records := undisturbed(t, l, Config{Targets: targets, XDP: mode, RecordAll: all, Rate: 20_000})
			verdicts(t, &s, map[string]uint64{"first": first, "duplicate": duplicate})
			got := map[netip.Addr][]bool{}
			for _, r := range records {
				got[r.Addr] = append(got[r.Addr], r.Duplicate)
			}
			for addr := range got {
				// Rings of different CPUs are read independently.
				slices.SortFunc(got[addr], func(a, b bool) int {
					switch {
					case a == b:
						return 0
					case a:
						return 1
					}
					return -1
				})
			}
			expect := want
			if !all {
				expect = map[netip.Addr][]bool{}
				for addr := range want {
					expect[addr] = []bool{false}
				}
			}
			if diff := cmp.Diff(expect, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("%v, all %v: records (-want +got):\n%s", mode, all, diff)
			}
		}
	}
}

// With losses and three probes a target, the lab's twin knows which probe of
// which host is answered, and how often.
func TestRunLossAndProbes(t *testing.T) {
	const probes = 3
	targets := named(t, "240.4.0.0/22")
	world := lab.Config{Live: 0.5, Loss: 0.4, Duplicate: 0.2, Seed: 9}
	type answer struct {
		addr    netip.Addr
		attempt uint8
	}
	want := map[answer]int{}
	var first, repeat, duplicate uint64
	for a := range target.SetOf(targets).All() {
		host := world.Host(a)
		answered := uint64(0)
		for k := range probes {
			if !host.Live || world.Lost(a, k) {
				continue
			}
			answered++
			want[answer{a.Netip(), uint8(k + 1)}]++
			if host.Duplicate {
				want[answer{a.Netip(), uint8(k + 1)}]++
				duplicate++
			}
		}
		first += min(answered, 1)
		repeat += answered - min(answered, 1)
	}
	if repeat == 0 || duplicate == 0 {
		t.Fatal("the lab's world has nothing to test")
	}
	// A lab remembers how many probes each host got, so each sweep needs a new
	// one.
	for range 5 {
		l := openLab(t, world)
		s, records := runSweep(t, Config{Targets: targets, Probes: probes, ProbeInterval: 60 * time.Millisecond, RecordAll: true, Threads: 2})
		refused := labStats(t, l).RepliesRefused
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if refused > 0 {
			t.Logf("the link lost %d replies: again", refused)
			continue
		}
		verdicts(t, &s, map[string]uint64{"first": first, "repeat": repeat, "duplicate": duplicate})
		got := map[answer]int{}
		for _, r := range records {
			got[answer{r.Addr, r.Attempt}]++
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(answer{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		n := uint64(1024)
		if s.Probes.Due != probes*n || s.Probes.Accepted != probes*n || s.Targets.Swept != n || s.Targets.Answered != first {
			t.Errorf("probes %+v, targets %+v", s.Probes, s.Targets)
		}
		if s.RTT.Count != first+repeat {
			t.Errorf("%d round-trip times, want those of first replies and repeats: %d", s.RTT.Count, first+repeat)
		}
		return
	}
	t.Fatal("the link loses replies each time")
}

// What the machine must not probe is left out behind the order, and counted by
// reason; every pass leaves it out again.
func TestRunSkips(t *testing.T) {
	world := lab.Config{Live: 1}
	l := startLab(t, world)
	targets := named(t, "198.18.0.0/28")
	s, records := undisturbed(t, l, Config{Targets: targets, Probes: 2, ProbeInterval: time.Millisecond})
	want := TargetCounts{
		Named: 16, Skipped: map[string]uint64{"network": 1, "own": 1, "broadcast": 1},
		Swept: 13, Answered: 13,
	}
	if diff := cmp.Diff(want, s.Targets); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]uint64{"skipped": 6}, s.Probes.Unsent); diff != "" || s.Probes.Due != 32 || s.Probes.Accepted != 26 {
		t.Errorf("probes %+v; unsent (-want +got):\n%s", s.Probes, diff)
	}
	var found, truth []netip.Addr
	for _, r := range records {
		found = append(found, r.Addr)
	}
	for a := range world.Truth(target.SetOf(targets), 2) {
		truth = append(truth, a.Netip())
	}
	if !slices.Equal(sorted(found), truth) {
		t.Errorf("found %v, want %v", found, truth)
	}
}

// The shards of a sweep together find what the whole finds.
func TestRunShards(t *testing.T) {
	targets := named(t, "240.5.0.0/24")
	world := lab.Config{Live: 0.5, Seed: 3}
	l := startLab(t, world)
	var found, truth []netip.Addr
	for index := range uint64(3) {
		s, records := undisturbed(t, l, Config{Targets: targets, Shard: target.Shard{Index: index + 1, Count: 3}, Seed: 8})
		for _, r := range records {
			found = append(found, r.Addr)
		}
		if s.Targets.OtherShards+s.Targets.Swept != 256 {
			t.Errorf("shard %d: %+v", index+1, s.Targets)
		}
	}
	for a := range world.Truth(target.SetOf(targets), 1) {
		truth = append(truth, a.Netip())
	}
	if !slices.Equal(sorted(found), truth) {
		t.Errorf("found %v, want %v", found, truth)
	}
}
