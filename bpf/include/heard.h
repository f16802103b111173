// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* Errors, and with many answers the replies, that have come: a hash table of
 * buckets of one cache line each, in which a slot holds what the bucket's number
 * does not say of a key, and is zero while it is free. A key is in its first
 * bucket, or, where that is full, in its second, so that a look or an insertion
 * hardly ever costs more than one miss of the cache, and never a lock. Where both
 * are full there is no telling. */

#ifndef XSWEEP_HEARD_H
#define XSWEEP_HEARD_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "reply_abi.h"

/* Set by loader/reply.go before the program is loaded. */
const volatile __u32 heard_mask; /* buckets, less one */

#define HEARD_SLOTS 8
#define HEARD_LEAST_LOG2 12 /* of the number of buckets */

struct heard_bucket {
	__u64 slots[HEARD_SLOTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << HEARD_LEAST_LOG2);
	__type(key, __u32);
	__type(value, struct heard_bucket);
} heard SEC(".maps");

/* What was heard: who about whom, and what. */
struct heard_key {
	__u32 target; /* with many answers: its index */
	__u32 from;
	__u32 what;   /* less than 2^11 */
};

/* What was heard: an error with its code, or a reply; never zero. */
#define WHAT_ERROR(kind, code) (((__u32)(kind) + 1) << 8 | (code))
#define WHAT_REPLY ((ERROR_KINDS + 1) << 8)

/* Where a key is noted: the slots of its bucket, and what stands for it there. */
struct heard_place {
	__u64 *slots;
	__u64 value;
	__u32 second; /* number of the other bucket */
};

/* Marks a value that is in its second bucket. */
#define HEARD_SECOND (1ULL << 63)

/* Finds the place of a key, and lets memory bring it. The mixing is a
 * bijection (the finalizer of SplitMix64; Steele, Lea and Flood, 2014): a
 * bucket's number and a value in it together stand for one key alone, as the
 * value has all bits of the mixture but the lowest, and the second number is the
 * first, changed by what the value has. The sweep's secret keeps others from
 * choosing addresses that fall into one bucket. */
static __always_inline int find_heard(const struct heard_key *k, __u64 secret, struct heard_place *place)
{
	__u64 h = ((__u64)k->target << 32 | k->from) ^ secret;
	struct heard_bucket *bucket;
	__u32 number;

	h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ULL;
	h = (h ^ (h >> 27)) * 0x94d049bb133111ebULL;
	h ^= h >> 31;
	number = h & heard_mask;
	bucket = bpf_map_lookup_elem(&heard, &number);
	if (!bucket) /* cannot be */
		return 0;
	place->slots = bucket->slots;
	place->value = h >> HEARD_LEAST_LOG2 << 11 | k->what;
	place->second = (number ^ (place->value >> 11) * 0x9e3779b97f4a7c15ULL >> 40) & heard_mask;
	(void)*(volatile __u64 *)place->slots;
	return 1;
}

/* Goes through a bucket to the slot of a value, or the first one that is free;
 * takes that, if asked to. */
enum hearing { HEARD_NEVER, HEARD_BEFORE, HEARD_UNTOLD };

static __always_inline enum hearing ask_bucket(__u64 *slots, __u64 value, int take)
{
	__u64 was;

#pragma unroll
	for (int i = 0; i < HEARD_SLOTS; i++) {
		was = *(volatile __u64 *)&slots[i];
		if (!was && take)
			was = __sync_val_compare_and_swap(&slots[i], 0, value);
		if (!was)
			return HEARD_NEVER;
		if (was == value)
			return HEARD_BEFORE;
	}
	return HEARD_UNTOLD;
}

/* Whether a key was heard; notes it, if asked to. */
static __always_inline enum hearing ask(const struct heard_place *place, int take)
{
	enum hearing said = ask_bucket(place->slots, place->value, take);
	struct heard_bucket *bucket;
	__u32 number = place->second;

	if (said != HEARD_UNTOLD)
		return said;
	bucket = bpf_map_lookup_elem(&heard, &number);
	if (!bucket)
		return said;
	return ask_bucket(bucket->slots, place->value | HEARD_SECOND, take);
}

#endif
