// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"

	"github.com/cilium/ebpf"

	"xsweep/bpf"
)

// Verdict is what the reply filter decided for one packet. docs/accounting.md
// defines each.
type Verdict uint8

// The verdicts, in the order of enum verdict in bpf/include/reply_abi.h.
const (
	Other          = Verdict(bpf.ReplyVerdictVERDICT_OTHER)
	Foreign        = Verdict(bpf.ReplyVerdictVERDICT_FOREIGN)
	Forged         = Verdict(bpf.ReplyVerdictVERDICT_FORGED)
	Malformed      = Verdict(bpf.ReplyVerdictVERDICT_MALFORMED)
	Checksum       = Verdict(bpf.ReplyVerdictVERDICT_CHECKSUM)
	Fragment       = Verdict(bpf.ReplyVerdictVERDICT_FRAGMENT)
	First          = Verdict(bpf.ReplyVerdictVERDICT_FIRST)
	Repeat         = Verdict(bpf.ReplyVerdictVERDICT_REPEAT)
	Duplicate      = Verdict(bpf.ReplyVerdictVERDICT_DUPLICATE)
	Error          = Verdict(bpf.ReplyVerdictVERDICT_ERROR)
	ErrorDuplicate = Verdict(bpf.ReplyVerdictVERDICT_ERROR_DUPLICATE)
	ErrorUnchecked = Verdict(bpf.ReplyVerdictVERDICT_ERROR_UNCHECKED)
	RecordLost     = Verdict(bpf.ReplyVerdictVERDICT_RECORD_LOST)
)

// NumVerdicts is how many verdicts there are.
const NumVerdicts = int(bpf.ReplyVerdictVERDICT_COUNT)

var verdictNames = [NumVerdicts]string{
	Other: "other", Foreign: "foreign", Forged: "forged", Malformed: "malformed",
	Checksum: "checksum", Fragment: "fragment", First: "first", Repeat: "repeat",
	Duplicate: "duplicate", Error: "error", ErrorDuplicate: "error_duplicate",
	ErrorUnchecked: "error_unchecked", RecordLost: "record_lost",
}

// String gives the verdict's name as summaries print it.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// RTTBins is the number of bins of the RTT histogram.
const RTTBins = len(bpf.ReplyCounters{}.Rtt)

// ReplyStats are the reply filter's counters, summed over all CPUs.
type ReplyStats struct {
	Judged   uint64              // packets that entered the filter
	Verdicts [NumVerdicts]uint64 // by Verdict
	Errored  uint64              // targets that an error came for
	Both     uint64              // of these, those that gave a reply too
	TTL      [256]uint64         // first replies and repeats, by TTL as they arrived
	RTT      [RTTBins]uint64     // first replies and repeats of known RTT; see [RTTBin]
	RTTCount uint64
	RTTSum   uint64 // ns
	RTTMin   uint64 // ns; 0 with no count
	RTTMax   uint64 // ns
}

// Stats sums the filter's counters. Packets in flight may be counted as
// judged and not yet in a verdict; after Detach the two agree.
func (r *Reply) Stats() (ReplyStats, error) {
	if r.scratch == nil {
		r.scratch = make([]bpf.ReplyCounters, ebpf.MustPossibleCPU())
	}
	if err := r.objects.Stats.Lookup(uint32(0), &r.scratch); err != nil {
		return ReplyStats{}, fmt.Errorf("read the reply filter's counters: %w", err)
	}
	return sumStats(r.scratch), nil
}

// Codes counts what carried the sweep's cookie, by ICMP type and code. Types that
// none came of are left out.
func (r *Reply) Codes() (map[uint8]map[uint8]uint64, error) {
	counts := map[uint8]map[uint8]uint64{}
	cpus := make([]bpf.ReplyCodeCounts, ebpf.MustPossibleCPU())
	for icmpType := range r.objects.Codes.MaxEntries() {
		if err := r.objects.Codes.Lookup(icmpType, &cpus); err != nil {
			return nil, fmt.Errorf("read the reply filter's counters of codes: %w", err)
		}
		for _, cpu := range cpus {
			for code, n := range cpu.Count {
				if n == 0 {
					continue
				}
				if counts[uint8(icmpType)] == nil {
					counts[uint8(icmpType)] = map[uint8]uint64{}
				}
				counts[uint8(icmpType)][uint8(code)] += n
			}
		}
	}
	return counts, nil
}

func sumStats(cpus []bpf.ReplyCounters) ReplyStats {
	var s ReplyStats
	var minInverted uint64
	for i := range cpus {
		c := &cpus[i]
		s.Judged += c.Judged
		for v := range s.Verdicts {
			s.Verdicts[v] += c.Verdicts[v]
		}
		for t := range s.TTL {
			s.TTL[t] += c.Ttl[t]
		}
		for b := range s.RTT {
			s.RTT[b] += c.Rtt[b]
		}
		s.Errored += c.Errored
		s.Both += c.Both
		s.RTTCount += c.RttCount
		s.RTTSum += c.RttSum
		s.RTTMax = max(s.RTTMax, c.RttMax)
		minInverted = max(minInverted, c.RttMinInverted)
	}
	if minInverted != 0 {
		s.RTTMin = ^minInverted
	}
	return s
}

// The histogram's shape: RTT_SUB_BITS and RTT_MIN_LOG2 of
// bpf/include/reply_abi.h.
const (
	rttSubBits = 5
	rttMinLog2 = 6
)

// RTTBin gives the bounds of a bin of the RTT histogram in nanoseconds: from
// low to below high. Bins are log-linear, 32 an octave, so that the middle of
// a bin is at most 1.6 % off.
func RTTBin(bin int) (low, high uint64) {
	octave := bin>>rttSubBits + rttMinLog2
	width := uint64(1) << (octave - rttSubBits)
	low = 1<<octave + uint64(bin&(1<<rttSubBits-1))*width
	return low, low + width
}
