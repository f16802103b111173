// SPDX-License-Identifier: Apache-2.0

package target

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Shard is one of Count equal parts of an order: the indexes i for which
// i mod Count is Index-1. The shards 1 to Count of one order partition it, and
// their sizes differ by at most one. The zero Shard is the whole, 1/1.
type Shard struct{ Index, Count uint64 }

// ParseShard reads a shard written as index/count, such as 3/16. Its errors are
// one line and quote the text.
func ParseShard(text string) (Shard, error) {
	index, count, ok := strings.Cut(text, "/")
	if !ok {
		return Shard{}, fmt.Errorf("shard %s has no slash; %s", quote(text), shardExpected)
	}
	var s Shard
	for _, part := range []struct {
		text string
		to   *uint64
	}{{index, &s.Index}, {count, &s.Count}} {
		n, err := strconv.ParseUint(part.text, 10, 64)
		if errors.Is(err, strconv.ErrRange) {
			return Shard{}, fmt.Errorf("shard %s: %s is too large; %s", quote(text), quote(part.text), shardExpected)
		}
		if err != nil {
			return Shard{}, fmt.Errorf("shard %s: %s is not a whole number; %s", quote(text), quote(part.text), shardExpected)
		}
		*part.to = n
	}
	if err := s.check(); err != nil {
		return Shard{}, err
	}
	return s, nil
}

const shardExpected = "expected index/count with 1 <= index <= count, as in 3/16"

// Validate returns an error unless s is the zero Shard or 1 <= Index <= Count.
// The other methods of s expect that.
func (s Shard) Validate() error { return s.normal().check() }

// check is Validate, but refuses the zero Shard.
func (s Shard) check() error {
	problem := ""
	switch {
	case s.Count == 0:
		problem = "there are no shards with a count of 0"
	case s.Index == 0:
		problem = "shards are numbered from 1"
	case s.Index > s.Count:
		problem = fmt.Sprintf("there are only %d shards", s.Count)
	default:
		return nil
	}
	return fmt.Errorf("shard \"%d/%d\": %s; %s", s.Index, s.Count, problem, shardExpected)
}

func (s Shard) normal() Shard {
	if s == (Shard{}) {
		return Shard{1, 1}
	}
	return s
}

// String returns s as ParseShard reads it.
func (s Shard) String() string {
	s = s.normal()
	return strconv.FormatUint(s.Index, 10) + "/" + strconv.FormatUint(s.Count, 10)
}

// Len returns how many of the indexes 0 to n-1 are in s.
func (s Shard) Len(n uint64) uint64 {
	s = s.normal()
	if n < s.Index {
		return 0
	}
	return (n-s.Index)/s.Count + 1
}

// At returns the k-th index in s, counting from 0. k must be below s.Len of the
// order's length.
func (s Shard) At(k uint64) uint64 {
	s = s.normal()
	return s.Index - 1 + k*s.Count
}
