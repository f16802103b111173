// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* The integer logarithm that log-linear histograms place their bins by. */

#ifndef XSWEEP_LOG2_H
#define XSWEEP_LOG2_H

#include <linux/types.h>
#include <bpf/bpf_helpers.h>

/* floor(log2(v)) for v > 0. */
static __always_inline __u32 log2_u64(__u64 v)
{
	__u32 r = 0;

	if (v >> 32) {
		v >>= 32;
		r += 32;
	}
	if (v >> 16) {
		v >>= 16;
		r += 16;
	}
	if (v >> 8) {
		v >>= 8;
		r += 8;
	}
	if (v >> 4) {
		v >>= 4;
		r += 4;
	}
	if (v >> 2) {
		v >>= 2;
		r += 2;
	}
	return r + (v >> 1);
}

#endif
