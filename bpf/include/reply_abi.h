// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* What the reply filter and user space share: verdicts, counters, records.
 * bpf2go makes the Go types from these. */

#ifndef XSWEEP_REPLY_ABI_H
#define XSWEEP_REPLY_ABI_H

#include <linux/types.h>

/* One for every packet that enters the filter. docs/accounting.md says what
 * each means; loader/stats.go names them in Go, and a test compares. */
enum verdict {
	VERDICT_OTHER,           /* not IPv4, not ICMP: pass */
	VERDICT_FOREIGN,         /* ICMP that no probe of ours caused: pass */
	VERDICT_FORGED,          /* shaped like an answer, wrong cookie: pass */
	VERDICT_MALFORMED,       /* short, or lengths that lie: pass */
	VERDICT_CHECKSUM,        /* wrong IP or ICMP checksum: pass */
	VERDICT_FRAGMENT,        /* a fragment: pass */
	VERDICT_FIRST,           /* first reply of a target: drop */
	VERDICT_REPEAT,          /* target seen, this attempt not: drop */
	VERDICT_DUPLICATE,       /* this attempt seen: drop */
	VERDICT_ERROR,           /* error for a probe of ours: not judged yet */
	VERDICT_ERROR_DUPLICATE, /* the same error again: not judged yet */
	VERDICT_RECORD_LOST,     /* needed a record, ring full: drop */
	VERDICT_COUNT,
};

/* RTT histogram: log-linear, 32 bins an octave (a bin is at most 1/32 of its
 * value wide, so its middle is at most 1.6 % off), from 64 ns to 2^36 ns
 * (68.7 s). What lies below or above is kept in the first or the last bin. */
#define RTT_SUB_BITS 5
#define RTT_MIN_LOG2 6
#define RTT_MAX_LOG2 36
#define RTT_BINS ((RTT_MAX_LOG2 - RTT_MIN_LOG2) << RTT_SUB_BITS)
#define RTT_BINS_PADDED 1024 /* a power of two, so that a mask bounds it */

#define RTT_UNKNOWN (~0ULL)

/* One of these a CPU. */
struct counters {
	__u64 judged;   /* packets that entered */
	__u64 verdicts[16]; /* by enum verdict */
	__u64 rtt_count;
	__u64 rtt_sum;  /* ns */
	__u64 rtt_max;  /* ns */
	__u64 rtt_min_inverted; /* ~minimum in ns: zero means none yet */
	__u64 ttl[256];
	__u64 rtt[RTT_BINS_PADDED];
};

/* One reply as it travels through the ring. */
struct record {
	__u64 arrived_ns; /* CLOCK_MONOTONIC */
	__u64 rtt_ns;     /* RTT_UNKNOWN where the tag did not match */
	__u32 target;     /* whom the probe was for; host byte order */
	__u32 from;       /* who sent the reply; host byte order */
	__u16 size;       /* bytes of ICMP message */
	__u8 ttl;
	__u8 type;
	__u8 code;
	__u8 attempt; /* from 1; 0 unknown */
	__u8 verdict; /* enum verdict */
	__u8 reserved;
};

#endif
