// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/testrand"
	"xsweep/sweep/reply"
)

// decodeRoaring reads the portable form, and says how many containers of each
// kind are in it: array, bitmap, run
// (https://github.com/RoaringBitmap/RoaringFormatSpec).
func decodeRoaring(b []byte) (values []uint32, kinds [3]int, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cut short: %v", r)
		}
	}()
	at := 0
	u16 := func() int { at += 2; return int(binary.LittleEndian.Uint16(b[at-2:])) }
	u32 := func() int { at += 4; return int(binary.LittleEndian.Uint32(b[at-4:])) }
	cookie := u32()
	var containers int
	var isRun []byte
	switch {
	case cookie == 12346:
		containers = u32()
	case cookie&0xffff == 12347:
		containers = cookie>>16 + 1
		isRun = b[at:][:(containers+7)/8]
		at += len(isRun)
	default:
		return nil, kinds, fmt.Errorf("cookie %d", cookie)
	}
	keys, sizes := make([]int, containers), make([]int, containers)
	for i := range keys {
		keys[i], sizes[i] = u16(), u16()+1
	}
	offsets := make([]int, containers)
	if isRun == nil || containers >= 4 {
		for i := range offsets {
			offsets[i] = u32()
		}
	}
	for i, key := range keys {
		if offsets[i] != 0 && offsets[i] != at {
			return nil, kinds, fmt.Errorf("container %d is at %d, its offset says %d", i, at, offsets[i])
		}
		before := len(values)
		add := func(low int) { values = append(values, uint32(key<<16|low)) }
		switch {
		case isRun != nil && isRun[i/8]>>(i%8)&1 == 1:
			kinds[2]++
			for range u16() {
				first, more := u16(), u16()
				for low := first; low <= first+more; low++ {
					add(low)
				}
			}
		case sizes[i] <= 4096:
			kinds[0]++
			for range sizes[i] {
				add(u16())
			}
		default:
			kinds[1]++
			for low := range 1 << 16 {
				if b[at+low/8]>>(low%8)&1 == 1 {
					add(low)
				}
			}
			at += 8192
		}
		if len(values)-before != sizes[i] {
			return nil, kinds, fmt.Errorf("container %d has %d values, its header says %d", i, len(values)-before, sizes[i])
		}
	}
	if at != len(b) {
		return nil, kinds, fmt.Errorf("%d bytes behind the end", len(b)-at)
	}
	return values, kinds, nil
}

func liveSet(t *testing.T, path string, force, checkpointed bool) *LiveSet {
	t.Helper()
	s, err := NewLiveSet(path, force, checkpointed)
	must(t, err)
	return s
}

// answers are echo replies of addresses.
func answers(addrs ...uint32) []reply.Record {
	records := make([]reply.Record, len(addrs))
	for i, addr := range addrs {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], addr)
		records[i] = full
		records[i].Addr = netip.AddrFrom4(b)
	}
	return records
}

func checkLive(t *testing.T, path string, want []uint32) (kinds [3]int) {
	t.Helper()
	got, kinds, err := decodeRoaring(read(t, path))
	must(t, err)
	slices.Sort(want)
	if diff := cmp.Diff(slices.Compact(want), got); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	return kinds
}

// Every kind of container, as another decoder reads it.
func TestLiveSet(t *testing.T) {
	r := testrand.New(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "live.roaring")
	s := liveSet(t, path, false, false)
	want := []uint32{0, 0xffffffff}
	for range 300 { // few in a /16
		want = append(want, 0x0a000000|r.Uint32N(1<<16))
	}
	for range 30_000 { // many
		want = append(want, 0xc6120000|r.Uint32N(1<<16))
	}
	for low := range uint32(20_000) { // all
		want = append(want, 0xc0000000+60_000+low)
	}
	r.Shuffle(len(want), func(i, j int) { want[i], want[j] = want[j], want[i] })
	for batch := range slices.Chunk(want, 1000) {
		must(t, s.Write(answers(batch...)))
	}
	errors := numbered(7)
	for i := range errors {
		errors[i].Kind = reply.Unreachable
	}
	must(t, s.Write(errors), s.Sync(), s.Committed())
	counts := Counts{Path: path, Format: "roaring", Written: uint64(len(want)), Filtered: 7}
	if diff := cmp.Diff(Mark{Counts: counts}, mark(t, s)); diff != "" {
		t.Errorf("mark (-want +got):\n%s", diff)
	}
	if err := s.Publish(); err == nil {
		t.Error("published before it was closed")
	}
	must(t, s.Close(), s.Close())
	checkNames(t, "closed", dir, "live.roaring.partial")
	must(t, s.Publish(), s.Publish())
	checkNames(t, "published", dir, "live.roaring")
	if diff := cmp.Diff(Mark{Size: size(t, path), Closed: true, Counts: counts}, mark(t, s)); diff != "" {
		t.Errorf("mark (-want +got):\n%s", diff)
	}
	for i, n := range checkLive(t, path, want) {
		if n == 0 {
			t.Errorf("no container of kind %d was tested", i)
		}
	}
}

// An empty set, and few runs, which have no offsets.
func TestLiveSetSmall(t *testing.T) {
	for _, addrs := range [][]uint32{nil, {1}, {5, 6, 7, 8, 9, 10, 11, 12, 13, 14}} {
		path := filepath.Join(t.TempDir(), "live")
		s := liveSet(t, path, false, false)
		must(t, s.Write(answers(addrs...)), s.Close(), s.Publish())
		checkLive(t, path, addrs)
	}
}

// A resumed sweep has what earlier runs have found.
func TestLiveSetSeed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "live")
	s := liveSet(t, path, false, true)
	must(t, s.Write(answers(7, 5, 7)))
	m := mark(t, s)
	must(t, s.partial.file.Close()) // killed

	if _, err := NewLiveSet(path, false, false); err == nil || !strings.Contains(err.Error(), path+".partial is left over") {
		t.Errorf("error %v", err)
	}
	s = liveSet(t, path, false, true)
	s.Seed(slices.Values([]uint32{5, 7}))
	s.Continue(m)
	must(t, s.Write(answers(6, 5)), s.Close(), s.Publish())
	checkLive(t, path, []uint32{5, 6, 7})
	if diff := cmp.Diff(Counts{Path: path, Format: "roaring", Written: 5}, s.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	for _, checkpointed := range []bool{false, true} {
		if _, err := NewLiveSet(path, false, checkpointed); err == nil || !strings.Contains(err.Error(), "--force") {
			t.Errorf("over another one: error %v", err)
		}
	}
	s = liveSet(t, path, true, false)
	must(t, s.Write(answers(1)), s.Close(), s.Publish())
	checkLive(t, path, []uint32{1})
}

func TestLiveSetDiscard(t *testing.T) {
	dir := t.TempDir()
	Discard(liveSet(t, filepath.Join(dir, "live"), false, false))
	checkNames(t, "discarded", dir)
	if _, err := NewLiveSet("/dev/null", true, false); err == nil {
		t.Error("a device")
	}
}

// Half a set is none.
func TestLiveSetFails(t *testing.T) {
	dir := t.TempDir()
	s := liveSet(t, filepath.Join(dir, "live"), false, false)
	must(t, s.Write(answers(1, 2)))
	s.partial.file.Close()
	s.partial.file, _ = os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err := s.Close(); err == nil || s.Close() == nil {
		t.Error("no error")
	}
	must(t, s.Publish())
	checkNames(t, "failed", dir)
	if err := s.Write(answers(3)); err == nil || s.Counts().Failed != 3 || s.Counts().Written != 0 {
		t.Errorf("error %v, counts %+v", err, s.Counts())
	}
}

// size is that of a file in bytes.
func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
