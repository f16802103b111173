// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* What authenticates a reply: the cookie in identifier and sequence number,
 * and the tag in the payload. Layouts and byte order stand in
 * docs/wire-format.md; the Go twin is sweep/probe/cookie.go. */

#ifndef XSWEEP_COOKIE_H
#define XSWEEP_COOKIE_H

#include "siphash.h"

/* The payload that every probe starts its ICMP data with, little-endian. */
struct probe_payload {
	__u64 sent_ns;       /* CLOCK_MONOTONIC */
	__u64 index_attempt; /* run << 48 | index in the order << 8 | attempt from 1 */
	__u32 tag;
} __attribute__((packed));

#define PROBE_ATTEMPT_BITS 8
#define PROBE_INDEX_BITS 40
#define PROBE_RUN_SHIFT (PROBE_INDEX_BITS + PROBE_ATTEMPT_BITS)

/* Addresses as they stand in the packet, in network byte order. */
static __always_inline __u32 cookie_v4(__u64 k0, __u64 k1, __u32 source, __u32 target)
{
	struct siphash_state s;

	siphash_init(&s, k0, k1);
	siphash_word(&s, (__u64)target << 32 | source);
	return (__u32)siphash_final(&s, 8);
}

/* A cookie whose identifier has moved by an offset: so probes of several flows
 * differ in it, and all is authenticated that was. */
static __always_inline __u32 cookie_offset(__u32 cookie, __u16 offset)
{
	return (cookie & 0xffff0000) | (__u16)(cookie + offset);
}

/* The message is twice as long as the cookie's, so one key serves both: the
 * length is part of what SipHash hashes. Probes of one send time share the first
 * half of the work. */
static __always_inline void probe_tag_begin(struct siphash_state *s, __u64 k0, __u64 k1, __u64 sent_ns)
{
	siphash_init(s, k0, k1);
	siphash_word(s, sent_ns);
}

static __always_inline __u32 probe_tag_end(struct siphash_state *s, __u64 index_attempt)
{
	siphash_word(s, index_attempt);
	return (__u32)siphash_final(s, 16);
}

static __always_inline __u32 probe_tag(__u64 k0, __u64 k1, __u64 sent_ns, __u64 index_attempt)
{
	struct siphash_state s;

	probe_tag_begin(&s, k0, k1, sent_ns);
	return probe_tag_end(&s, index_attempt);
}

#endif
