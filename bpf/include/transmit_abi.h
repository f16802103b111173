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
	__u8 tries;          /* how often the device had no room for it; 0 from user space */
	__u8 kind;           /* enum probe_kind */
	__u8 flow;           /* its place among the flows */
};

/* As many as a descriptor can name. */
#define FLOWS_MAX 256

/* What probes to one target can differ in for those who spread packets on their
 * way (docs/wire-format.md). */
struct probe_flow {
	__u32 source;    /* as it stands in the packet */
	__u32 id_offset; /* added to the cookie's first 16 bits */
};

/* Ethernet and IP header, ICMP type and code: 36 bytes. */
#define HEADER_WORDS 9
/* What is in the payload of an echo request, and as much of its data. */
#define PAYLOAD_WORDS 5

/* What an echo request can have behind the payload, in bytes: no live frame is
 * as long. */
#define PATTERN_MAX 4096

/* What all probes of a kind share. */
struct probe_shape {
	__u64 ip_sum, icmp_sum; /* sums of the words */
	__u32 header[HEADER_WORDS];
	__u32 data[PAYLOAD_WORDS]; /* with which the ICMP data begins */
	__u32 length;              /* of a frame, in bytes */
	__u32 reserved;
};

/* How many frames the kernel gives to a device at a time (DEV_MAP_BULK_SIZE),
 * and room for those on the way to it: a full bulk leaves when the frame behind
 * it is there. */
#define BULK_SIZE 16
#define QUIET_TURNS 256 /* the largest batch of runs that the kernel makes; behind it nothing is on its way */
#define PENDING_SIZE 32 /* a power of two */

/* Probes that the device had no room for wait here; more than a bulk or two
 * cannot, since nothing is sent meanwhile. */
#define AGAIN_SIZE 64 /* a power of two */

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
	__u64 stopped;   /* not 0: send nothing more; the program sets it when a trial fails */
	__u64 epoch_ns;  /* CLOCK_MONOTONIC that times count from */
	__u64 idle;      /* changed: the next frame may be late, there was none */
	__u64 trial;     /* 1: a frame that is refused ends the sending and is kept in again; 2: only
			    by a device that takes none at all, which the first frame shows */
	__u64 batch;     /* runs that the kernel makes in one go */
	/* The programs write these. */
	__u64 consumed;
	__u64 handed;    /* probes that the device has accepted or refused for good, and unconfirmed */
	__u64 unconfirmed; /* probes of which the kernel never said what became of them */
	__u64 entered;   /* 1: the program runs, and has seen the ring empty */
	__u64 stalls;
	__u64 retries;   /* frames that the device had no room for and that were kept */
	__u64 due;       /* when the next frame may leave */
	__u64 known;     /* produced, when last read */
	__u64 excused;   /* idle, when last read */
	__u64 paced;     /* interval, when a frame was last due */
	__u64 turn;      /* of the batch; user space sets it to 0 before it begins a run */
	__u64 now_ns;    /* CLOCK_MONOTONIC, when last read */
	__u64 fresh;     /* for how many frames it still holds */
	__u64 tag[4];    /* struct siphash_state of a tag with that send time */
	__u64 originate; /* that time of day, as it stands in a timestamp request */
	__u32 last_target, last_source, last_cookie; /* of the last probe: its cookie, where they are kept */
	__u32 reserved;
	__u64 hold_ns;   /* CLOCK_MONOTONIC until when the device is left alone; 0: it is not */
	__u64 impatient; /* 1: the device has refused the last probe that waited for it */
	__u64 refusal;   /* errno that ended the trial */
	__u64 quiet;     /* turns without a frame while some are on their way */
	/* Counted like produced and consumed. */
	__u64 pushed, flushed;         /* of pending: frames on their way to the device */
	__u64 again_given, again_taken; /* of again: probes to try again */
	struct probe_descriptor pending[PENDING_SIZE];
	struct probe_descriptor again[AGAIN_SIZE];
	struct probe_descriptor probes[PROBE_RING_SIZE];
};

/* What has become of frames on their way to the device, one a CPU, by the
 * kernel's own tracepoints. */
struct transmit_counters {
	__u64 accepted;
	__u64 refused[256]; /* by errno */
};

#endif
