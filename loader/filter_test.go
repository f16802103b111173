// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"xsweep/bpf"
	"xsweep/internal/lab/labtest"
	"xsweep/loader"
	"xsweep/sweep/reply"
)

// Actions of enum xdp_action in linux/bpf.h.
const (
	xdpDrop = 1
	xdpPass = 2
)

// frozenNow is what the clock of a filter under test shows, in nanoseconds:
// two seconds after start-up, so that there is a past and a future.
const frozenNow = 0x7fffffff

var (
	testKey    = [16]byte{0x0f, 0x1e, 0x2d, 0x3c, 0x4b, 0x5a, 0x69, 0x78, 0x87, 0x96, 0xa5, 0xb4, 0xc3, 0xd2, 0xe1, 0xf0}
	testSource = netip.MustParseAddr("198.18.0.1")
)

// span is one range of targets, both ends included.
type span struct{ lo, hi uint32 }

func targets(spans ...span) iter.Seq2[uint32, uint32] {
	return func(yield func(uint32, uint32) bool) {
		for _, s := range spans {
			if !yield(s.lo, s.hi) {
				return
			}
		}
	}
}

// slash16 is the target set of most tests: 198.19.0.0/16.
var slash16 = span{0xc6130000, 0xc613ffff}

// echoProbes are echo requests of so many bytes of ICMP message.
func echoProbes(messageLen int) []loader.ProbeShape {
	return []loader.ProbeShape{{Request: 8, MessageLen: messageLen}}
}

// allProbes are one of each kind; the echo request's is the length of most tests.
func allProbes() []loader.ProbeShape {
	return []loader.ProbeShape{{Request: 8, MessageLen: 8 + testDataLen}, {Request: 13, MessageLen: 20}, {Request: 17, MessageLen: 12}}
}

// defaultConfig is what most tests load.
func defaultConfig() loader.ReplyConfig {
	return loader.ReplyConfig{
		Key: testKey, Source: testSource, Targets: targets(slash16), Attempts: 3, Probes: echoProbes(8 + testDataLen), RecordFirst: true,
	}
}

// filter is a loaded reply filter without a device, fed frame by frame.
type filter struct {
	*loader.Reply
	last loader.ReplyStats // the counters before the next frame
	// watch makes every effect tell the code that was counted.
	watch bool
	raw   ringbuf.Record
}

func load(t testing.TB, c loader.ReplyConfig) *filter {
	t.Helper()
	labtest.Kernel(t)
	r, err := loader.LoadReply(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return &filter{Reply: r}
}

// loadFrozen loads the filter with its clock standing at now.
func loadFrozen(t testing.TB, c loader.ReplyConfig, now int32) *filter {
	t.Helper()
	f := load(t, c)
	if err := f.FreezeClock(now); err != nil {
		t.Fatal(err)
	}
	return f
}

// havePieces says whether programs can take packets in several pieces: from Linux
// 5.18 on.
func havePieces(t testing.TB) bool {
	t.Helper()
	labtest.Kernel(t)
	err := features.HaveProgramHelper(ebpf.XDP, asm.FnXdpLoadBytes)
	if err != nil && !errors.Is(err, ebpf.ErrNotSupported) {
		t.Fatal(err)
	}
	return err == nil
}

// effect is all that one frame did. What does not fit in here fails the test
// in [filter.run].
type effect struct {
	Drop    bool
	Verdict loader.Verdict
	TTL     int             // the TTL that was counted, or -1
	RTT     int64           // the RTT that was counted, in ns, or -1
	Code    string          // the type and code that were counted, as 3/1; empty also if nobody watches
	Errored bool            // a target more that an error came for
	Record  bpf.ReplyRecord // zero: none
	Message string          // what follows the record
}

// passed is the effect of every frame that is not ours.
func passed(v loader.Verdict) effect { return effect{Verdict: v, TTL: -1, RTT: -1} }

// run gives one frame to the filter and says what it did.
func (f *filter) run(t testing.TB, frame []byte) effect {
	t.Helper()
	return f.observe(t, f.execute(t, frame))
}

// leastFrame is the shortest frame, in bytes, that the kernel gives to XDP
// programs: an Ethernet header.
const leastFrame = 14

// execute runs the program over one frame and returns its action.
func (f *filter) execute(t testing.TB, frame []byte) uint32 {
	t.Helper()
	action, err := f.Program().Run(&ebpf.RunOptions{Data: frame})
	if err != nil {
		t.Fatalf("run the filter over %d bytes: %v", len(frame), err)
	}
	return action
}

// observe says what the last frame did, its record included.
func (f *filter) observe(t testing.TB, action uint32) effect {
	t.Helper()
	e := f.compare(t, action)
	switch records := f.drain(t); len(records) {
	case 0:
	case 1:
		e.Record, e.Message = records[0].ReplyRecord, records[0].message
	default:
		t.Fatalf("one frame made %d records", len(records))
	}
	return e
}

// compare compares the counters with what they were before the last frame.
func (f *filter) compare(t testing.TB, action uint32) effect {
	t.Helper()
	now, err := f.Stats()
	if err != nil {
		t.Fatal(err)
	}
	was := f.last
	f.last = now
	e := effect{Drop: action == xdpDrop, TTL: -1, RTT: -1}
	if action != xdpDrop && action != xdpPass {
		t.Fatalf("action %d: neither drop nor pass", action)
	}
	if now.Judged != was.Judged+1 {
		t.Fatalf("judged went from %d to %d", was.Judged, now.Judged)
	}
	verdict := onlyMoved(t, "verdict", was.Verdicts[:], now.Verdicts[:])
	if verdict < 0 {
		t.Fatal("no verdict was counted")
	}
	e.Verdict = loader.Verdict(verdict)
	e.Errored = onlyMoved(t, "errored", []uint64{was.Errored}, []uint64{now.Errored}) == 0
	e.TTL = onlyMoved(t, "ttl", was.TTL[:], now.TTL[:])
	bin := onlyMoved(t, "rtt bin", was.RTT[:], now.RTT[:])
	low, high := was.RTTMin, was.RTTMax
	if bin >= 0 {
		rtt := now.RTTSum - was.RTTSum
		e.RTT = int64(rtt)
		if want := referenceBin(rtt); bin != want {
			t.Errorf("an RTT of %d ns went into bin %d, not %d", rtt, bin, want)
		}
		if was.RTTCount == 0 {
			low = rtt
		}
		low, high = min(low, rtt), max(high, rtt)
		was.RTTCount++
		was.RTTSum += rtt
	}
	if got, want := [...]uint64{now.RTTCount, now.RTTSum, now.RTTMin, now.RTTMax}, [...]uint64{was.RTTCount, was.RTTSum, low, high}; got != want {
		t.Errorf("RTT count, sum, minimum and maximum are %d, not %d", got, want)
	}
	if f.watch {
		e.Code = countedCode(t, was.Codes(), now.Codes())
	}
	return e
}

// agree gives one frame to model and filter, and stops the test where they do not
// agree.
func (f *filter) agree(t testing.TB, m *model, frame []byte, what string) effect {
	t.Helper()
	want, got := m.judge(frame), f.run(t, frame)
	if !f.watch {
		want.Code = ""
	}
	if want != got {
		t.Fatalf("%s: % x\n(-want +got):\n%s", what, frame, cmp.Diff(want, got))
	}
	return got
}

// agreeInTotal compares what the counters have come to.
func (f *filter) agreeInTotal(t testing.TB, m *model) {
	t.Helper()
	s, err := f.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m.totals(), totals{Errored: s.Errored, Both: f.both(t), Codes: s.Codes()}); diff != "" {
		t.Fatalf("in total (-want +got):\n%s", diff)
	}
}

// both is how many targets gave a reply and an error.
func (f *filter) both(t testing.TB) uint64 {
	t.Helper()
	n, err := f.Both()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// countedCode finds the one type and code that one was added to.
func countedCode(t testing.TB, was, now map[uint8]map[uint8]uint64) string {
	t.Helper()
	counted := ""
	for icmpType, codes := range now {
		for code, n := range codes {
			switch before := was[icmpType][code]; {
			case n == before:
			case n == before+1 && counted == "":
				counted = codeName(icmpType, code)
			default:
				t.Fatalf("type %d, code %d went from %d to %d, and %s was counted too", icmpType, code, before, n, counted)
			}
		}
	}
	return counted
}

func codeName(icmpType, code uint8) string { return fmt.Sprintf("%d/%d", icmpType, code) }

// onlyMoved finds the one counter that went up, and by one. It is -1 when
// all stand; anything else fails the test.
func onlyMoved(t testing.TB, what string, was, now []uint64) int {
	t.Helper()
	moved := -1
	for i := range was {
		switch {
		case now[i] == was[i]:
		case now[i] == was[i]+1 && moved < 0:
			moved = i
		default:
			t.Fatalf("%s %d went from %d to %d (moved before it: %d)", what, i, was[i], now[i], moved)
		}
	}
	return moved
}

// ringRecord is what came out of a ring: a record, and the message behind it.
type ringRecord struct {
	bpf.ReplyRecord
	message string
}

// longRecord is the length of a record with room for a message, in bytes.
const longRecord = reply.RecordLen + 576

// drain empties the rings.
func (f *filter) drain(t testing.TB) []ringRecord {
	t.Helper()
	var records []ringRecord
	for _, raw := range f.drainRaw(t) {
		var r ringRecord
		n, err := binary.Decode(raw, binary.LittleEndian, &r.ReplyRecord)
		if err != nil || n != reply.RecordLen {
			t.Fatalf("a record of %d bytes, %d of them decoded: %v", len(raw), n, err)
		}
		switch {
		case len(raw) == reply.RecordLen && r.ReplyRecord.Message == 0:
		case len(raw) == longRecord && r.ReplyRecord.Message > 0 && int(r.ReplyRecord.Message) <= len(raw)-n:
			r.message = string(raw[n:][:r.ReplyRecord.Message])
		default:
			t.Fatalf("a record of %d bytes with a message of %d", len(raw), r.ReplyRecord.Message)
		}
		records = append(records, r)
	}
	return records
}

// drainRaw empties the rings of what the filter wrote.
func (f *filter) drainRaw(t testing.TB) [][]byte {
	t.Helper()
	var all [][]byte
	for _, ring := range f.Rings() {
		if ring.AvailableBytes() == 0 {
			continue
		}
		ring.SetDeadline(time.Unix(1, 0)) // long past: read what is there
		for {
			err := ring.ReadInto(&f.raw)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, slices.Clone(f.raw.RawSample))
		}
	}
	return all
}

// pin keeps the test on one CPU, and so on one ring, until it ends.
func pin(t testing.TB) {
	t.Helper()
	runtime.LockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	for cpu := 0; one.Count() == 0; cpu++ {
		if before.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.SchedSetaffinity(0, &before); err != nil {
			t.Error(err)
			return // the thread ends with its goroutine
		}
		runtime.UnlockOSThread()
	})
}
