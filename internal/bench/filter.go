// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"

	"xsweep/internal/lab"
	"xsweep/loader"
	"xsweep/sweep/probe"
	"xsweep/sweep/target"
)

const (
	filterRounds = 9
	// filterRepeats is how often a packet is judged in a round; one round
	// takes some 50 ms.
	filterRepeats = 300_000
	// maxReplies is how many distinct first replies a round has at most.
	maxReplies = 200_000
	// maxInterruptions bounds how often a round begins anew.
	maxInterruptions = 10
)

// newFilter loads a reply filter that has seen nothing, for targets of
// 240.0.0.0/8.
func newFilter() (*loader.Reply, error) {
	targets := prefix(range16M)
	return loader.LoadReply(loader.ReplyConfig{
		Key: benchKey, Source: lab.SenderAddr.Netip(), Attempts: 1, RecordFirst: true, RecordErrors: true,
		Probes:  []loader.ProbeShape{{Request: 8, MessageLen: 8 + probe.PayloadLen}},
		Targets: func(yield func(first, last uint32) bool) { yield(uint32(targets.First), uint32(targets.Last)) },
	})
}

// filter measures what the reply filter costs beyond an empty program.
func (b *bench) filter() ([]row, error) {
	empty, err := newEmptyProgram()
	if err != nil {
		return nil, err
	}
	defer empty.Close()
	rows, err := repeatedPackets(empty)
	if err != nil {
		return nil, err
	}
	fresh, err := freshPackets(empty)
	if err != nil {
		return nil, err
	}
	return append(rows, fresh...), nil
}

// repeatedPackets measures packets that may be judged again and again.
func repeatedPackets(empty *ebpf.Program) ([]row, error) {
	filter, err := newFilter()
	if err != nil {
		return nil, err
	}
	defer filter.Close()
	replies, err := prepareReplies(prefix(range16M), 1)
	if err != nil {
		return nil, err
	}
	refusals, err := prepareErrors(prefix(range16M), 1)
	if err != nil {
		return nil, err
	}
	udp, err := udpPacket()
	if err != nil {
		return nil, err
	}
	// The first ones leave only duplicates behind them.
	for _, packet := range []frame{replies[0], refusals[0]} {
		if _, err := filter.Program().Run(&ebpf.RunOptions{Data: packet[:], Repeat: 1}); err != nil {
			return nil, err
		}
	}
	var nothing, duplicate, again, other series
	for range filterRounds {
		for _, m := range []struct {
			program *ebpf.Program
			packet  frame
			to      *series
		}{{empty, replies[0], &nothing}, {filter.Program(), replies[0], &duplicate}, {filter.Program(), refusals[0], &again}, {filter.Program(), udp, &other}} {
			_, mean, err := m.program.Benchmark(m.packet[:], filterRepeats, nil)
			if err != nil {
				return nil, err
			}
			*m.to = append(*m.to, nanoseconds(mean))
		}
	}
	stats, err := filter.Stats()
	if err != nil {
		return nil, err
	}
	const judged = filterRounds * filterRepeats
	v := stats.Verdicts
	if v[loader.First] != 1 || v[loader.Error] != 1 || v[loader.Duplicate] < judged || v[loader.ErrorDuplicate] < judged || v[loader.Other] < judged ||
		v[loader.Duplicate]+v[loader.ErrorDuplicate]+v[loader.Other]+2 != stats.Judged {
		return nil, fmt.Errorf("the filter judged otherwise than meant: verdicts %v", v)
	}
	return []row{
		newRow("filter: duplicate, minus empty", "ns", duplicate.minus(nothing)).against("empty program", nothing).atMost(130, 90),
		newRow("filter: the same error again, minus a duplicate", "ns", again.minus(duplicate)).against("duplicate", duplicate).atMost(100, 0),
		newRow("filter: UDP packet, minus empty", "ns", other.minus(nothing)).against("empty program", nothing),
	}, nil
}

// freshPackets measures first replies and first errors with their records:
// packets about distinct targets, replayed once into a fresh filter and once
// into the empty program.
func freshPackets(empty *ebpf.Program) ([]row, error) {
	n, err := repliesForRing()
	if err != nil {
		return nil, err
	}
	var players []*replayer
	for _, prepare := range []func(target.Range, int) ([]frame, error){prepareReplies, prepareErrors} {
		frames, err := prepare(prefix(range16M), n)
		if err != nil {
			return nil, err
		}
		r, err := newReplayer(frames)
		if err != nil {
			return nil, err
		}
		defer r.close()
		players = append(players, r)
	}
	var nothing, first, refused series
	for interruptions := 0; len(refused) < filterRounds; {
		without, err := players[0].run(empty)
		var with, error time.Duration
		if err == nil {
			with, err = judgeOnce(players[0], loader.First)
		}
		if err == nil {
			error, err = judgeOnce(players[1], loader.Error)
		}
		if errors.Is(err, errInterrupted) && interruptions < maxInterruptions {
			interruptions++
			continue
		}
		if err != nil {
			return nil, err
		}
		nothing = append(nothing, nanoseconds(without))
		first = append(first, nanoseconds(with))
		refused = append(refused, nanoseconds(error))
	}
	return []row{
		newRow("filter: first reply, minus empty", "ns", first.minus(nothing)).against("replay to empty", nothing).atMost(250, 0),
		newRow("filter: an error, minus a first reply", "ns", refused.minus(first)).against("first reply and replay", first).atMost(100, 0),
	}, nil
}

// repliesForRing is how many records one CPU's ring holds with room to spare.
func repliesForRing() (int, error) {
	filter, err := newFilter()
	if err != nil {
		return 0, err
	}
	defer filter.Close()
	return min(maxReplies, filter.Rings()[0].BufferSize()/loader.RecordBytes*9/10), nil
}

// judgeOnce replays into a fresh filter, which must come to one verdict, and
// returns the mean time a frame.
func judgeOnce(r *replayer, verdict loader.Verdict) (time.Duration, error) {
	filter, err := newFilter()
	if err != nil {
		return 0, err
	}
	defer filter.Close()
	mean, err := r.run(filter.Program())
	if err != nil {
		return 0, err
	}
	stats, err := filter.Stats()
	if err != nil {
		return 0, err
	}
	if n := stats.Verdicts[verdict]; n != uint64(r.frames) {
		return 0, fmt.Errorf("of %d packets %d were judged as %v, and %d found no room for a record",
			r.frames, n, verdict, stats.Verdicts[loader.RecordLost])
	}
	return mean, nil
}

func nanoseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) }
