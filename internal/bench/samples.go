// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/cilium/ebpf/ringbuf"

	"xsweep/loader"
	"xsweep/sweep/pace"
)

// samples are records as the filter wrote them, one behind the other: without
// pointers, so that collecting garbage costs the same for any number.
type samples struct {
	raw        []byte
	ends       []int
	wallOffset int64
}

// errorEvery is how many answers there are to an error, that one included.
const errorEvery = 100

// takeSamples lets the filter judge n answers of as many hosts, scattered over
// 240.0.0.0/8, and keeps its records.
func takeSamples(n int) (*samples, error) {
	fit, err := repliesForRing()
	if err != nil {
		return nil, err
	}
	k := 0
	frames, err := prepare(prefix(range16M), n, func(reply *frame, request []byte) {
		if k++; k%errorEvery == 0 {
			refuse(reply, request)
		} else {
			answer(reply, request)
		}
	})
	if err != nil {
		return nil, err
	}
	s := &samples{wallOffset: pace.NewClock().WallOffset()}
	for chunk := range slices.Chunk(frames, fit) {
		err := errInterrupted
		for tries := 0; errors.Is(err, errInterrupted) && tries < maxInterruptions; tries++ {
			err = s.judge(chunk)
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *samples) count() int { return len(s.ends) }

// at is the k-th record.
func (s *samples) at(k int) []byte {
	if k == 0 {
		return s.raw[:s.ends[0]]
	}
	return s.raw[s.ends[k-1]:s.ends[k]]
}

// judge shows frames to a fresh filter and adds what it records.
func (s *samples) judge(frames []frame) error {
	filter, err := newFilter()
	if err != nil {
		return err
	}
	defer filter.Close()
	r, err := newReplayer(frames)
	if err != nil {
		return err
	}
	defer r.close()
	if _, err := r.run(filter.Program()); err != nil {
		return err
	}
	before := s.count()
	for _, ring := range filter.Rings() {
		if err := s.drain(ring); err != nil {
			return err
		}
	}
	if n := s.count() - before; n != len(frames) {
		stats, err := filter.Stats()
		return errors.Join(err, fmt.Errorf("the filter made %d records of %d answers: verdicts %v, %d lost", n, len(frames), stats.Verdicts, stats.Verdicts[loader.RecordLost]))
	}
	return nil
}

func (s *samples) drain(ring *ringbuf.Reader) error {
	ring.SetDeadline(time.Now())
	var raw ringbuf.Record
	for {
		err := ring.ReadInto(&raw)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read what the filter recorded: %w", err)
		}
		s.raw = append(s.raw, raw.RawSample...)
		s.ends = append(s.ends, len(s.raw))
	}
}
