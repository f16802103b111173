// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* What the transmitter in the kernel and user space share: a ring of probe
 * descriptors in memory that both have mapped, one for each thread. */

#ifndef XSWEEP_TRANSMIT_ABI_H
#define XSWEEP_TRANSMIT_ABI_H

#include <linux/types.h>

#define PROBE_RING_SIZE 16384 /* a power of two */

/* One probe to send. */
struct probe_descriptor {
	__u64 index_attempt; /* as in struct probe_payload */
	__u32 target;        /* as it stands in the packet */
	__u8 hop_limit;
	__u8 reserved[3];
};

/* A single-producer, single-consumer ring. produced and consumed count probes
 * since the beginning; probe n has slot n % PROBE_RING_SIZE. User space writes
 * slots first and produced then; the program reads produced, then slots, and
 * writes consumed last. Each side has cache lines of its own. Times are in
 * 1/256 ns, so that the interval of a million probes a second is exact to some
 * millionths; they start at the epoch, so that they do not overflow. */
struct probe_ring {
	/* User space writes these. */
	__u64 produced;
	__u64 interval;  /* between two frames of this thread; 0: no pacing */
	__u64 slack;     /* how far the schedule may lag before time is given up */
	__u64 stopped;   /* not 0: send nothing more */
	__u64 epoch_ns;  /* CLOCK_MONOTONIC that times count from */
	__u64 idle;      /* changed: the next frame may be late, there was none */
	__u64 pad0[2];
	/* The program writes these. */
	__u64 consumed;
	__u64 stalls;
	__u64 due;       /* when the next frame may leave */
	__u64 known;     /* produced, when last read */
	__u64 excused;   /* idle, when last read */
	__u64 pad1[3];
	struct probe_descriptor probes[PROBE_RING_SIZE];
};

/* What has become of frames on their way to the device, one a CPU, by the
 * kernel's own tracepoints. */
struct transmit_counters {
	__u64 accepted;
	__u64 refused[256]; /* by errno */
};

#endif
