// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
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
	Judged   uint64                       // packets that entered the filter
	Verdicts [NumVerdicts]uint64          // by Verdict
	Replies  [numKinds]uint64             // that carry the cookie, by kind of probe
	Errors   [len(errorTypes)][256]uint64 // that carry the cookie, by kind and code
	Errored  uint64                       // targets that an error came for
	TTL      [256]uint64                  // first replies and repeats, by TTL as they arrived
	RTT      [RTTBins]uint64              // first replies and repeats of known RTT; see [RTTBin]
	RTTCount uint64
	RTTSum   uint64 // ns
	RTTMin   uint64 // ns; 0 with no count
	RTTMax   uint64 // ns
}

// Add adds the counters of another filter: of a later run of the same sweep.
func (s *ReplyStats) Add(o *ReplyStats) {
	addAll(s.Verdicts[:], o.Verdicts[:])
	addAll(s.Replies[:], o.Replies[:])
	for kind := range s.Errors {
		addAll(s.Errors[kind][:], o.Errors[kind][:])
	}
	addAll(s.TTL[:], o.TTL[:])
	addAll(s.RTT[:], o.RTT[:])
	if o.RTTCount > 0 && (s.RTTCount == 0 || o.RTTMin < s.RTTMin) {
		s.RTTMin = o.RTTMin
	}
	s.Judged += o.Judged
	s.Errored += o.Errored
	s.RTTCount += o.RTTCount
	s.RTTSum += o.RTTSum
	s.RTTMax = max(s.RTTMax, o.RTTMax)
}

func addAll(to, from []uint64) {
	for i, n := range from {
		to[i] += n
	}
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

// Both counts the targets that gave a reply and that an error came for too. It
// looks through both bitmaps, which takes some tenths of a second for all of IPv4.
func (r *Reply) Both() (n uint64, err error) {
	const pagesAtOnce = 256
	pages := r.objects.SeenPages.MaxEntries()
	keys := make([]uint32, pagesAtOnce)
	replies, refusals := make([]bpf.ReplySeenPage, pagesAtOnce), make([]bpf.ReplySeenPage, pagesAtOnce)
	var atReplies, atErrors ebpf.MapBatchCursor
	for done := uint32(0); done < pages; {
		read, err := r.objects.SeenPages.BatchLookup(&atReplies, keys, replies, nil)
		if err == nil || errors.Is(err, ebpf.ErrKeyNotExist) {
			_, err = r.objects.ErrorPages.BatchLookup(&atErrors, keys, refusals, nil)
		}
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return 0, fmt.Errorf("read the reply filter's bitmaps: %w", err)
		}
		for i := range read {
			n += countBoth(replies[i].Words[:], refusals[i].Words[:], r.seen.shift)
		}
		done += uint32(read)
		if read == 0 {
			break
		}
	}
	return n, nil
}

// Codes counts what carried the sweep's cookie, by ICMP type and code. Types that
// none came of are left out.
func (s *ReplyStats) Codes() map[uint8]map[uint8]uint64 {
	counts := map[uint8]map[uint8]uint64{}
	for request, kind := range requestKinds {
		// Only replies of code 0 count as such.
		if n := s.Replies[kind]; n > 0 {
			counts[replyTypes[request]] = map[uint8]uint64{0: n}
		}
	}
	for kind, icmpType := range errorTypes {
		for code, n := range s.Errors[kind] {
			if n == 0 {
				continue
			}
			if counts[icmpType] == nil {
				counts[icmpType] = map[uint8]uint64{}
			}
			counts[icmpType][uint8(code)] = n
		}
	}
	return counts
}

// errorTypes are the ICMP types of errors, by enum error_kind of
// bpf/include/reply_abi.h.
var errorTypes = [bpf.ReplyErrorKindERROR_KINDS]uint8{
	bpf.ReplyErrorKindERROR_UNREACHABLE:       3,
	bpf.ReplyErrorKindERROR_SOURCE_QUENCH:     4,
	bpf.ReplyErrorKindERROR_REDIRECT:          5,
	bpf.ReplyErrorKindERROR_TIME_EXCEEDED:     11,
	bpf.ReplyErrorKindERROR_PARAMETER_PROBLEM: 12,
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
		for k := range s.Replies {
			s.Replies[k] += c.Replies[k]
		}
		for i, n := range c.Codes {
			s.Errors[i>>8][i&255] += n
		}
		s.Errored += c.Errored
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
