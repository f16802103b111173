// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
	"xsweep/loader"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
	"xsweep/sweep/reply"
	"xsweep/sweep/target"
)

// everyKind is all that can be asked.
var everyKind = []probe.Kind{probe.Echo, probe.Timestamp, probe.Mask}

// labSweep is what the lab has to know of a sweep to tell its records.
func labSweep(t testing.TB, c Config) lab.Sweep {
	t.Helper()
	c = c.withDefaults()
	replies, err := lab.ParseReplies(string(c.Replies))
	if err != nil {
		t.Fatal(err)
	}
	return lab.Sweep{
		Kinds: c.Kinds, Probes: c.Probes, HopLimit: c.HopLimit, Size: c.Size, DF: c.DontFragment, Replies: replies, All: c.RecordAll,
	}
}

// determined leaves out of records what nobody can know before, and sorts them.
func determined(records []reply.Record) []string {
	var lines []string
	for _, r := range records {
		r.Time, r.Verdict, r.RTT, r.ClockOffset = time.Time{}, 0, reply.RTTUnknown, reply.OffsetUnknown
		extensions := ""
		if r.Extensions != nil {
			extensions = string(r.Extensions.AppendInterfaces(r.Extensions.AppendMPLS(nil)))
			r.Extensions = nil
		}
		lines = append(lines, fmt.Sprintf("%v %+v %s", r.Addr, r, extensions))
	}
	slices.Sort(lines)
	return lines
}

// agree sweeps in a lab and compares records and counts of targets with its
// truth.
func agree(t *testing.T, world lab.Config, c Config) Summary {
	t.Helper()
	s, records := runSweep(t, c)
	set, query := target.SetOf(c.Targets), labSweep(t, c)
	want := determined(slices.Collect(world.Records(set, query)))
	if diff := cmp.Diff(want, determined(records)); diff != "" {
		if len(diff) > 4000 {
			diff = diff[:4000]
		}
		t.Errorf("%d records, want %d (-want +got):\n%s", len(records), len(want), diff)
	}
	counts := world.Counts(set, query)
	got := lab.Counts{Answered: s.Targets.Answered, ErrorsOnly: s.Targets.ErrorsOnly, Both: s.Targets.Both, Silent: s.Targets.Silent}
	if got != counts {
		t.Errorf("targets %+v, want %+v", got, counts)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	return s
}

// startError is the error of a sweep that must not begin.
func startError(t *testing.T, c Config) error {
	t.Helper()
	var start *StartError
	_, err := Run(t.Context(), brief(c), new(keeper))
	if !errors.As(err, &start) {
		t.Errorf("error %v: should be a StartError", err)
	}
	return err
}

func containsText(err error, text string) bool {
	return err != nil && strings.Contains(err.Error(), text)
}

// Every behaviour of hosts and routers, each transmitter: records are the
// expected ones, field for field.
func TestRecordsAgree(t *testing.T) {
	labtest.Kernel(t)
	all, err := lab.ParseWeights("all")
	if err != nil {
		t.Fatal(err)
	}
	for _, tx := range []Tx{TxPacket, TxRaw, TxXDP} {
		for name, c := range map[string]Config{
			"every kind":              {Kinds: everyKind, Replies: AllReplies},
			"positive":                {Kinds: []probe.Kind{probe.Mask, probe.Echo}},
			"errors":                  {Kinds: everyKind, Replies: ErrorReplies},
			"every one, two attempts": {Kinds: everyKind, Replies: AllReplies, RecordAll: true, Probes: 2},
			"hop limit 9":             {Replies: AllReplies, HopLimit: 9},
			"hop limit 1":             {Replies: AllReplies, HopLimit: 1, Kinds: everyKind},
			"no data":                 {Replies: AllReplies, Size: -1},
			"data without a tag":      {Replies: AllReplies, Size: 19, RecordAll: true},
			"long and not to be cut":  {Replies: AllReplies, Size: 1472, DontFragment: true, Pattern: []byte{0xa5, 0x5a, 0xff}},
			"odd, with a long kind":   {Replies: AllReplies, Size: 997, DontFragment: true, Kinds: everyKind, RecordAll: true, TOS: 0xb8},
		} {
			t.Run(string(tx)+"/"+name, func(t *testing.T) {
				world := lab.Config{Live: 0.9, Seed: 21, Behaviours: all}
				startLab(t, world)
				c.Targets, c.Tx, c.ProbeInterval = named(t, "240.9.0.0/22"), tx, 20*time.Millisecond
				s := agree(t, world, c)
				if n := s.Packets.Extensions; name == "every kind" && (n["checksum"] == 0 || n["malformed"] == 0) {
					t.Errorf("extensions that could not be read: %v", n)
				}
			})
		}
	}
}

// Timestamps: the round-trip time is in whole milliseconds, and the clock's
// offset is what the host's clock is off by.
func TestTimestamps(t *testing.T) {
	world := lab.Config{Live: 1, Seed: 4}
	startLab(t, world)
	_, records := runSweep(t, Config{Targets: named(t, "240.1.0.0/22"), Kinds: []probe.Kind{probe.Timestamp}, Rate: 20_000})
	if len(records) != 1024 {
		t.Fatalf("%d records", len(records))
	}
	off, unknown := 0, 0
	for _, r := range records {
		if r.RTT < 0 || r.RTT%time.Millisecond != 0 || r.RTT > 5*time.Second || r.Attempt != 0 {
			t.Errorf("RTT %v, attempt %d", r.RTT, r.Attempt)
		}
		switch {
		case r.ClockOffset == reply.OffsetUnknown:
			unknown++
		case r.ClockOffset < -12*time.Hour || r.ClockOffset > 12*time.Hour:
			t.Errorf("offset %v", r.ClockOffset)
		case r.ClockOffset.Abs() > time.Second:
			off++
		}
	}
	if off < 20 || unknown < 5 || off+unknown > 900 {
		t.Errorf("of 1024 clocks %d are off and %d unknown", off, unknown)
	}
}

// One request to an address that stands for many hosts: an answer of each.
func TestManyAnswers(t *testing.T) {
	startLab(t, lab.Config{Responder: lab.Kernel})
	c := Config{Targets: named(t, "198.18.0.3", "255.255.255.255", "224.0.0.1", "198.18.7.7"), Probes: 2, ProbeInterval: time.Millisecond, RecordAll: true}
	// Of others an answer counts only from themselves, unless one asks for more.
	if err := startError(t, c); !containsText(err, "3 of the targets stand for many hosts") {
		t.Errorf("error %v", err)
	}
	c.Many = true
	s, records := runSweep(t, c)
	type answer struct{ addr, from string }
	first, again := map[answer]int{}, map[answer]int{}
	for _, r := range records {
		a := answer{r.Addr.String(), r.From.String()}
		if r.Duplicate {
			again[a]++
		} else {
			first[a]++
		}
	}
	want := map[answer]int{
		{"198.18.0.3", "198.18.0.2"}: 1, {"255.255.255.255", "198.18.0.2"}: 1, {"224.0.0.1", "198.18.0.2"}: 1, {"198.18.7.7", "198.18.7.7"}: 1,
	}
	if diff := cmp.Diff([]map[answer]int{want, want}, []map[answer]int{first, again}, cmp.AllowUnexported(answer{})); diff != "" {
		t.Errorf("first and other answers (-want +got):\n%s", diff)
	}
	if s.Targets.Answered != 4 || s.Targets.Silent != 0 || s.Config["many"] != true {
		t.Errorf("targets %+v, many %v", s.Targets, s.Config["many"])
	}
}

// Alone, such targets imply it.
func TestManyImplied(t *testing.T) {
	startLab(t, lab.Config{Responder: lab.Kernel})
	s, records := runSweep(t, Config{Targets: named(t, "198.18.0.3", "224.0.0.1")})
	if len(records) != 2 || s.Targets.Answered != 2 || s.Config["many"] != true {
		t.Errorf("%d records, %+v, many %v", len(records), s.Targets, s.Config["many"])
	}
}

// Kernels that take packets in one piece alone sweep what fits, also on devices
// with a large MTU.
func TestNeedPieces(t *testing.T) {
	const short, long = loader.MaxMessageLen, loader.MaxMessageLen + 1
	for _, tc := range []struct {
		longest, mtu int
		have, want   bool
		fails        bool
	}{
		{28, 1500, true, false, false}, {28, 1500, false, false, false},
		{28, 65536, true, true, false}, {28, 65536, false, false, false},
		{short, 9000, false, false, false},
		{long, 65536, true, true, false}, {long, 65536, false, false, true},
	} {
		got, err := needPieces(tc.longest, tc.mtu, func() bool { return tc.have })
		if got != tc.want || (err != nil) != tc.fails || tc.fails && !containsText(err, "Linux 5.18") {
			t.Errorf("%+v: %v, %v", tc, got, err)
		}
	}
}

func TestManyRefuses(t *testing.T) {
	startLab(t, lab.Config{Responder: lab.Kernel})
	for want, c := range map[string]Config{
		"--probe echo":       {Kinds: everyKind},
		"--size":             {Size: 19},
		"--replies positive": {Replies: ErrorReplies},
	} {
		c.Targets = named(t, "198.18.0.3")
		if err := startError(t, c); !containsText(err, want) {
			t.Errorf("error %v, should name %s", err, want)
		}
	}
}

// Linux itself as hosts and routers.
func TestLinuxRouters(t *testing.T) {
	labtest.Kernel(t)
	const hops = 3
	for _, tx := range []Tx{TxPacket, TxRaw, TxXDP} {
		t.Run(string(tx), func(t *testing.T) {
			world := lab.Config{Responder: lab.Kernel, Hops: hops}
			startLab(t, world)
			for ttl := range uint8(hops + 1) {
				agree(t, world, Config{
					Targets: named(t, "198.18.8.0/24", "198.19.255.1"), HopLimit: ttl + 1, Replies: AllReplies, Tx: tx, Rate: 5000,
					Kinds: []probe.Kind{probe.Echo, probe.Timestamp}, ProbeInterval: time.Millisecond,
				})
			}
			// (At most five such errors come at once.)
			s := agree(t, world, Config{
				Targets: named(t, "198.19.64.7", "198.19.65.7", "198.19.66.7", "198.19.67.7", "198.19.68.7", "198.18.9.9"),
				Replies: AllReplies, Tx: tx, Size: 1400, DontFragment: true,
			})
			if s.Kinds["unreachable"]["4"] != 1 || s.Kinds["unreachable"]["13"] != 1 {
				t.Errorf("kinds %v", s.Kinds)
			}
		})
	}
}

// Probes from the smallest to the largest that a device takes come back whole.
func TestSizes(t *testing.T) {
	labtest.Kernel(t)
	for _, mtu := range []int{1500, 9000} {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) { testSizes(t, mtu) })
	}
}

func testSizes(t *testing.T, mtu int) {
	startLab(t, lab.Config{Responder: lab.Kernel, MTU: mtu})
	for _, tx := range []Tx{TxPacket, TxRaw} {
		for _, size := range []int{-1, 1, probe.PayloadLen, 56, 1000, mtu - probe.HeaderLen} {
			c := Config{Targets: named(t, "198.18.5.0/28"), Size: size, Tx: tx, DontFragment: true, Pattern: []byte{1, 2, 3}}
			s, records := runSweep(t, c)
			for _, r := range records {
				known := size >= probe.PayloadLen
				if int(r.Size) != 8+max(size, 0) || (r.RTT != reply.RTTUnknown) != known || (r.Attempt == 1) != known {
					t.Errorf("size %d: %+v", size, r)
				}
			}
			if len(records) != 16 || s.Config["size"] != max(size, 0) {
				t.Errorf("size %d, %s: %d records, %v", size, tx, len(records), s.Config["size"])
			}
		}
	}
	c := Config{Targets: named(t, "198.18.5.0/28"), Size: mtu - probe.HeaderLen + 1}
	if err := startError(t, c); !containsText(err, fmt.Sprint(mtu-probe.HeaderLen)) {
		t.Errorf("beyond the MTU: %v", err)
	}
}

// xdp sends what fits into a page, and where more is to be sent it is refused
// by name, or packet is chosen.
func TestXDPSizes(t *testing.T) {
	labtest.Kernel(t)
	startLab(t, lab.Config{Live: 1, MTU: 3500})
	const fits, tooLong = 3300 - probe.HeaderLen, 3500 - probe.HeaderLen
	for _, size := range []int{-1, 7, probe.PayloadLen, 21, 1473, fits} {
		_, records := runSweep(t, Config{Targets: named(t, "240.0.0.0/24"), Size: size, Tx: TxXDP, Probes: 2, ProbeInterval: time.Millisecond})
		if len(records) != 256 || int(records[0].Size) != 8+max(size, 0) {
			t.Errorf("size %d: %d records", size, len(records))
		}
	}
	c := Config{Targets: named(t, "240.0.0.0/24"), Size: tooLong, Tx: TxXDP}
	if err := startError(t, c); !containsText(err, "--tx packet") {
		t.Errorf("%v", err)
	}
	s, _ := runSweep(t, Config{Targets: named(t, "240.0.0.0/14"), Size: tooLong, Rate: pace.Max, MaxRuntime: 300 * time.Millisecond})
	if s.Transmitter.Used != TxPacket || !containsText(fmt.Errorf("%s", s.Transmitter.Why), "shorter frames") {
		t.Errorf("%+v", s.Transmitter)
	}
}

// The loopback device takes the largest packets there are.
func TestLoopbackSizes(t *testing.T) {
	labtest.Kernel(t)
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{probe.PayloadLen, 4087, 4088, 65507} {
		var kept keeper
		s, err := Run(t.Context(), brief(Config{Targets: named(t, "127.0.0.1", "127.3.2.1"), Size: size}), &kept)
		if err != nil {
			t.Fatal(err)
		}
		checkAccount(t, &s, &kept)
		sizes := map[netip.Addr]uint16{}
		for _, r := range kept.records {
			sizes[r.Addr] = r.Size
		}
		if len(sizes) != 2 || sizes[netip.MustParseAddr("127.3.2.1")] != uint16(8+size) {
			t.Errorf("size %d: %v", size, sizes)
		}
	}
}
