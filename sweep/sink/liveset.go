// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"xsweep/sweep/reply"
)

// LiveSet is the set of addresses that answered, as a Roaring bitmap in its
// portable form: 192.0.2.1 is 0xc0000201. It is in memory until it is closed.
//
// There is nothing to mark in it but counts: a resumed sweep makes it anew and
// gives it by [LiveSet.Seed] what earlier runs have found.
type LiveSet struct {
	partial *partialFile
	set     *roaring.Bitmap
	batch   []uint32
	counts  Counts
	closed  bool
	err     error
}

// NewLiveSet finds out whether the set can be written to path, and refuses to
// replace what stands there unless force is given. With a checkpoint
// (checkpointed) what an earlier run has left beside it is nothing worth: it is
// replaced.
func NewLiveSet(path string, force bool, checkpointed bool) (*LiveSet, error) {
	if isStream(path) {
		return nil, fmt.Errorf("write the live set to %s: it needs a regular file", path)
	}
	if !force {
		if err := absent(path); err != nil {
			return nil, err
		}
	}
	p, err := openPartial(path, force || checkpointed, nil)
	if err != nil {
		return nil, fmt.Errorf("live set: %w", err)
	}
	p.force = force
	return &LiveSet{partial: p, set: roaring.New(), counts: Counts{Path: path, Format: "roaring"}}, nil
}

// Continue adds to the counts of an earlier run of the sweep.
func (s *LiveSet) Continue(from Mark) {
	path, format := s.counts.Path, s.counts.Format
	s.counts = from.Counts
	s.counts.Path, s.counts.Format = path, format
}

// Seed adds addresses that are counted already.
func (s *LiveSet) Seed(addrs iter.Seq[uint32]) {
	for addr := range addrs {
		s.set.Add(addr)
	}
}

// Write implements [Sink]. Errors, and what is no IPv4 address, are filtered.
func (s *LiveSet) Write(records []reply.Record) error {
	if s.err != nil {
		s.counts.Failed += uint64(len(records))
		return s.err
	}
	s.batch = s.batch[:0]
	for i := range records {
		if r := &records[i]; !r.Kind.IsError() && r.Addr.Is4() {
			addr := r.Addr.As4()
			s.batch = append(s.batch, binary.BigEndian.Uint32(addr[:]))
		}
	}
	s.counts.Written += uint64(len(s.batch))
	s.counts.Filtered += uint64(len(records) - len(s.batch))
	slices.Sort(s.batch)
	s.set.AddMany(s.batch)
	return nil
}

// Counts implements [Sink]: written are the records whose address is in the
// set, filtered all others.
func (s *LiveSet) Counts() Counts { return s.counts }

// Mark implements [Durable].
func (s *LiveSet) Mark() (Mark, error) {
	return Mark{Size: s.partial.size, Closed: s.closed, Counts: s.counts}, s.err
}

// Sync and Committed implement [Durable]: until it is closed the set is in
// memory alone.
func (s *LiveSet) Sync() error      { return nil }
func (s *LiveSet) Committed() error { return nil }

// Close implements [Sink]: the set is then durable under the name that it has
// until Publish.
func (s *LiveSet) Close() error {
	if s.closed {
		return s.err
	}
	s.closed = true
	s.set.RunOptimize()
	w := bufio.NewWriterSize(s.partial, 64<<10)
	_, err := s.set.WriteTo(w)
	err = errors.Join(err, w.Flush())
	if err == nil {
		err = s.partial.close()
	}
	if err != nil {
		return s.fail(err)
	}
	return nil
}

// fail leaves nothing: half a set is none.
func (s *LiveSet) fail(err error) error {
	s.err = fmt.Errorf("live set: %w", err)
	s.counts.Failed += s.counts.Written
	s.counts.Written = 0
	s.partial.remove()
	return s.err
}

// Publish implements [Durable].
func (s *LiveSet) Publish() error {
	switch {
	case !s.closed:
		return errors.New("live set: published before it was closed")
	case s.err != nil:
		return nil
	}
	return publish(s.partial.path, s.partial.size, s.partial.force)
}

// Discard implements what the function of that name does.
func (s *LiveSet) Discard() { s.closed = true; s.partial.discard() }
