// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* What the judge of benchmarks and user space share. bpf2go makes the Go types
 * from these. */

#ifndef XSWEEP_BENCH_ABI_H
#define XSWEEP_BENCH_ABI_H

#include <linux/types.h>

/* One for every packet that enters the judge. loader/benchstats.go names them. */
enum bench_verdict {
	BENCH_OTHER,     /* not IPv4, not ICMP: pass */
	BENCH_FOREIGN,   /* ICMP that no probe of ours caused: pass */
	BENCH_FORGED,    /* shaped like an answer, wrong cookie or tag: pass */
	BENCH_MALFORMED, /* short, or lengths that lie: pass */
	BENCH_CHECKSUM,  /* wrong IP or ICMP checksum: pass */
	BENCH_FRAGMENT,  /* a fragment, or an error about one: pass */
	BENCH_ANSWERED,  /* first answer to a probe of this trial, in time: drop */
	BENCH_LATE,      /* the same, but after the drain time: drop */
	BENCH_DUPLICATE, /* answer to a probe that was answered: drop */
	BENCH_WARMUP,    /* any answer to a probe of the warm-up: drop */
	BENCH_STALE,     /* answer to a probe of an earlier trial: drop */
	BENCH_OVERTAKEN, /* the window has moved on, so that nobody knows whether it is a duplicate: drop */
	BENCH_ERROR,     /* an error message for a probe of ours: drop */
	BENCH_VERDICTS,
};

/* Histograms of latencies: log-linear, 128 bins an octave (a bin is at most
 * 1/128 of its value wide, so its middle is at most 0.4 % off), from 64 ns to
 * 2^36 ns (68.7 s). What lies below or above is kept in the first or the last
 * bin. A value of a per-CPU map may have 32 KiB, so that each histogram has a map
 * of its own. */
#define BENCH_SUB_BITS 7
#define BENCH_MIN_LOG2 6
#define BENCH_MAX_LOG2 36
#define BENCH_BINS ((BENCH_MAX_LOG2 - BENCH_MIN_LOG2) << BENCH_SUB_BITS)

struct bench_histogram {
	__u64 bins[BENCH_BINS];
};

/* What is known of latencies besides. */
struct bench_latency {
	__u64 count;
	__u64 sum;          /* ns */
	__u64 max;          /* ns */
	__u64 min_inverted; /* ~minimum in ns: zero means none yet */
};

/* One of these a CPU. */
struct bench_counters {
	__u64 judged;       /* packets that entered */
	__u64 verdicts[16]; /* by enum bench_verdict */
	__u64 reordered;    /* of those answered: behind one with a higher index (RFC 4737, section 3) */
	struct bench_latency sent;      /* from the send stamp */
	struct bench_latency scheduled; /* from when the probe was to leave */
	__u64 errors[256];  /* by ICMP type */
};

/* The trial under way. User space writes it between two trials. */
struct bench_trial {
	__u64 base;     /* first index */
	__u64 measured; /* first index behind the warm-up */
	__u64 end;      /* first index beyond the trial */
	__u64 interval; /* between two probes of a thread, in 2^-16 ns; 0: there is no schedule */
	__u64 drain_ns; /* what comes later is late */
};

/* What one thread sends to one target from one source with one identifier. The
 * first flow of a thread and target, with the first source, also has what is known
 * of all of them: origin, arrived and gap. A flow's answers come over one CPU as a
 * rule: where they come over several, jitter and gap are approximate. */
struct bench_flow {
	__u64 next;       /* one more than the highest index that was answered; 0: none was */
	__u64 origin;     /* when the probe with the trial's first index was to leave, by the first
			     behind the warm-up, ns; 0: not known */
	__u64 transit;    /* of the last answer, ns */
	__u64 jitter;     /* 16 times that of RFC 3550, section 6.4.1 */
	__u64 arrived;    /* when the last answer did, ns */
	__u64 gap;        /* longest time between two answers, ns */
	__u32 target;     /* as it stands in the packet; user space sets it, and the two below */
	__u32 source;     /* the same */
	__u16 id_offset;  /* of its cookie */
	__u16 known;      /* 1: cookie is its cookie */
	__u32 cookie;     /* by its first answer, so that it need not be reckoned again */
};

/* A word of the window: 32 probes, bit n for the one whose index ends in n, and
 * above them the number of the lap that they are of. */
#define BENCH_LAP_SHIFT 32
#define BENCH_WORD_LOG2 5

#endif
