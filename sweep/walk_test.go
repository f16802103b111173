// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"slices"
	"testing"
)

// The places of the probes that wait are those behind the first without gaps.
func TestWalk(t *testing.T) {
	s := &sender{first: 10, gaps: []gap{{place: 11}, {place: 12}, {place: 15}, {place: 16}}}
	for n, want := range map[int]struct {
		visited []uint64
		next    uint64
	}{
		0: {nil, 10}, 1: {[]uint64{10}, 13}, 3: {[]uint64{10, 13, 14}, 17}, 5: {[]uint64{10, 13, 14, 17, 18}, 19},
	} {
		var visited []uint64
		next := s.walk(n, func(place uint64) { visited = append(visited, place) })
		if !slices.Equal(visited, want.visited) || next != want.next {
			t.Errorf("%d: %v, then %d", n, visited, next)
		}
	}
}
