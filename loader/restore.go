// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/cilium/ebpf"

	"xsweep/bpf"
)

// Answers are replies that earlier runs of the sweep got: those that set a bit.
type Answers struct {
	Request uint8    // ICMP type of the kind of probe that they answer
	Attempt uint8    // from 1; 0 where it is unknown
	Targets []uint32 // host byte order; they may come in any order
}

// Refusal is an error that an earlier run of the sweep got.
type Refusal struct {
	Target, From uint32 // host byte order
	Type, Code   uint8  // as on the wire
}

// Restore makes the filter know what earlier runs of the sweep got, so that
// nothing of it is the first of its kind again. It returns how many targets
// errors came for. It must be called before Attach, and is not for filters that
// take many answers to a probe.
//
// It takes memory for the bitmaps once more until it returns, and nothing of what
// it is given is kept.
func (r *Reply) Restore(answers iter.Seq[Answers], refusals iter.Seq[Refusal]) (errored uint64, err error) {
	seen := bitmap{layout: r.seen, pages: make([]bpf.ReplySeenPage, max(r.seen.pages, 1))}
	var near regions
	for a := range answers {
		kind, ok := requestKinds[a.Request]
		if !ok || !r.probes[kind] || int(a.Attempt) > r.attempts {
			return 0, fmt.Errorf("reply filter: restore a reply to attempt %d of ICMP type %d: the sweep sends none", a.Attempt, a.Request)
		}
		place := uint32(r.seen.places[kind])
		if r.attempts > 1 {
			place += uint32(a.Attempt)
		}
		for _, target := range near.sort(a.Targets, r.seen.base) {
			if _, ok := seen.set(target, place); !ok {
				return 0, fmt.Errorf("reply filter: restore %s: it is no target", dotted(target))
			}
		}
	}
	if err := putAll(r.objects.SeenPages, seen.pages); err != nil {
		return 0, fmt.Errorf("reply filter: restore the bitmap of replies: %w", err)
	}
	clear(seen.pages)
	heard := make(heardTable, r.objects.Heard.MaxEntries())
	for e := range refusals {
		kind, ok := errorKindOf(e.Type)
		if !ok {
			return 0, fmt.Errorf("reply filter: restore an error of ICMP type %d: there is none", e.Type)
		}
		isNew, ok := seen.set(e.Target, 0)
		if !ok {
			return 0, fmt.Errorf("reply filter: restore an error for %s: it is no target", dotted(e.Target))
		}
		if isNew {
			errored++
		}
		heard.note(r.secret, e.Target, e.From, (uint32(kind)+1)<<8|uint32(e.Code))
	}
	if errored == 0 {
		return 0, nil
	}
	if err := putAll(r.objects.ErrorPages, seen.pages); err != nil {
		return 0, fmt.Errorf("reply filter: restore the bitmap of errors: %w", err)
	}
	if err := putAll(r.objects.Heard, heard); err != nil {
		return 0, fmt.Errorf("reply filter: restore the table of errors: %w", err)
	}
	return errored, nil
}

// putAll writes all entries of an array map.
func putAll[T any](m *ebpf.Map, values []T) error {
	const atOnce = 4096
	keys := make([]uint32, 0, atOnce)
	for from := 0; from < len(values); from += atOnce {
		keys = keys[:0]
		for i := from; i < min(from+atOnce, len(values)); i++ {
			keys = append(keys, uint32(i))
		}
		if _, err := m.BatchUpdate(keys, values[from:from+len(keys)], nil); err != nil {
			return err
		}
	}
	return nil
}

// regions sorts addresses by where they are, so that bits which lie close together
// are set together: tens of millions of them all over a large bitmap would miss the
// caches each. It keeps its memory.
type regions struct{ sorted []uint32 }

// regionBits is log2 of the addresses of a region: 64 KiB of bitmap at least.
const regionBits = 19

// sort returns the addresses by regions from base on, until it is called again.
func (r *regions) sort(targets []uint32, base uint32) []uint32 {
	if len(targets) < 1<<(32-regionBits) {
		return targets // it would take longer than it saves
	}
	if cap(r.sorted) < len(targets) {
		r.sorted = make([]uint32, len(targets))
	}
	r.sorted = r.sorted[:len(targets)]
	var ends [1<<(32-regionBits) + 1]uint32
	for _, t := range targets {
		ends[(t-base)>>regionBits+1]++
	}
	for i := 1; i < len(ends); i++ {
		ends[i] += ends[i-1]
	}
	for _, t := range targets {
		at := &ends[(t-base)>>regionBits]
		r.sorted[*at] = t
		*at++
	}
	return r.sorted
}

// bitmap is one of the filter's two in memory of our own: find_slot of
// bpf/reply.bpf.c.
type bitmap struct {
	layout seenLayout
	pages  []bpf.ReplySeenPage
}

// set sets one of the bits of a target, and says whether it was clear; ok is
// false for what is no target.
func (b *bitmap) set(target, place uint32) (isNew, ok bool) {
	offset := target - b.layout.base
	number := offset >> (pageBitsLog2 - b.layout.shift)
	if target < b.layout.base || number >= uint32(len(b.layout.directory)) || b.layout.directory[number] == 0 {
		return false, false
	}
	bit := offset<<b.layout.shift&(1<<pageBitsLog2-1) + place
	word := &b.pages[b.layout.directory[number]-1].Words[bit/64]
	isNew = *word>>(bit%64)&1 == 0
	*word |= 1 << (bit % 64)
	return isNew, true
}

// heardTable is the table of what was heard, as bpf/include/heard.h defines it.
type heardTable []bpf.ReplyHeardBucket

// The shape of that table: HEARD_LEAST_LOG2 and HEARD_SECOND.
const (
	heardLeastLog2 = 12
	heardSecond    = 1 << 63
)

// note puts a key into the table: find_heard and ask. Where there is no room for
// it, it is left out, as the filter does.
func (t heardTable) note(secret uint64, target, from, what uint32) {
	h := (uint64(target)<<32 | uint64(from)) ^ secret
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	h ^= h >> 31
	mask := uint32(len(t) - 1)
	number := uint32(h) & mask
	value := h>>heardLeastLog2<<11 | uint64(what)
	if takeSlot(&t[number], value) {
		return
	}
	spread := value >> 11
	spread *= 0x9e3779b97f4a7c15
	takeSlot(&t[(number^uint32(spread>>40))&mask], value|heardSecond)
}

// takeSlot notes a value in the bucket, and says whether there was room for it.
func takeSlot(b *bpf.ReplyHeardBucket, value uint64) bool {
	for i, slot := range b.Slots {
		if slot == 0 || slot == value {
			b.Slots[i] = value
			return true
		}
	}
	return false
}

func errorKindOf(icmpType uint8) (kind int, ok bool) {
	for k, t := range errorTypes {
		if t == icmpType {
			return k, true
		}
	}
	return 0, false
}

func dotted(addr uint32) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], addr)
	return fmt.Sprintf("%d.%d.%d.%d", b[0], b[1], b[2], b[3])
}
