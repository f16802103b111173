// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
)

// hopProbes is HOP_PROBES of hop.bpf.c: how many probes a hop remembers.
const hopProbes = 1 << 17

// probePassage is struct probe_passage of hop.bpf.c: one probe as its payload and
// the hop tell of it. Times are CLOCK_MONOTONIC in ns, 0 where nothing was seen.
type probePassage struct {
	IndexAttempt          uint64
	SentNs, OutNs, BackNs uint64
}

// toHop is how long the probe took from its stamp to the hop, and beyond how long
// from there until its reply was back; both in us.
func (p probePassage) toHop() float64  { return (float64(p.OutNs) - float64(p.SentNs)) / 1000 }
func (p probePassage) beyond() float64 { return (float64(p.BackNs) - float64(p.OutNs)) / 1000 }

// probes reads what passed the hop, ascending by index. Of two probes whose
// indexes are the same modulo hopProbes it remembers the later one.
func (h *hop) probes() ([]probePassage, error) {
	keys, values := make([]uint32, hopProbes), make([]probePassage, hopProbes)
	var cursor ebpf.MapBatchCursor
	n, err := h.objects.Probes.BatchLookup(&cursor, keys, values, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, fmt.Errorf("read what passed the hop: %w", err)
	}
	seen := slices.DeleteFunc(values[:n], func(p probePassage) bool { return p.IndexAttempt == 0 })
	slices.SortFunc(seen, func(a, b probePassage) int { return cmp.Compare(a.IndexAttempt, b.IndexAttempt) })
	return seen, nil
}

// forget makes the hop remember no probe.
func (h *hop) forget() error {
	keys := make([]uint32, hopProbes)
	for k := range keys {
		keys[k] = uint32(k)
	}
	if _, err := h.objects.Probes.BatchUpdate(keys, make([]probePassage, hopProbes), nil); err != nil {
		return fmt.Errorf("make the hop forget: %w", err)
	}
	return nil
}
