// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/* The reply filter: judges arriving ICMP, counts each packet once in one
 * verdict, hands new replies to user space through a ring a CPU, drops what
 * our probes caused and passes everything else. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "cookie.h"
#include "parse.h"
#include "reply_abi.h"

/* Set by loader/reply.go before the program is loaded. */
const volatile struct siphash_key key;
const volatile __u32 source;      /* where probes come from; network byte order */
const volatile __u32 seen_base;   /* first address of the first page; host byte order */
const volatile __u32 seen_shift;  /* log2 of the bits a target has */
const volatile __u32 attempts;    /* probes a target gets */
const volatile __u32 message_len; /* bytes of ICMP message of a probe */
const volatile __u32 wake_bytes;  /* wake user space each time so much waits; a power of two */
const volatile __u8 bare_ip;      /* the device has no link layer */
const volatile __u8 record_all;   /* repeats and duplicates want records too */

/* Never read: these put the types into BTF, where bpf2go finds them. */
const volatile enum verdict abi_verdict;
const volatile struct record abi_record;

/* The bitmap of replies: one bit a target and attempt. A page is 4 KiB; only
 * ranges that the target set touches have pages, and the directory says which
 * (0: none, else the page's number plus one). */
#define SEEN_PAGE_BITS_LOG2 15
#define SEEN_PAGE_WORDS (1 << (SEEN_PAGE_BITS_LOG2 - 6))

struct seen_page {
	__u64 words[SEEN_PAGE_WORDS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} seen_directory SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct seen_page);
} seen_pages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} stats SEC(".maps");

/* A ring with several producers is slow, so each CPU has its own. */
struct record_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct record_ring);
} rings SEC(".maps");

/* The bits of one target. */
struct seen_slot {
	__u64 *word;
	__u64 mask;  /* all bits of the target */
	__u32 first; /* position of the lowest */
};

static __always_inline int find_slot(__u32 target, struct seen_slot *slot)
{
	__u32 offset = target - seen_base;
	__u32 page_shift = SEEN_PAGE_BITS_LOG2 - seen_shift;
	__u32 number = offset >> page_shift;
	__u32 *entry = bpf_map_lookup_elem(&seen_directory, &number);
	struct seen_page *page;
	__u32 bit;

	if (!entry || !*entry)
		return 0;
	number = *entry - 1;
	page = bpf_map_lookup_elem(&seen_pages, &number);
	if (!page)
		return 0;
	bit = (offset << seen_shift) & ((1 << SEEN_PAGE_BITS_LOG2) - 1);
	slot->word = &page->words[(bit >> 6) & (SEEN_PAGE_WORDS - 1)];
	slot->first = bit & 63;
	slot->mask = (~0ULL >> (64 - (1 << seen_shift))) << slot->first;
	return 1;
}

/* With one attempt a target has one bit. With more it has a bit for each and,
 * at the top, one for replies whose attempt is unknown. */
static __always_inline __u64 slot_bit(const struct seen_slot *slot, __u8 attempt)
{
	__u32 position = 0;

	if (seen_shift)
		position = attempt ? attempt - 1 : (1 << seen_shift) - 1;
	return 1ULL << ((slot->first + position) & 63);
}

static __always_inline enum verdict positive_verdict(const struct seen_slot *slot, __u64 seen, __u64 bit,
							   __u8 attempt)
{
	if (!(seen & slot->mask))
		return VERDICT_FIRST;
	if (!attempt || !(seen & bit))
		return VERDICT_REPEAT;
	return VERDICT_DUPLICATE;
}

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

static __always_inline __u32 rtt_bin(__u64 ns)
{
	__u32 octave;

	if (ns < 1ULL << RTT_MIN_LOG2)
		return 0;
	if (ns >= 1ULL << RTT_MAX_LOG2)
		return RTT_BINS - 1;
	octave = log2_u64(ns);
	return ((octave - RTT_MIN_LOG2) << RTT_SUB_BITS) +
	       ((ns >> (octave - RTT_SUB_BITS)) & ((1 << RTT_SUB_BITS) - 1));
}

static __always_inline void count_rtt(struct counters *st, __u64 rtt)
{
	if (rtt == RTT_UNKNOWN)
		return;
	st->rtt_count++;
	st->rtt_sum += rtt;
	if (rtt > st->rtt_max)
		st->rtt_max = rtt;
	if (~rtt > st->rtt_min_inverted)
		st->rtt_min_inverted = ~rtt;
	st->rtt[rtt_bin(rtt) & (RTT_BINS_PADDED - 1)]++;
}

/* Wakes user space when what waits passes a multiple of wake_bytes, not for
 * each record: user space also looks by itself, a few times a second. */
static __always_inline __u64 wake_flags(void *ring)
{
	__u64 waiting = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);

	return (waiting & (wake_bytes - 1)) < sizeof(struct record) + BPF_RINGBUF_HDR_SZ && waiting >= wake_bytes ?
		       BPF_RB_FORCE_WAKEUP :
		       BPF_RB_NO_WAKEUP;
}

/* A positive reply whose cookie is ours. The record's room is taken before
 * the bit is set: a reply that cannot be recorded leaves the bit clear, so
 * that a later attempt can still find the host. */
static __always_inline enum verdict judge_positive(struct counters *st, const struct seen_slot *slot,
							 const struct record *reply)
{
	__u64 bit = slot_bit(slot, reply->attempt);
	__u64 seen = *(volatile __u64 *)slot->word;
	enum verdict verdict = positive_verdict(slot, seen, bit, reply->attempt);
	struct record *record = NULL;
	void *ring = NULL;

	if (verdict == VERDICT_FIRST || record_all) {
		__u32 cpu = bpf_get_smp_processor_id();

		ring = bpf_map_lookup_elem(&rings, &cpu);
		if (!ring)
			return VERDICT_RECORD_LOST;
		record = bpf_ringbuf_reserve(ring, sizeof(*record), 0);
		if (!record)
			return VERDICT_RECORD_LOST;
	}
	/* Another CPU may have set bits since: what the atomic returns decides. */
	if (!(seen & bit)) {
		seen = __sync_fetch_and_or(slot->word, bit);
		verdict = positive_verdict(slot, seen, bit, reply->attempt);
	}
	if (verdict == VERDICT_FIRST || verdict == VERDICT_REPEAT) {
		count_rtt(st, reply->rtt_ns);
		st->ttl[reply->ttl]++;
	}
	if (record) {
		if (verdict == VERDICT_FIRST || record_all) {
			*record = *reply;
			record->verdict = verdict;
			bpf_ringbuf_submit(record, wake_flags(ring));
		} else {
			bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		}
	}
	return verdict;
}

static __always_inline enum verdict judge_echo_reply(struct counters *st, const struct icmp_packet *packet,
							   void *data_end)
{
	struct iphdr *ip = packet->ip;
	struct icmp_header *icmp = packet->icmp;
	struct probe_payload *payload = (void *)(icmp + 1);
	struct record reply = {};
	struct seen_slot slot;
	__u64 k0 = key.k0, k1 = key.k1;
	__u64 sum = 0;
	__u32 target;

	if (packet->length > CHECKSUM_MAX_LENGTH) /* no probe is so long */
		return VERDICT_FOREIGN;
	if (!checksum_bytes(ip, packet->header, data_end, packet->length, &sum))
		return VERDICT_MALFORMED;
	if (checksum_fold(sum) != 0xffff)
		return VERDICT_CHECKSUM;
	if (icmp->code != 0)
		return VERDICT_MALFORMED;

	target = bpf_ntohl(ip->saddr);
	if (ip->daddr != source || !find_slot(target, &slot))
		return VERDICT_FOREIGN;
	if (icmp->id_sequence != cookie_v4(k0, k1, ip->daddr, ip->saddr))
		return packet->length == message_len ? VERDICT_FORGED : VERDICT_FOREIGN;

	reply.arrived_ns = bpf_ktime_get_ns();
	reply.rtt_ns = RTT_UNKNOWN;
	if (packet->length >= sizeof(*icmp) + sizeof(*payload) && (void *)(payload + 1) <= data_end) {
		__u64 sent = payload->sent_ns, index_attempt = payload->index_attempt;
		__u8 attempt = (__u8)index_attempt;

		if (payload->tag == probe_tag(k0, k1, sent, index_attempt) && attempt >= 1 && attempt <= attempts &&
		    sent <= reply.arrived_ns) {
			reply.attempt = attempt;
			reply.rtt_ns = reply.arrived_ns - sent;
		}
	}
	reply.target = target;
	reply.from = target;
	reply.size = packet->length;
	reply.ttl = ip->ttl;
	reply.type = icmp->type;
	reply.code = icmp->code;
	return judge_positive(st, &slot, &reply);
}

static __always_inline enum verdict judge(struct counters *st, void *data, void *data_end)
{
	struct icmp_packet packet;
	enum parse_result result;
	void *p = data;

	if (!bare_ip) {
		result = parse_ethernet(&p, data_end);
		if (result != PARSE_ICMP)
			return VERDICT_OTHER;
	}
	result = parse_icmp(p, data_end, &packet);
	switch (result) {
	case PARSE_ICMP:
		break;
	case PARSE_OTHER:
		return VERDICT_OTHER;
	case PARSE_MALFORMED:
		return VERDICT_MALFORMED;
	case PARSE_CHECKSUM:
		return VERDICT_CHECKSUM;
	case PARSE_FRAGMENT:
		return VERDICT_FRAGMENT;
	}
	if (packet.icmp->type != ICMP_ECHO_REPLY)
		return VERDICT_FOREIGN;
	return judge_echo_reply(st, &packet, data_end);
}

SEC("xdp")
int xsweep_reply(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	enum verdict verdict;
	struct counters *st;
	__u32 zero = 0;

	st = bpf_map_lookup_elem(&stats, &zero);
	if (!st) /* cannot be: the map has one entry */
		return XDP_PASS;
	st->judged++;
	verdict = judge(st, data, data_end);
	st->verdicts[verdict & 15]++;
	switch (verdict) {
	case VERDICT_FIRST:
	case VERDICT_REPEAT:
	case VERDICT_DUPLICATE:
	case VERDICT_RECORD_LOST:
		return XDP_DROP;
	default:
		return XDP_PASS;
	}
}

char _license[] SEC("license") = "Dual BSD/GPL";
