// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"

	"xsweep/bpf"
)

// BenchVerdict is what the judge decided for one packet.
type BenchVerdict uint8

// The verdicts, in the order of enum bench_verdict in bpf/include/bench_abi.h.
const (
	BenchOther     = BenchVerdict(bpf.BenchBenchVerdictBENCH_OTHER)
	BenchForeign   = BenchVerdict(bpf.BenchBenchVerdictBENCH_FOREIGN)
	BenchForged    = BenchVerdict(bpf.BenchBenchVerdictBENCH_FORGED)
	BenchMalformed = BenchVerdict(bpf.BenchBenchVerdictBENCH_MALFORMED)
	BenchChecksum  = BenchVerdict(bpf.BenchBenchVerdictBENCH_CHECKSUM)
	BenchFragment  = BenchVerdict(bpf.BenchBenchVerdictBENCH_FRAGMENT)
	BenchAnswered  = BenchVerdict(bpf.BenchBenchVerdictBENCH_ANSWERED)
	BenchLate      = BenchVerdict(bpf.BenchBenchVerdictBENCH_LATE)
	BenchDuplicate = BenchVerdict(bpf.BenchBenchVerdictBENCH_DUPLICATE)
	BenchWarmup    = BenchVerdict(bpf.BenchBenchVerdictBENCH_WARMUP)
	BenchStale     = BenchVerdict(bpf.BenchBenchVerdictBENCH_STALE)
	BenchOvertaken = BenchVerdict(bpf.BenchBenchVerdictBENCH_OVERTAKEN)
	BenchError     = BenchVerdict(bpf.BenchBenchVerdictBENCH_ERROR)
)

// NumBenchVerdicts is how many verdicts there are.
const NumBenchVerdicts = int(bpf.BenchBenchVerdictBENCH_VERDICTS)

var benchVerdictNames = [NumBenchVerdicts]string{
	BenchOther: "other", BenchForeign: "foreign", BenchForged: "forged", BenchMalformed: "malformed",
	BenchChecksum: "checksum", BenchFragment: "fragment", BenchAnswered: "answered", BenchLate: "late",
	BenchDuplicate: "duplicate", BenchWarmup: "warmup", BenchStale: "stale", BenchOvertaken: "overtaken", BenchError: "error",
}

// String gives the verdict's name as summaries print it.
func (v BenchVerdict) String() string {
	if int(v) < len(benchVerdictNames) {
		return benchVerdictNames[v]
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// BenchBins is the number of bins of a latency histogram.
const BenchBins = len(bpf.BenchBenchHistogram{}.Bins)

// The histogram's shape: BENCH_SUB_BITS and BENCH_MIN_LOG2 of
// bpf/include/bench_abi.h.
const (
	benchSubBits = 7
	benchMinLog2 = 6
)

// BenchBin gives the bounds of a bin in nanoseconds: from low to below high.
// Bins are log-linear, 128 an octave, so that the middle of a bin is at most
// 0.4 % off.
func BenchBin(bin int) (low, high float64) {
	octave := bin>>benchSubBits + benchMinLog2
	width := float64(uint64(1)<<octave) / (1 << benchSubBits)
	low = float64(uint64(1)<<octave) + float64(bin&(1<<benchSubBits-1))*width
	return low, low + width
}

// BenchLatency is a distribution of latencies.
type BenchLatency struct {
	Count    uint64
	Sum      uint64 // ns
	Min, Max uint64 // ns; 0 with no count
	Bins     [BenchBins]uint64
}

// BenchStats are the judge's counters since Begin, summed over all CPUs.
type BenchStats struct {
	Judged    uint64
	Verdicts  [NumBenchVerdicts]uint64
	Reordered uint64      // of those answered
	Errors    [256]uint64 // by ICMP type
	// Sent is latency from the send stamp, Scheduled from when a probe was to
	// leave.
	Sent, Scheduled BenchLatency
}

// Taken is how many packets the judge has dropped, as verdicts from BenchAnswered on
// are.
func (s *BenchStats) Taken() (n uint64) {
	for _, count := range s.Verdicts[BenchAnswered:] {
		n += count
	}
	return n
}

// BenchFlow is what is known of the probes of one thread to one target by one
// flow.
type BenchFlow struct {
	Target   netip.Addr
	Thread   int
	Flow     Flow
	First    bool // of the thread's to the target
	Answered uint64
	Jitter   float64 // ns (RFC 3550, section 6.4.1)
	// Of all the thread's answers from the target, where First is set: when the last
	// one came, CLOCK_MONOTONIC in ns, or 0, and the longest time between two, in ns.
	Arrived, Gap uint64
}

// Counts are the judge's counters without the histograms, which take longer to
// read.
func (b *Bench) Counts() (BenchStats, error) {
	var s BenchStats
	var sentMin, scheduledMin uint64
	cpus := make([]bpf.BenchBenchCounters, ebpf.MustPossibleCPU())
	if err := b.objects.Counts.Lookup(uint32(0), &cpus); err != nil {
		return s, fmt.Errorf("read the judge's counters: %w", err)
	}
	for i := range cpus {
		c := &cpus[i]
		s.Judged += c.Judged
		s.Reordered += c.Reordered
		addAll(s.Verdicts[:], c.Verdicts[:NumBenchVerdicts])
		addAll(s.Errors[:], c.Errors[:])
		s.Sent.Count += c.Sent.Count
		s.Sent.Sum += c.Sent.Sum
		s.Sent.Max = max(s.Sent.Max, c.Sent.Max)
		sentMin = max(sentMin, c.Sent.MinInverted)
		s.Scheduled.Count += c.Scheduled.Count
		s.Scheduled.Sum += c.Scheduled.Sum
		s.Scheduled.Max = max(s.Scheduled.Max, c.Scheduled.Max)
		scheduledMin = max(scheduledMin, c.Scheduled.MinInverted)
	}
	if sentMin != 0 {
		s.Sent.Min = ^sentMin
	}
	if scheduledMin != 0 {
		s.Scheduled.Min = ^scheduledMin
	}
	return s, nil
}

// Stats are all of the judge's counters. While packets arrive they may disagree
// by the few that are being counted.
func (b *Bench) Stats() (BenchStats, error) {
	s, err := b.Counts()
	if err != nil {
		return s, err
	}
	cpus := make([]bpf.BenchBenchHistogram, ebpf.MustPossibleCPU())
	for _, h := range []struct {
		m    *ebpf.Map
		bins []uint64
	}{{b.objects.FromSent, s.Sent.Bins[:]}, {b.objects.FromScheduled, s.Scheduled.Bins[:]}} {
		if err := h.m.Lookup(uint32(0), &cpus); err != nil {
			return s, fmt.Errorf("read the judge's histograms: %w", err)
		}
		for i := range cpus {
			addAll(h.bins, cpus[i].Bins[:])
		}
	}
	return s, nil
}

// Flows are the flows of the trial.
func (b *Bench) Flows() ([]BenchFlow, error) {
	numbers, values := make([]uint32, b.config.flows()), make([]bpf.BenchBenchFlow, b.config.flows())
	var cursor ebpf.MapBatchCursor
	n, err := b.objects.Flows.BatchLookup(&cursor, numbers, values, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) { // which says that these are all
		return nil, fmt.Errorf("read the judge's flows: %w", err)
	}
	answered, err := b.answers()
	if err != nil {
		return nil, err
	}
	flows := make([]BenchFlow, len(values))
	for i, f := range values[:n] {
		number := int(numbers[i])
		target, thread, flow := b.place(number)
		flows[number] = BenchFlow{
			Target: target, Thread: thread, Flow: flow, First: number < b.config.homes(),
			Answered: answered[number], Jitter: float64(f.Jitter) / 16, Arrived: f.Arrived, Gap: f.Gap,
		}
	}
	return flows, nil
}

// answers are how many answers each flow had in time.
func (b *Bench) answers() ([]uint64, error) {
	flows, cpus := b.config.flows(), ebpf.MustPossibleCPU()
	numbers, counts := make([]uint32, flows), make([]uint64, flows*cpus)
	var cursor ebpf.MapBatchCursor
	n, err := b.objects.Answers.BatchLookup(&cursor, numbers, counts, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, fmt.Errorf("read the judge's answers by flow: %w", err)
	}
	answered := make([]uint64, flows)
	for i, number := range numbers[:n] {
		for _, count := range counts[i*cpus : (i+1)*cpus] {
			answered[number] += count
		}
	}
	return answered, nil
}

// TargetErrors counts the error messages that came for each target.
func (b *Bench) TargetErrors() (map[netip.Addr]uint64, error) {
	byTarget := map[netip.Addr]uint64{}
	for _, t := range b.config.Targets {
		var n uint64
		if err := b.objects.Targets.Lookup(t.As4(), &n); err != nil {
			return nil, fmt.Errorf("read the judge's errors: %w", err)
		}
		byTarget[t] = n
	}
	return byTarget, nil
}
