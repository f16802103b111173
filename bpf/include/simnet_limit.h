// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* How much the simulated network takes, and when: token buckets and outages.
 * internal/lab/limit.go prepares the numbers. */

#ifndef XSWEEP_SIMNET_LIMIT_H
#define XSWEEP_SIMNET_LIMIT_H

#include <linux/types.h>
#include <bpf/bpf_helpers.h>

/* Time of buckets is counted in 1/1024 ns since the lab began, so that the
 * interval of any rate up to 10^7 a second is right within 10^-5. */
#define LIMIT_SHIFT 10

/* Each try that fails is one that another CPU won. */
#define ADMIT_TRIES 64

/* Says whether a token bucket has one for a packet that comes now, and takes it.
 * A bucket is the theoretical arrival time of the generic cell rate algorithm
 * (ITU-T I.371, annex A): when the packet after all that were admitted would come
 * at exactly the rate. One comes too early if that lies more than the tolerance,
 * burst - 1 intervals, ahead. So over any time T at most T / interval + burst are
 * admitted, by all CPUs together; 0 is a full bucket. */
static __always_inline int admit(__u64 *bucket, __u64 now, __u64 interval, __u64 tolerance)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < ADMIT_TRIES; i++) {
		__u64 old = *(volatile __u64 *)bucket;
		__u64 from = old > now ? old : now;

		if (from - now > tolerance)
			return 0;
		if (__sync_val_compare_and_swap(bucket, old, from + interval) == old)
			return 1;
	}
	return 0;
}

#endif
