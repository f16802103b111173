// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* The Internet checksum (RFC 1071) over packet bytes. Sums are of native
 * 32-bit words in 64 bits: they need no carries until the fold, and the fold
 * gives the same as 16-bit words would.
 *
 * How this is written is owed to compiler and verifier. barrier_var keeps the
 * compiler from turning the checks of each pointer into one division of the
 * whole distance, which the verifier cannot follow. Counters are scalars of
 * their own, so that what the verifier learns of them in a loop leaves the
 * lengths alone, and its states meet again behind the loop. For the same
 * reason a message is given as base and offset: a sum with a variable makes a
 * pointer of its own, so that checks on it do not tell the paths through here
 * apart in what is known of the caller's pointers. */

#ifndef XSWEEP_CHECKSUM_H
#define XSWEEP_CHECKSUM_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

/* The longest message whose checksum can be verified, in bytes. Native XDP
 * takes no longer packets in one piece; and the loop over the message is most
 * of what the verifier has to walk through. */
#define CHECKSUM_MAX_LENGTH 4095
#define CHECKSUM_MAX_CHUNKS (CHECKSUM_MAX_LENGTH >> 5)

static __always_inline __u16 checksum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)sum;
}

/* Adds the length bytes from base + offset on to *sum. Says whether they all
 * lie before data_end. length is at most CHECKSUM_MAX_LENGTH, offset at most
 * 60. */
static __always_inline int checksum_bytes(void *base, __u32 offset, void *data_end, __u32 length, __u64 *sum)
{
	__u32 head = length & 30, chunks = (length >> 5) & CHECKSUM_MAX_CHUNKS, odd = length & 1;
	__u64 total = 0;
	void *p, *q;
	__u32 *w;

	barrier_var(offset);
	p = base + (offset & 63);
	q = p;

	/* First what does not fill a chunk of 32 bytes: probes are short, and an
	 * even number of bytes leaves the words behind it where they were. */
	if (head & 16) {
		w = q;
		if (q + 16 > data_end)
			return 0;
		total += (__u64)w[0] + w[1] + w[2] + w[3];
		q += 16;
	}
	if (head & 8) {
		barrier_var(q);
		w = q;
		if (q + 8 > data_end)
			return 0;
		total += (__u64)w[0] + w[1];
		q += 8;
	}
	if (head & 4) {
		barrier_var(q);
		w = q;
		if (q + 4 > data_end)
			return 0;
		total += w[0];
		q += 4;
	}
	if (head & 2) {
		barrier_var(q);
		if (q + 2 > data_end)
			return 0;
		total += *(__u16 *)q;
	}
	p += head;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < CHECKSUM_MAX_CHUNKS; i++) {
		if (i >= chunks)
			break;
		barrier_var(p);
		w = p;
		if (p + 32 > data_end)
			return 0;
		total += (__u64)w[0] + w[1] + w[2] + w[3];
		total += (__u64)w[4] + w[5] + w[6] + w[7];
		p += 32;
	}
	if (odd) {
		barrier_var(p);
		if (p + 1 > data_end)
			return 0;
		total += *(__u8 *)p; /* with a zero byte behind it: little-endian */
	}
	*sum += total;
	return 1;
}

/* The same for a message of any length that may lie in several pieces, at offset
 * of the packet: the way there is longer, and needs Linux 5.18. */
#define CHECKSUM_PIECE 64 /* the stack has no room for more */

struct checksum_walk {
	struct xdp_md *ctx;
	__u32 offset, left;
	__u64 sum;
	int failed;
};

static long checksum_piece(__u32 number __attribute__((unused)), struct checksum_walk *walk)
{
	__u64 words[CHECKSUM_PIECE / 8] = {};
	__u32 n = walk->left;

	if (!n)
		return 1;
	if (n > CHECKSUM_PIECE)
		n = CHECKSUM_PIECE;
	if (bpf_xdp_load_bytes(walk->ctx, walk->offset, words, n)) {
		walk->failed = 1;
		return 1;
	}
	for (int i = 0; i < CHECKSUM_PIECE / 8; i++)
		walk->sum += (words[i] & 0xffffffff) + (words[i] >> 32);
	walk->offset += n;
	walk->left -= n;
	return 0;
}

static __always_inline int checksum_pieces(struct xdp_md *ctx, __u32 offset, __u32 length, __u64 *sum)
{
	struct checksum_walk walk = { .ctx = ctx, .offset = offset, .left = length };

	bpf_loop(65536 / CHECKSUM_PIECE, checksum_piece, &walk, 0);
	*sum += walk.sum;
	return !walk.failed;
}

/* Adds words 32-bit words at p to *sum, at most ten: the options of an IP
 * header. Says whether they all lie before data_end. */
static __always_inline int checksum_options(void *p, void *data_end, __u32 words, __u64 *sum)
{
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 10; i++) {
		if (i >= words)
			break;
		barrier_var(p);
		if (p + 4 > data_end)
			return 0;
		*sum += *(__u32 *)p;
		p += 4;
	}
	return 1;
}

#endif
