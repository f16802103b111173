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
	VERDICT_FRAGMENT,        /* a fragment, or an error about one: pass */
	VERDICT_FIRST,           /* first reply of a target: drop */
	VERDICT_REPEAT,          /* target seen, this kind and attempt not: drop */
	VERDICT_DUPLICATE,       /* this kind and attempt seen: drop */
	VERDICT_ERROR,           /* error for a probe of ours: drop */
	VERDICT_ERROR_DUPLICATE, /* the same error again: drop */
	VERDICT_ERROR_UNCHECKED, /* error that may have come before, there was no room to tell: drop */
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

/* The error messages. */
enum error_kind {
	ERROR_UNREACHABLE,
	ERROR_SOURCE_QUENCH,
	ERROR_REDIRECT,
	ERROR_TIME_EXCEEDED,
	ERROR_PARAMETER_PROBLEM,
	ERROR_KINDS,
};

/* One of these a CPU. */
struct counters {
	__u64 judged;   /* packets that entered */
	__u64 verdicts[16]; /* by enum verdict */
	__u64 replies[4]; /* that carry our cookie, by enum probe_kind */
	__u64 errored;  /* targets that an error came for */
	__u64 rtt_count;
	__u64 rtt_sum;  /* ns */
	__u64 rtt_max;  /* ns */
	__u64 rtt_min_inverted; /* ~minimum in ns: zero means none yet */
	__u64 ttl[256];
	__u64 rtt[RTT_BINS_PADDED];
	__u64 codes[ERROR_KINDS << 8]; /* errors that carry our cookie, by enum error_kind and code */
};

/* One reply as it travels through the ring. */
struct record {
	__u64 arrived_ns; /* CLOCK_MONOTONIC */
	__u64 rtt_ns;     /* RTT_UNKNOWN where nothing tells it */
	__u32 target;     /* whom the probe was for; host byte order. With many answers: its index */
	__u32 from;       /* who sent the reply; host byte order */
	__u32 word;       /* mask, gateway, pointer or MTU as on the wire; of a timestamp reply the
			     offset of the clock in ms, or OFFSET_UNKNOWN */
	__u16 size;       /* bytes of ICMP message */
	__u16 message;    /* bytes of it that follow this struct; 0 but for errors with extensions */
	__u8 ttl;
	__u8 type;
	__u8 code;
	__u8 attempt;     /* from 1; 0 unknown */
	__u8 verdict;     /* enum verdict */
	__u8 quoted_ttl;  /* of errors */
	__u8 reserved[2];
};

#define OFFSET_UNKNOWN 0x80000000U

/* An error message that may have extensions (RFC 4884) is handed on from its
 * ICMP header: at most so many bytes, which is all that such a datagram may
 * have (section 3 there). */
#define MESSAGE_MAX 576

struct long_record {
	struct record record;
	__u32 message[MESSAGE_MAX / 4];
};

#endif
