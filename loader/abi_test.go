// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"encoding/binary"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"xsweep/bpf"
	"xsweep/loader"
	"xsweep/sweep/reply"
)

// The verdicts have the same names and numbers in C and in Go, and none is
// missing in either.
func TestVerdictsAgree(t *testing.T) {
	spec, err := bpf.LoadReply()
	if err != nil {
		t.Fatal(err)
	}
	var enum *btf.Enum
	if err := spec.Types.TypeByName("verdict", &enum); err != nil {
		t.Fatal(err)
	}
	inC, inGo := map[uint64]string{}, map[uint64]string{}
	for _, v := range enum.Values {
		if v.Name == "VERDICT_COUNT" {
			if int(v.Value) != loader.NumVerdicts {
				t.Errorf("%d verdicts in C, %d in Go", v.Value, loader.NumVerdicts)
			}
			continue
		}
		inC[v.Value] = strings.ToLower(strings.TrimPrefix(v.Name, "VERDICT_"))
	}
	for v := range loader.NumVerdicts {
		inGo[uint64(v)] = loader.Verdict(v).String()
	}
	if diff := cmp.Diff(inC, inGo); diff != "" {
		t.Errorf("(-C +Go):\n%s", diff)
	}
	if room := len(bpf.ReplyCounters{}.Verdicts); loader.NumVerdicts > room {
		t.Errorf("%d verdicts, room for %d counters", loader.NumVerdicts, room)
	}
	if got, want := loader.Verdict(loader.NumVerdicts).String(), "verdict 13"; got != want {
		t.Errorf("beyond the last verdict: %q, not %q", got, want)
	}
}

// A record of the filter has the length and the layout that package reply
// decodes.
func TestRecordAgrees(t *testing.T) {
	spec, err := bpf.LoadReply()
	if err != nil {
		t.Fatal(err)
	}
	var record *btf.Struct
	if err := spec.Types.TypeByName("record", &record); err != nil {
		t.Fatal(err)
	}
	if record.Size != reply.RecordLen || binary.Size(bpf.ReplyRecord{}) != reply.RecordLen {
		t.Errorf("a record has %d bytes in C, %d in Go's twin, %d in package reply",
			record.Size, binary.Size(bpf.ReplyRecord{}), reply.RecordLen)
	}
	raw, err := binary.Append(nil, binary.LittleEndian, bpf.ReplyRecord{
		ArrivedNs: 5e9, RttNs: 1234567, Target: 0xc6130a0b, From: 0xc6130c0d, Size: 64, Ttl: 57,
		Attempt: 3, Verdict: uint8(loader.Repeat),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got reply.Record
	if err := got.Decode(raw, 1e9); err != nil {
		t.Fatal(err)
	}
	want := reply.Record{
		Time: time.Unix(6, 0).UTC(), Addr: netip.MustParseAddr("198.19.10.11"), From: netip.MustParseAddr("198.19.12.13"),
		TTL: 57, Attempt: 3, Verdict: loader.Repeat, Duplicate: true, Size: 64, RTT: 1234567, ClockOffset: reply.OffsetUnknown,
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	binary.LittleEndian.PutUint64(raw[8:], math.MaxUint64)
	if err := got.Decode(raw, 0); err != nil || got.RTT != reply.RTTUnknown {
		t.Errorf("RTT unknown: %v, %v", got.RTT, err)
	}
}

// The maps of a loaded filter have the sizes that its configuration needs.
func TestMapSizes(t *testing.T) {
	for _, test := range []struct {
		name             string
		spans            []span
		attempts         int
		directory, pages uint32
	}{
		{"no target", nil, 1, 1, 1},
		{"one address", []span{{7, 7}}, 1, 1, 1},
		{"one page", []span{{0, 1<<15 - 1}}, 1, 1, 1},
		{"over a border", []span{{1<<15 - 1, 1 << 15}}, 1, 2, 2},
		{"a /16", []span{slash16}, 1, 2, 2},
		{"a /16, three attempts", []span{slash16}, 3, 8, 8},
		{"a /16, four attempts", []span{slash16}, 4, 16, 16},
		{"a /16, 61 attempts", []span{slash16}, 61, 128, 128},
		{"far apart", []span{{0, 0}, {^uint32(0), ^uint32(0)}}, 1, 1 << 17, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := defaultConfig()
			c.Targets, c.Attempts = targets(test.spans...), test.attempts
			f := load(t, c)
			m := f.Maps()
			type size struct {
				Type                ebpf.MapType
				Key, Value, Entries uint32
			}
			got := map[string]size{}
			for name, m := range map[string]*ebpf.Map{"directory": m.SeenDirectory, "pages": m.SeenPages, "errors": m.ErrorPages, "stats": m.Stats} {
				got[name] = size{m.Type(), m.KeySize(), m.ValueSize(), m.MaxEntries()}
			}
			want := map[string]size{
				"directory": {ebpf.Array, 4, 4, test.directory},
				"pages":     {ebpf.Array, 4, 4096, test.pages},
				"errors":    {ebpf.Array, 4, 4096, test.pages},
				"stats":     {ebpf.PerCPUArray, 4, uint32(binary.Size(bpf.ReplyCounters{})), 1},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			total := 0
			for _, ring := range f.Rings() {
				total += ring.BufferSize()
			}
			if total > 32<<20 && len(f.Rings()) <= 512 {
				t.Errorf("%d rings of together %d bytes", len(f.Rings()), total)
			}
		})
	}
}

// A configuration that cannot be is refused before anything is loaded, so
// without privileges too.
func TestLoadReplyRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*loader.ReplyConfig)
		names  string
	}{
		"no source":         {func(c *loader.ReplyConfig) { c.Source = netip.Addr{} }, "source"},
		"IPv6 source":       {func(c *loader.ReplyConfig) { c.Source = netip.IPv6Loopback() }, "source ::1"},
		"no attempt":        {func(c *loader.ReplyConfig) { c.Attempts = 0 }, "0 attempts"},
		"negative attempts": {func(c *loader.ReplyConfig) { c.Attempts = -1 }, "-1 attempts"},
		"too many attempts": {func(c *loader.ReplyConfig) { c.Attempts = loader.MaxAttempts + 1 }, "62 attempts"},
		"short message":     {func(c *loader.ReplyConfig) { c.Probes = echoProbes(7) }, "7 bytes"},
		"long message":      {func(c *loader.ReplyConfig) { c.Probes = echoProbes(65516) }, "65516 bytes"},
		"no targets at all": {func(c *loader.ReplyConfig) { c.Targets = nil }, "no targets"},
	} {
		c := defaultConfig()
		test.change(&c)
		r, err := loader.LoadReply(c)
		if err == nil {
			r.Close()
			t.Errorf("%s: loaded", name)
		} else if !strings.Contains(err.Error(), test.names) {
			t.Errorf("%s: %q does not say %q", name, err, test.names)
		}
	}
}
