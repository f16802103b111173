// SPDX-License-Identifier: Apache-2.0

package target

import (
	"math"
	"strings"
	"testing"
)

func TestShardsPartition(t *testing.T) {
	for _, n := range []uint64{0, 1, 2, 3, 15, 16, 17, 1000} {
		for _, count := range []uint64{1, 2, 3, 7, 16, 17, 1001} {
			seen := make([]int, n)
			for index := uint64(1); index <= count; index++ {
				s := Shard{index, count}
				length := s.Len(n)
				if low := n / count; length < low || length > low+1 {
					t.Errorf("shard %s of %d has %d", s, n, length)
				}
				for k := range length {
					i := s.At(k)
					if i >= n || i%count != index-1 || k > 0 && i <= s.At(k-1) {
						t.Fatalf("shard %s of %d: index %d is %d", s, n, k, i)
					}
					seen[i]++
				}
				if s.At(length) < n {
					t.Errorf("shard %s of %d ends early", s, n)
				}
			}
			for i, times := range seen {
				if times != 1 {
					t.Fatalf("%d shards of %d: index %d is in %d of them", count, n, i, times)
				}
			}
		}
	}
}

func TestZeroShardIsTheWhole(t *testing.T) {
	var s Shard
	if s.Len(1<<32) != 1<<32 || s.At(77) != 77 || s.String() != "1/1" || s.Validate() != nil {
		t.Errorf("the zero Shard: Len %d, At(77) = %d, %s, %v", s.Len(1<<32), s.At(77), s, s.Validate())
	}
}

func TestShardLarge(t *testing.T) {
	s := Shard{math.MaxUint64, math.MaxUint64}
	if s.Len(math.MaxUint64) != 1 || s.Len(1<<32) != 0 || s.At(0) != math.MaxUint64-1 {
		t.Errorf("shard %s: Len %d and %d, At(0) = %d", s, s.Len(math.MaxUint64), s.Len(1<<32), s.At(0))
	}
}

func TestParseShard(t *testing.T) {
	for text, want := range map[string]Shard{
		"1/1": {1, 1}, "3/16": {3, 16}, "16/16": {16, 16}, "1/18446744073709551615": {1, math.MaxUint64},
	} {
		s, err := ParseShard(text)
		if err != nil || s != want || s.String() != text {
			t.Errorf("ParseShard(%q) = %v, %v", text, s, err)
		}
	}
}

func TestParseShardErrors(t *testing.T) {
	const expected = "; expected index/count with 1 <= index <= count, as in 3/16"
	for _, tt := range []struct{ text, want string }{
		{"", `shard "" has no slash` + expected},
		{"x", `shard "x" has no slash` + expected},
		{"3", `shard "3" has no slash` + expected},
		{"/", `shard "/": "" is not a whole number` + expected},
		{"3/", `shard "3/": "" is not a whole number` + expected},
		{"/4", `shard "/4": "" is not a whole number` + expected},
		{"a/4", `shard "a/4": "a" is not a whole number` + expected},
		{"-1/4", `shard "-1/4": "-1" is not a whole number` + expected},
		{"+1/4", `shard "+1/4": "+1" is not a whole number` + expected},
		{"1.5/4", `shard "1.5/4": "1.5" is not a whole number` + expected},
		{" 1/4", `shard " 1/4": " 1" is not a whole number` + expected},
		{"1/2/3", `shard "1/2/3": "2/3" is not a whole number` + expected},
		{"1/18446744073709551616", `shard "1/18446744073709551616": "18446744073709551616" is too large` + expected},
		{"0/0", `shard "0/0": there are no shards with a count of 0` + expected},
		{"1/0", `shard "1/0": there are no shards with a count of 0` + expected},
		{"0/4", `shard "0/4": shards are numbered from 1` + expected},
		{"5/4", `shard "5/4": there are only 4 shards` + expected},
		{strings.Repeat("9", 100) + "/1", `shard "` + strings.Repeat("9", 60) + `"...: "` + strings.Repeat("9", 60) + `"... is too large` + expected},
	} {
		s, err := ParseShard(tt.text)
		if err == nil || err.Error() != tt.want || s != (Shard{}) {
			t.Errorf("ParseShard(%q) = %v, %v, want %s", tt.text, s, err, tt.want)
		}
	}
}

func TestShardValidate(t *testing.T) {
	for _, s := range []Shard{{0, 4}, {5, 4}, {1, 0}} {
		if s.Validate() == nil {
			t.Errorf("shard %d/%d is valid", s.Index, s.Count)
		}
	}
}
