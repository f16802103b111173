// SPDX-License-Identifier: Apache-2.0

package bpf_test

import (
	"encoding/binary"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"xsweep/bpf"
)

// An object holds its programs and nothing made for tests, under a licence
// that the kernel takes for GPL-compatible.
func TestObjectsHoldTheirPrograms(t *testing.T) {
	for _, object := range []struct {
		load  func() (*ebpf.CollectionSpec, error)
		names []string
	}{
		{bpf.LoadReply, []string{"xsweep_pieces", "xsweep_reply"}},
		{bpf.LoadSimnet, []string{"xsweep_simnet"}},
		{bpf.LoadTransmit, []string{"count_redirect_err", "count_xmit", "xsweep_transmit"}},
	} {
		spec, err := object.load()
		if err != nil {
			t.Fatal(err)
		}
		if spec.ByteOrder != binary.LittleEndian {
			t.Errorf("%v: byte order %v", object.names, spec.ByteOrder)
		}
		if got := slices.Sorted(maps.Keys(spec.Programs)); !slices.Equal(got, object.names) {
			t.Errorf("programs %v, not %v", got, object.names)
		}
		for _, p := range spec.Programs {
			// The kernel keeps 15 characters; those of what sits on devices are seen.
			if p.License != "Dual BSD/GPL" || p.Type == ebpf.XDP && len(p.Name) > 15 {
				t.Errorf("program %q: type %v, licence %q", p.Name, p.Type, p.License)
			}
		}
	}
}

// What the loader does not size is right in the object.
func TestReplyMaps(t *testing.T) {
	spec, err := bpf.LoadReply()
	if err != nil {
		t.Fatal(err)
	}
	type shape struct {
		Type                ebpf.MapType
		Key, Value, Entries uint32
	}
	got := map[string]shape{}
	for name, m := range spec.Maps {
		if name != ".rodata" {
			got[name] = shape{m.Type, m.KeySize, m.ValueSize, m.MaxEntries}
		}
	}
	want := map[string]shape{
		bpf.ReplyMapSeenDirectory: {ebpf.Array, 4, 4, 1},
		bpf.ReplyMapSeenPages:     {ebpf.Array, 4, 4096, 1},
		bpf.ReplyMapErrorPages:    {ebpf.Array, 4, 4096, 1},
		bpf.ReplyMapHeard:         {ebpf.Array, 4, 64, 4096},
		bpf.ReplyMapStats:         {ebpf.PerCPUArray, 4, uint32(binary.Size(bpf.ReplyCounters{})), 1},
		bpf.ReplyMapRings:         {ebpf.ArrayOfMaps, 4, 4, 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if inner := spec.Maps[bpf.ReplyMapRings].InnerMap; inner == nil || inner.Type != ebpf.RingBuf {
		t.Errorf("the rings are %v", inner)
	}
}

// The numbers that Go repeats because bpf2go carries no macros.
func TestMacros(t *testing.T) {
	counters := bpf.ReplyCounters{}
	for _, test := range []struct {
		file, name string
		want       int
	}{
		{"reply.bpf.c", "SEEN_PAGE_BITS_LOG2", 15},
		{"include/reply_abi.h", "RTT_SUB_BITS", 5},
		{"include/reply_abi.h", "RTT_MIN_LOG2", 6},
		{"include/reply_abi.h", "RTT_MAX_LOG2", 36},
		{"include/reply_abi.h", "RTT_BINS_PADDED", len(counters.Rtt)},
		{"include/cookie.h", "PROBE_ATTEMPT_BITS", 8},
		{"include/cookie.h", "PROBE_INDEX_BITS", 40},
		{"include/parse.h", "MAX_VLAN_TAGS", 2},
	} {
		if got := macro(t, test.file, test.name); got != test.want {
			t.Errorf("%s: %s is %d, Go says %d", test.file, test.name, got, test.want)
		}
	}
	const abi = "include/reply_abi.h"
	octaves := macro(t, abi, "RTT_MAX_LOG2") - macro(t, abi, "RTT_MIN_LOG2")
	if bins := octaves << macro(t, abi, "RTT_SUB_BITS"); bins != 960 || bins > len(counters.Rtt) {
		t.Errorf("%d bins in %d", bins, len(counters.Rtt))
	}
	if got := macro(t, "reply.bpf.c", "SEEN_PAGE_BITS_LOG2"); 1<<got/8 != 4096 {
		t.Errorf("a page has %d bytes", 1<<got/8)
	}
	if len(counters.Ttl) != 256 {
		t.Errorf("%d counters for TTLs", len(counters.Ttl))
	}
}

// macro reads the number that a C file defines a macro as.
func macro(t *testing.T, file, name string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^#define ` + name + ` (\d+)\b`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("%s: no macro %s with a number", file, name)
	}
	n, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
