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
)

const (
	filterRounds = 9
	// filterRepeats is how often a packet is judged in a round; one round
	// takes some 50 ms.
	filterRepeats = 300_000
	// maxReplies is how many distinct first replies a round has at most.
	maxReplies = 200_000
	// ringRecord is what a record takes in a ring, header included, in bytes.
	ringRecord = 48
	// maxInterruptions bounds how often a round begins anew.
	maxInterruptions = 10
)

// newFilter loads a reply filter that has seen nothing, for targets of
// 240.0.0.0/8.
func newFilter() (*loader.Reply, error) {
	targets := prefix(range16M)
	return loader.LoadReply(loader.ReplyConfig{
		Key: benchKey, Source: lab.SenderAddr.Netip(), Attempts: 1, RecordFirst: true,
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
	first, err := firstReplies(empty)
	if err != nil {
		return nil, err
	}
	return append(rows, first), nil
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
	udp, err := udpPacket()
	if err != nil {
		return nil, err
	}
	// The first one leaves only duplicates behind it.
	if _, err := filter.Program().Run(&ebpf.RunOptions{Data: replies[0][:], Repeat: 1}); err != nil {
		return nil, err
	}
	var nothing, duplicate, other series
	for range filterRounds {
		for _, m := range []struct {
			program *ebpf.Program
			packet  frame
			to      *series
		}{{empty, replies[0], &nothing}, {filter.Program(), replies[0], &duplicate}, {filter.Program(), udp, &other}} {
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
	if v[loader.First] != 1 || v[loader.Duplicate] < judged || v[loader.Other] < judged ||
		v[loader.First]+v[loader.Duplicate]+v[loader.Other] != stats.Judged {
		return nil, fmt.Errorf("the filter judged otherwise than meant: verdicts %v", v)
	}
	return []row{
		newRow("filter: duplicate, minus empty", "ns", duplicate.minus(nothing)).against("empty program", nothing).atMost(130, 90),
		newRow("filter: UDP packet, minus empty", "ns", other.minus(nothing)).against("empty program", nothing),
	}, nil
}

// firstReplies measures first replies with their records: packets from
// distinct targets, replayed once into a fresh filter and once into the empty
// program.
func firstReplies(empty *ebpf.Program) (row, error) {
	n, err := repliesForRing()
	if err != nil {
		return row{}, err
	}
	replies, err := prepareReplies(prefix(range16M), n)
	if err != nil {
		return row{}, err
	}
	r, err := newReplayer(replies)
	if err != nil {
		return row{}, err
	}
	defer r.close()
	var nothing, first series
	for interruptions := 0; len(first) < filterRounds; {
		without, err := r.run(empty)
		var with time.Duration
		if err == nil {
			with, err = judgeOnce(r)
		}
		if errors.Is(err, errInterrupted) && interruptions < maxInterruptions {
			interruptions++
			continue
		}
		if err != nil {
			return row{}, err
		}
		nothing = append(nothing, nanoseconds(without))
		first = append(first, nanoseconds(with))
	}
	return newRow("filter: first reply, minus empty", "ns", first.minus(nothing)).against("replay to empty", nothing).atMost(250, 0), nil
}

// repliesForRing is how many records one CPU's ring holds with room to spare.
func repliesForRing() (int, error) {
	filter, err := newFilter()
	if err != nil {
		return 0, err
	}
	defer filter.Close()
	return min(maxReplies, filter.Rings()[0].BufferSize()/ringRecord*9/10), nil
}

// judgeOnce replays into a fresh filter and returns the mean time a frame.
func judgeOnce(r *replayer) (time.Duration, error) {
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
	if first := stats.Verdicts[loader.First]; first != uint64(r.frames) || stats.RTTCount != first {
		return 0, fmt.Errorf("of %d replies %d were first ones, %d found no room for a record, and %d had a round-trip time",
			r.frames, first, stats.Verdicts[loader.RecordLost], stats.RTTCount)
	}
	return mean, nil
}

func nanoseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) }
