// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"xsweep/internal/lab/labtest"
	"xsweep/internal/testrand"
	"xsweep/loader"
)

// benchTarget is the one of most tests, benchOther is nobody's.
const (
	benchTarget = 0xc6130001
	benchOther  = 0xc6130002
)

func benchConfig() loader.BenchConfig {
	return loader.BenchConfig{
		Key: testKey, Flows: []loader.Flow{{Source: testSource}}, Targets: []netip.Addr{netip.AddrFrom4([4]byte{198, 19, 0, 1})}, Threads: 1,
		MessageLen: 8 + testDataLen, Window: 1024,
	}
}

// benchTrial is that of most tests: 100 probes of which 10 warm up, a microsecond
// apart.
var benchTrial = loader.BenchTrial{Base: 5000, Measured: 5010, End: 5100, Interval: 1000 << 16, DrainNS: 1e9}

// judge is a loaded judge without a device, fed frame by frame.
type judge struct {
	*loader.Bench
	a *answerer
}

func loadJudge(t testing.TB, c loader.BenchConfig, trial loader.BenchTrial) *judge {
	t.Helper()
	labtest.Kernel(t)
	b, err := loader.LoadBench(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := b.FreezeClock(frozenNow); err != nil {
		t.Fatal(err)
	}
	if err := b.Begin(trial); err != nil {
		t.Fatal(err)
	}
	return &judge{b, newAnswerer(t, loader.ReplyConfig{Key: c.Key, Source: testSource, Probes: echoProbes(c.MessageLen)})}
}

// answer is the answer to a probe of an index that was sent so long ago, in ns.
func (j *judge) answer(t testing.TB, target uint32, index uint64, ago int64) []byte {
	return j.a.reply(t, echo{target: target, index: index, attempt: 1, sent: uint64(frozenNow - ago), ttl: 64})
}

// run gives frames to the judge. It returns the action of the last.
func (j *judge) run(t testing.TB, frames ...[]byte) (action uint32) {
	t.Helper()
	for _, frame := range frames {
		var err error
		if action, err = j.Program().Run(&ebpf.RunOptions{Data: frame}); err != nil {
			t.Fatal(err)
		}
	}
	return action
}

func (j *judge) stats(t testing.TB) loader.BenchStats {
	t.Helper()
	s, err := j.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// One valid answer, one change a case: the action, the verdict, and that no other
// counter moved.
func TestBenchVerdicts(t *testing.T) {
	const ago = 50_000
	valid := func(t *testing.T, j *judge) []byte { return j.answer(t, benchTarget, 5020, ago) }
	change := func(f func([]byte) []byte) func(*testing.T, *judge) []byte {
		return func(t *testing.T, j *judge) []byte { return f(valid(t, j)) }
	}
	at := func(index uint64, ago int64) func(*testing.T, *judge) []byte {
		return func(t *testing.T, j *judge) []byte { return j.answer(t, benchTarget, index, ago) }
	}
	for _, c := range []struct {
		name    string
		frame   func(*testing.T, *judge) []byte
		verdict loader.BenchVerdict
		error   int // ICMP type + 1
	}{
		{"valid", valid, loader.BenchAnswered, 0},
		{"first of the trial", at(5010, ago), loader.BenchAnswered, 0},
		{"last of the trial", at(5099, ago), loader.BenchAnswered, 0},
		{"warm-up", at(5009, ago), loader.BenchWarmup, 0},
		{"warm-up, late", at(5000, 1e9+1), loader.BenchWarmup, 0},
		{"of the trial before", at(4999, ago), loader.BenchStale, 0},
		{"of no trial", at(5100, ago), loader.BenchStale, 0},
		{"just in time", at(5020, 1e9), loader.BenchAnswered, 0},
		{"late", at(5020, 1e9+1), loader.BenchLate, 0},
		{"from the future", at(5020, -1), loader.BenchForged, 0},
		{"somebody else's answer", func(t *testing.T, j *judge) []byte { return j.answer(t, benchOther, 5020, ago) }, loader.BenchForged, 0},
		{"wrong cookie", change(func(b []byte) []byte { return fixICMP(put(b, atCookie, b[atCookie]^1)) }), loader.BenchForged, 0},
		{"wrong tag", change(func(b []byte) []byte { return fixICMP(put(b, atData+16, b[atData+16]^1)) }), loader.BenchForged, 0},
		{"wrong index", change(func(b []byte) []byte { return fixICMP(put(b, atData+9, b[atData+9]^1)) }), loader.BenchForged, 0},
		{"not to us", change(func(b []byte) []byte { return fixIP(put(b, atIP+19, 77)) }), loader.BenchForeign, 0},
		{"ICMP checksum", change(func(b []byte) []byte { return put(b, atICMP+2, b[atICMP+2]^1) }), loader.BenchChecksum, 0},
		{"IP checksum", change(func(b []byte) []byte { return put(b, atIP+10, b[atIP+10]^1) }), loader.BenchChecksum, 0},
		{"fragment", change(func(b []byte) []byte { return fixIP(put(b, atIP+6, 0x20)) }), loader.BenchFragment, 0},
		{"code", change(func(b []byte) []byte { return fixICMP(put(b, atICMP+1, 1)) }), loader.BenchMalformed, 0},
		{"truncated", change(func(b []byte) []byte { return b[:len(b)-1] }), loader.BenchMalformed, 0},
		{"a request", change(func(b []byte) []byte { return fixICMP(put(b, atICMP, 8)) }), loader.BenchForeign, 0},
		{"not IP", change(func(b []byte) []byte { return put(b, atEtherType, 0x08, 0x06) }), loader.BenchOther, 0},
		{"not ICMP", change(func(b []byte) []byte { return fixIP(put(b, atIP+9, 17)) }), loader.BenchOther, 0},
		{"error", func(t *testing.T, j *judge) []byte { return benchError(t, j, benchTarget, 3) }, loader.BenchError, 4},
		{"error for nobody", func(t *testing.T, j *judge) []byte { return benchError(t, j, benchOther, 3) }, loader.BenchForeign, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := loadJudge(t, benchConfig(), benchTrial)
			action := j.run(t, c.frame(t, j))
			want := loader.BenchStats{Judged: 1}
			want.Verdicts[c.verdict] = 1
			if c.error > 0 {
				want.Errors[c.error-1] = 1
			}
			got := j.stats(t)
			if c.verdict == loader.BenchAnswered {
				rtt := uint64(ago)
				if c.name == "just in time" {
					rtt = 1e9
				}
				if got.Sent.Count != 1 || got.Sent.Sum != rtt || got.Sent.Min != rtt || got.Sent.Max != rtt || got.Scheduled != got.Sent {
					t.Errorf("latency: %d, %d to %d", got.Sent.Count, got.Sent.Min, got.Sent.Max)
				}
				got.Sent, got.Scheduled = loader.BenchLatency{}, loader.BenchLatency{}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			drop := c.verdict >= loader.BenchAnswered
			if (got.Taken() == 1) != drop {
				t.Errorf("%d taken", got.Taken())
			}
			if (action == xdpDrop) != drop || action != xdpDrop && action != xdpPass {
				t.Errorf("action %d", action)
			}
			errors, err := j.TargetErrors()
			if n := errors[benchConfig().Targets[0]]; err != nil || (n == 1) != (c.error > 0) {
				t.Errorf("%d errors of the target, %v", n, err)
			}
		})
	}
}

// benchError is an error of a router about a probe.
func benchError(t *testing.T, j *judge, target uint32, icmpType byte) []byte {
	t.Helper()
	request := j.a.probe(0, echo{target: target, index: 5020, attempt: 1, sent: frozenNow - 1})
	frame := slices.Concat(request[:atICMP], []byte{icmpType, 1, 0, 0, 0, 0, 0, 0}, request[atIP:])
	copy(frame[atIP+12:], []byte{198, 18, 0, 2})
	copy(frame[atIP+16:], testSource.AsSlice())
	frame[atIP+3] = byte(len(frame) - atIP)
	return fixICMP(fixIP(frame))
}

// Each index is answered once; whatever comes again is a duplicate, in every
// order and across every lap of the window.
func TestBenchDuplicates(t *testing.T) {
	random := testrand.New(t)
	c := benchConfig()
	trial := loader.BenchTrial{Base: 0, Measured: 0, End: 10_000, DrainNS: 1e9}
	j := loadJudge(t, c, trial)
	var indexes []uint64
	for i := range uint64(4000) {
		if random.IntN(10) > 0 { // one in ten is lost
			indexes = append(indexes, i)
			if random.IntN(20) == 0 {
				indexes = append(indexes, i)
			}
		}
	}
	// Within some hundred places all may come in any order.
	for from := 0; from < len(indexes); from += 200 {
		part := indexes[from:min(from+200, len(indexes))]
		random.Shuffle(len(part), func(i, k int) { part[i], part[k] = part[k], part[i] })
	}
	var want loader.BenchStats
	seen, next := map[uint64]bool{}, uint64(0)
	for _, i := range indexes {
		switch {
		case seen[i]:
			want.Verdicts[loader.BenchDuplicate]++
		default:
			want.Verdicts[loader.BenchAnswered]++
			if i < next {
				want.Reordered++
			}
			next = max(next, i+1)
		}
		seen[i] = true
		want.Judged++
		j.run(t, j.answer(t, benchTarget, i, 1000))
	}
	got := j.stats(t)
	if got.Judged != want.Judged || got.Verdicts != want.Verdicts || got.Reordered != want.Reordered {
		t.Errorf("judged %d, %v, %d reordered; want %d, %v, %d", got.Judged, got.Verdicts, got.Reordered, want.Judged, want.Verdicts, want.Reordered)
	}
	known := 0
	for i := range uint64(4000) {
		lost, last, ok := j.Lost(i, i+1, 1)
		if ok {
			known++
		}
		if ok && (lost == 0) != seen[i] || lost > 0 && last != i {
			t.Errorf("index %d: %d lost, the last one %d", i, lost, last)
		}
	}
	// Of many at once, by one thread of three.
	var lost, last uint64
	for i := uint64(3502); i < 3990; i += 3 {
		if !seen[i] {
			lost, last = lost+1, i
		}
	}
	if gotLost, gotLast, ok := j.Lost(3502, 3990, 3); gotLost != lost || gotLast != last || !ok {
		t.Errorf("%d lost, the last one %d, %t; want %d and %d", gotLost, gotLast, ok, lost, last)
	}
	if _, _, ok := j.Lost(0, 4000, 1); ok {
		t.Error("all is known of more than the window holds")
	}
	if uint64(known) < j.Window()-64 {
		t.Errorf("%d of a window of %d are known", known, j.Window())
	}
}

// What the window has left behind is neither first nor duplicate.
func TestBenchOvertaken(t *testing.T) {
	j := loadJudge(t, benchConfig(), loader.BenchTrial{End: 1 << 20, DrainNS: 1e9})
	j.run(t, j.answer(t, benchTarget, j.Window()+3, 10), j.answer(t, benchTarget, 3, 10), j.answer(t, benchTarget, 4, 10))
	s := j.stats(t)
	if s.Verdicts[loader.BenchAnswered] != 1 || s.Verdicts[loader.BenchOvertaken] != 2 {
		t.Errorf("%v", s.Verdicts)
	}
}

// A probe that leaves late is measured from when it was to leave.
func TestBenchScheduled(t *testing.T) {
	j := loadJudge(t, benchConfig(), benchTrial)
	// What the warm-up was late by is forgotten.
	j.run(t, j.answer(t, benchTarget, 5009, 50_000_000))
	// The first one, on time; the next a millisecond late; one that is early.
	j.run(t, j.answer(t, benchTarget, 5010, 2_000_000), j.answer(t, benchTarget, 5011, 1_000_000), j.answer(t, benchTarget, 5012, 1_999_000))
	s := j.stats(t)
	if want := uint64(2_000_000 + 1_000_000 + 1_999_000); s.Sent.Sum != want {
		t.Errorf("from sending: %d, want %d", s.Sent.Sum, want)
	}
	if want := uint64(2_000_000 + 1_999_000 + 1_999_000); s.Scheduled.Sum != want {
		t.Errorf("from the schedule: %d, want %d", s.Scheduled.Sum, want)
	}
}

// Several targets and threads are flows of their own: nothing between two of
// them is reordered.
func TestBenchFlows(t *testing.T) {
	c := benchConfig()
	c.Targets, c.Threads = append(c.Targets, netip.AddrFrom4([4]byte{198, 19, 0, 2})), 2
	j := loadJudge(t, c, loader.BenchTrial{Base: 8, Measured: 8, End: 80, DrainNS: 1e9})
	// Threads 0 and 1 send to the first target 8, 12 and 9, 13; to the second 10, 14 and 11, 15.
	for _, f := range []struct {
		target uint32
		index  uint64
	}{{benchTarget, 12}, {benchTarget, 9}, {benchOther, 10}, {benchOther, 15}, {benchTarget, 8}, {benchTarget, 13}} {
		j.run(t, j.answer(t, f.target, f.index, 1000))
	}
	j.run(t, j.answer(t, benchOther, 16, 1000)) // the first one's
	s := j.stats(t)
	if s.Verdicts[loader.BenchAnswered] != 6 || s.Verdicts[loader.BenchForged] != 1 || s.Reordered != 1 {
		t.Errorf("%v, %d reordered", s.Verdicts, s.Reordered)
	}
	flows, err := j.Flows()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range flows {
		got = append(got, fmt.Sprint(f.Target, f.Thread, f.Answered))
	}
	if want := []string{"198.19.0.1 0 2", "198.19.0.1 1 2", "198.19.0.2 0 1", "198.19.0.2 1 1"}; !slices.Equal(got, want) {
		t.Errorf("flows %q, want %q", got, want)
	}
}

// A bin's bounds are those of what is counted in it.
func TestBenchBins(t *testing.T) {
	random := testrand.New(t)
	j := loadJudge(t, benchConfig(), loader.BenchTrial{End: 1 << 30, DrainNS: 1 << 62})
	for i := range uint64(300) {
		rtt := random.Uint64N(1 << (6 + i%25))
		if rtt < 64 {
			rtt += 64
		}
		rtt = min(rtt, frozenNow)
		before := j.stats(t)
		j.run(t, j.answer(t, benchTarget, i, int64(rtt)))
		after := j.stats(t)
		bin := onlyMoved(t, "bin", before.Sent.Bins[:], after.Sent.Bins[:])
		if low, high := loader.BenchBin(bin); float64(rtt) < low || float64(rtt) >= high {
			t.Errorf("%d ns counted in bin %d: %v to %v", rtt, bin, low, high)
		}
	}
}

// A judge is told what it cannot be.
func TestBenchConfig(t *testing.T) {
	for name, change := range map[string]func(*loader.BenchConfig){
		"no flow":   func(c *loader.BenchConfig) { c.Flows = nil },
		"source":    func(c *loader.BenchConfig) { c.Flows[0].Source = netip.Addr{} },
		"same flow": func(c *loader.BenchConfig) { c.Flows = append(c.Flows, c.Flows[0]) },
		"too many":  func(c *loader.BenchConfig) { c.Threads = loader.MaxBenchFlows + 1 },
		"targets":   func(c *loader.BenchConfig) { c.Targets = nil },
		"twice":     func(c *loader.BenchConfig) { c.Targets = append(c.Targets, c.Targets[0]) },
		"threads":   func(c *loader.BenchConfig) { c.Threads = 0 },
		"too short": func(c *loader.BenchConfig) { c.MessageLen = 27 },
		"window":    func(c *loader.BenchConfig) { c.Window = 1 << 31 },
	} {
		c := benchConfig()
		change(&c)
		if b, err := loader.LoadBench(c); err == nil {
			b.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

// Jitter is that of RFC 3550, section 6.4.1.
func TestBenchJitter(t *testing.T) {
	j := loadJudge(t, benchConfig(), loader.BenchTrial{End: 1 << 20, DrainNS: 1e9})
	random := rand.New(rand.NewPCG(1, 2))
	want, last := 0.0, int64(-1)
	for i := range uint64(500) {
		rtt := 100_000 + random.Int64N(50_000)
		j.run(t, j.answer(t, benchTarget, i, rtt))
		if last >= 0 {
			d := float64(rtt - last)
			want += (max(d, -d) - want) / 16
		}
		last = rtt
	}
	flows, err := j.Flows()
	if err != nil {
		t.Fatal(err)
	}
	if got := flows[0].Jitter; got < want-5 || got > want+5 {
		t.Errorf("jitter %v, want %v", got, want)
	}
}

// Names and numbers of the verdicts stay together.
func TestBenchVerdictNames(t *testing.T) {
	seen := map[string]bool{}
	for v := range loader.NumBenchVerdicts {
		name := loader.BenchVerdict(v).String()
		if name == "" || seen[name] {
			t.Errorf("verdict %d is called %q", v, name)
		}
		seen[name] = true
	}
}
