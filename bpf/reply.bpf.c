// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/* The reply filter: judges arriving ICMP, counts each packet once in one
 * verdict, hands new replies to user space through a ring a CPU, drops what
 * our probes caused and passes everything else. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "cookie.h"
#include "heard.h"
#include "log2.h"
#include "parse.h"
#include "reply_abi.h"

/* Set by loader/reply.go before the program is loaded. */
const volatile struct siphash_key key;
const volatile __u32 source;      /* where probes come from; network byte order */
const volatile __u32 seen_base;   /* first address of the first page; host byte order */
const volatile __u32 seen_shift;  /* log2 of the bits a target has */
const volatile __u32 attempts;    /* probes of each kind that a target gets */
const volatile __u32 kinds;       /* of probes, one bit each */
const volatile __u8 places[PROBE_KINDS]; /* a kind's first bit among those of a target */
const volatile __u32 message_len[PROBE_KINDS]; /* bytes of ICMP message of a probe */
const volatile __u64 ut_offset;   /* what makes CLOCK_MONOTONIC nanoseconds since a midnight UT */
const volatile __u32 wake_bytes;  /* wake user space each time so much waits; a power of two */
const volatile __u8 bare_ip;      /* the device has no link layer */
const volatile __u8 record_first; /* first replies want records */
const volatile __u8 record_all;   /* so do what is a duplicate of anything recorded */
const volatile __u8 record_errors; /* so do errors */
const volatile __u8 many;         /* answers may come from anybody */
const volatile __u16 first_run;   /* of those since the machine was started */

/* Never read: these put the types into BTF, where bpf2go finds them. */
const volatile enum verdict abi_verdict;
const volatile enum probe_kind abi_probe_kind;
const volatile enum error_kind abi_error_kind;
const volatile struct record abi_record;

/* The bitmap of replies: for each target one bit a kind and attempt. A page is
 * 4 KiB; only ranges that the target set touches have pages, and the directory
 * says which (0: none, else the page's number plus one). Errors have a bitmap of
 * their own of the same shape, with one bit in the place of a target's first: so
 * that replies, which are many, find theirs close together. */
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
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct seen_page);
} error_pages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} stats SEC(".maps");

static __always_inline enum error_kind error_kind_of(__u8 type)
{
	switch (type) {
	case ICMP_SOURCE_QUENCH:
		return ERROR_SOURCE_QUENCH;
	case ICMP_REDIRECT:
		return ERROR_REDIRECT;
	case ICMP_TIME_EXCEEDED:
		return ERROR_TIME_EXCEEDED;
	case ICMP_PARAMETER_PROBLEM:
		return ERROR_PARAMETER_PROBLEM;
	}
	return ERROR_UNREACHABLE;
}

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

/* Finds the bits of a target in one of the bitmaps. */
static __always_inline int find_slot(void *pages, __u32 target, struct seen_slot *slot)
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
	page = bpf_map_lookup_elem(pages, &number);
	if (!page)
		return 0;
	bit = (offset << seen_shift) & ((1 << SEEN_PAGE_BITS_LOG2) - 1);
	slot->word = &page->words[(bit >> 6) & (SEEN_PAGE_WORDS - 1)];
	slot->first = bit & 63;
	slot->mask = (~0ULL >> (64 - (1 << seen_shift))) << slot->first;
	return 1;
}

/* With one attempt a kind has one bit. With more, echo has a bit for replies
 * whose attempt is unknown and then one for each attempt; the other kinds never
 * tell theirs. */
static __always_inline __u64 slot_bit(const struct seen_slot *slot, enum probe_kind kind, __u8 attempt)
{
	__u32 position = places[kind];

	if (attempts > 1)
		position += attempt;
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
 * each record of size bytes: user space also looks by itself, a few times a
 * second. */
static __always_inline __u64 wake_flags(void *ring, __u32 size)
{
	__u64 waiting = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);

	return (waiting & (wake_bytes - 1)) < size + BPF_RINGBUF_HDR_SZ && waiting >= wake_bytes ?
		       BPF_RB_FORCE_WAKEUP :
		       BPF_RB_NO_WAKEUP;
}

static __always_inline void *own_ring(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&rings, &cpu);
}

/* A positive reply whose cookie is ours. The record's room is taken before
 * the bit is set: a reply that cannot be recorded leaves the bit clear, so
 * that a later attempt can still find the host. */
static __always_inline enum verdict judge_positive(struct counters *st, const struct seen_slot *slot,
							 enum probe_kind kind, const struct record *reply)
{
	__u64 bit = slot_bit(slot, kind, reply->attempt);
	__u64 seen = *(volatile __u64 *)slot->word;
	enum verdict verdict = positive_verdict(slot, seen, bit, reply->attempt);
	struct record *record = NULL;
	void *ring = NULL;

	if (verdict == VERDICT_FIRST ? record_first : record_first && record_all) {
		ring = own_ring();
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
		/* RTTs of other kinds are whole milliseconds: they are not mixed in. */
		if (kind == PROBE_ECHO)
			count_rtt(st, reply->rtt_ns);
		st->ttl[reply->ttl]++;
	}
	if (record) {
		if (verdict == VERDICT_FIRST || record_all) {
			*record = *reply;
			record->verdict = verdict;
			bpf_ringbuf_submit(record, wake_flags(ring, sizeof(*record)));
		} else {
			bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		}
	}
	return verdict;
}

/* Whether what is behind a header is the payload of a probe of ours, up to
 * end: then attempt and round-trip time are known. A probe that a sweep sent
 * before the machine was started anew tells the time of another clock. */
static __always_inline int read_payload(void *p, void *end, void *data_end, struct record *reply, __u64 *index)
{
	struct probe_payload *payload = p;
	__u64 sent, index_attempt;
	__u8 attempt;

	if ((void *)(payload + 1) > data_end || (void *)(payload + 1) > end)
		return 0;
	sent = payload->sent_ns;
	index_attempt = payload->index_attempt;
	attempt = (__u8)index_attempt;
	if (payload->tag != probe_tag(key.k0, key.k1, sent, index_attempt) || attempt < 1 || attempt > attempts)
		return 0;
	if (index_attempt >> PROBE_RUN_SHIFT >= first_run) {
		if (sent > reply->arrived_ns)
			return 0;
		reply->rtt_ns = reply->arrived_ns - sent;
	}
	reply->attempt = attempt;
	*index = index_attempt << (64 - PROBE_RUN_SHIFT) >> (64 - PROBE_INDEX_BITS);
	return 1;
}

/* The round-trip time that the originate field of a timestamp message tells, in
 * milliseconds. Nothing but the cookie authenticates it, so that it is believed
 * only as far as it makes sense. */
#define TIMESTAMP_RTT_MAX_MS 60000

static __always_inline int read_originate(__u32 originate, __u32 now_ms, __u32 *rtt_ms)
{
	if (originate >= DAY_MS)
		return 0;
	*rtt_ms = now_ms >= originate ? now_ms - originate : now_ms + DAY_MS - originate;
	return *rtt_ms <= TIMESTAMP_RTT_MAX_MS;
}

/* The difference between two times of day, within half a day. */
static __always_inline __s32 day_difference(__u32 a, __u32 b)
{
	__s32 d = (__s32)a - (__s32)b;

	if (d >= (__s32)(DAY_MS / 2))
		d -= DAY_MS;
	if (d < -(__s32)(DAY_MS / 2))
		d += DAY_MS;
	return d;
}

static __always_inline void read_timestamps(const struct icmp_timestamps *t, struct record *reply)
{
	__u32 originate = bpf_ntohl(t->originate), receive = bpf_ntohl(t->receive), transmit = bpf_ntohl(t->transmit);
	__u32 now = milliseconds_ut(reply->arrived_ns, ut_offset), rtt;
	__s32 there, back;

	reply->word = OFFSET_UNKNOWN;
	if (!read_originate(originate, now, &rtt))
		return;
	reply->rtt_ns = rtt * 1000000ULL;
	/* The high bit marks a time that is not in milliseconds since midnight. */
	if (receive >= DAY_MS || transmit >= DAY_MS)
		return;
	/* As NTP does (RFC 5905, section 8), the halves rounded up. A clock half a
	 * day off is on either side. */
	there = day_difference(receive, originate);
	back = day_difference(transmit, now);
	if (back - there > (__s32)(DAY_MS / 2))
		back -= DAY_MS;
	if (there - back > (__s32)(DAY_MS / 2))
		back += DAY_MS;
	reply->word = day_difference((there + back + 1) >> 1, 0);
}

/* With many answers: one record for each who answers a probe. Its target is
 * known from the payload alone. */
static __always_inline enum verdict judge_many(struct counters *st, struct record *reply, __u64 index)
{
	struct heard_key heard_key = { .target = index, .from = reply->from, .what = WHAT_REPLY };
	struct record *record = NULL;
	struct heard_place place;
	void *ring = NULL;

	reply->target = index;
	if (!find_heard(&heard_key, key.k0, &place))
		return VERDICT_RECORD_LOST;
	if (!record_all && ask(&place, 0) == HEARD_BEFORE)
		return VERDICT_DUPLICATE;
	if (record_first) {
		ring = own_ring();
		if (!ring)
			return VERDICT_RECORD_LOST;
		record = bpf_ringbuf_reserve(ring, sizeof(*record), 0);
		if (!record)
			return VERDICT_RECORD_LOST;
	}
	switch (ask(&place, 1)) {
	case HEARD_NEVER:
		reply->verdict = VERDICT_FIRST;
		break;
	case HEARD_BEFORE:
		reply->verdict = VERDICT_DUPLICATE;
		break;
	default:
		reply->verdict = VERDICT_RECORD_LOST;
	}
	if (reply->verdict == VERDICT_FIRST) {
		count_rtt(st, reply->rtt_ns);
		st->ttl[reply->ttl]++;
	}
	if (record) {
		if (reply->verdict == VERDICT_FIRST || (reply->verdict == VERDICT_DUPLICATE && record_all)) {
			*record = *reply;
			bpf_ringbuf_submit(record, wake_flags(ring, sizeof(*record)));
		} else {
			bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		}
	}
	return reply->verdict;
}

static __always_inline enum verdict judge_reply(struct counters *st, const struct icmp_packet *packet,
						      enum probe_kind kind, void *data_end, __u64 now)
{
	struct iphdr *ip = packet->ip;
	struct icmp_header *icmp = packet->icmp;
	void *data = icmp + 1, *end = (void *)icmp + packet->length;
	struct record reply = {};
	struct seen_slot slot;
	__u64 index = 0;
	__u32 target;
	int ours;

	if (icmp->code != 0)
		return VERDICT_MALFORMED;
	if (kind == PROBE_TIMESTAMP && packet->length < sizeof(*icmp) + sizeof(struct icmp_timestamps))
		return VERDICT_MALFORMED;
	if (kind == PROBE_MASK && packet->length < sizeof(*icmp) + 4)
		return VERDICT_MALFORMED;

	target = bpf_ntohl(ip->saddr);
	reply.arrived_ns = now;
	reply.rtt_ns = RTT_UNKNOWN;
	reply.target = target;
	reply.from = target;
	reply.size = packet->length;
	reply.ttl = ip->ttl;
	reply.type = icmp->type;
	if (ip->daddr != source)
		return VERDICT_FOREIGN;
	if (many) {
		if (kind != PROBE_ECHO || !read_payload(data, end, data_end, &reply, &index))
			return packet->length == message_len[kind] ? VERDICT_FORGED : VERDICT_FOREIGN;
		st->replies[PROBE_ECHO]++;
		return judge_many(st, &reply, index);
	}
	if (!find_slot(&seen_pages, target, &slot))
		return VERDICT_FOREIGN;
	ours = icmp->id_sequence == cookie_v4(key.k0, key.k1, ip->daddr, ip->saddr);
	if (!ours)
		return packet->length == message_len[kind] ? VERDICT_FORGED : VERDICT_FOREIGN;
	st->replies[kind & 3]++;

	if (kind == PROBE_ECHO) {
		read_payload(data, end, data_end, &reply, &index);
	} else if (kind == PROBE_TIMESTAMP) {
		if (data + sizeof(struct icmp_timestamps) > data_end) /* cannot be, but for the verifier */
			return VERDICT_MALFORMED;
		read_timestamps(data, &reply);
	} else {
		if (data + 4 > data_end)
			return VERDICT_MALFORMED;
		reply.word = *(__u32 *)data;
	}
	return judge_positive(st, &slot, kind, &reply);
}

/* Where a message may have extensions (RFC 4884): where its length field says
 * so, or, as routers did before that, behind 128 bytes of the probe (section
 * 5.5). Whether they are well-formed is for user space. */
#define OLD_QUOTE 128
#define EXTENSION_HEADER 4
#define EXTENSION_VERSION 2

static __always_inline int may_have_extensions(const struct icmp_packet *packet, void *data_end)
{
	struct icmp_header *icmp = packet->icmp;
	__u8 *old = (__u8 *)(icmp + 1) + OLD_QUOTE;

	if (icmp->type != ICMP_UNREACHABLE && icmp->type != ICMP_TIME_EXCEEDED && icmp->type != ICMP_PARAMETER_PROBLEM)
		return 0;
	if (((__u8 *)&icmp->id_sequence)[1])
		return 1;
	if (packet->length < sizeof(*icmp) + OLD_QUOTE + EXTENSION_HEADER || (void *)(old + EXTENSION_HEADER) > data_end)
		return 0;
	return *old >> 4 == EXTENSION_VERSION;
}

/* Copies the first length bytes of a message, in whole words. */
static __always_inline __u32 copy_message(struct long_record *record, void *p, void *data_end, __u32 length)
{
	__u32 words = length >> 2, i;

#pragma clang loop unroll(disable)
	for (i = 0; i < MESSAGE_MAX / 4; i++) {
		if (i >= words)
			break;
		barrier_var(p);
		if (p + 4 > data_end)
			break;
		record->message[i] = *(__u32 *)p;
		p += 4;
	}
	return i << 2;
}

/* Notes an error, and says whether it came before. */
static __always_inline enum verdict note_error(const struct heard_place *place)
{
	switch (ask(place, 1)) {
	case HEARD_NEVER:
		return VERDICT_ERROR;
	case HEARD_BEFORE:
		return VERDICT_ERROR_DUPLICATE;
	default:
		return VERDICT_ERROR_UNCHECKED;
	}
}

static __always_inline enum verdict record_error(const struct icmp_packet *packet, const struct heard_place *place,
						       struct record *reply, void *data_end)
{
	struct long_record *longer;
	struct record *record;
	void *ring;

	/* What wants no record takes no room for one. */
	if (!record_all && ask(place, 0) == HEARD_BEFORE)
		return VERDICT_ERROR_DUPLICATE;
	ring = own_ring();
	if (!ring)
		return VERDICT_RECORD_LOST;
	if (may_have_extensions(packet, data_end)) {
		longer = bpf_ringbuf_reserve(ring, sizeof(*longer), 0);
		if (!longer)
			return VERDICT_RECORD_LOST;
		reply->verdict = note_error(place);
		if (reply->verdict == VERDICT_ERROR_DUPLICATE && !record_all) {
			bpf_ringbuf_discard(longer, BPF_RB_NO_WAKEUP);
			return VERDICT_ERROR_DUPLICATE;
		}
		reply->message = copy_message(longer, packet->icmp, data_end, packet->length);
		longer->record = *reply;
		bpf_ringbuf_submit(longer, wake_flags(ring, sizeof(*longer)));
		return reply->verdict;
	}
	record = bpf_ringbuf_reserve(ring, sizeof(*record), 0);
	if (!record)
		return VERDICT_RECORD_LOST;
	reply->verdict = note_error(place);
	if (reply->verdict == VERDICT_ERROR_DUPLICATE && !record_all) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return VERDICT_ERROR_DUPLICATE;
	}
	*record = *reply;
	bpf_ringbuf_submit(record, wake_flags(ring, sizeof(*record)));
	return reply->verdict;
}

/* The kind of a request, or PROBE_KINDS for what no probe of ours is. */
static __always_inline enum probe_kind kind_of_request(__u8 type)
{
	if (type == ICMP_ECHO_REQUEST && kinds & 1 << PROBE_ECHO)
		return PROBE_ECHO;
	if (type == ICMP_TIMESTAMP && kinds & 1 << PROBE_TIMESTAMP)
		return PROBE_TIMESTAMP;
	if (type == ICMP_MASK_REQUEST && kinds & 1 << PROBE_MASK)
		return PROBE_MASK;
	return PROBE_KINDS;
}

/* An error message, which quotes the packet that caused it: its IP header and
 * at least 8 bytes (RFC 792), which hold our cookie. It is charged to the target
 * of that packet. Routers change some of what they quote (TTL, checksum), so
 * that only what we look at is checked. */
static __always_inline enum verdict judge_error(struct counters *st, const struct icmp_packet *packet, void *data_end,
						      __u64 now)
{
	struct icmp_header *icmp = packet->icmp, *quoted_icmp;
	struct iphdr *quoted = (void *)(icmp + 1);
	void *end = (void *)icmp + packet->length;
	struct heard_key heard_key;
	struct heard_place place;
	struct record reply = {};
	struct seen_slot slot;
	enum error_kind kind_of_error;
	enum probe_kind kind;
	enum verdict verdict;
	__u32 header, quote = packet->length - sizeof(*icmp), rtt;
	__u64 index, errored, bit;

	if (quote < sizeof(*quoted) || (void *)(quoted + 1) > data_end)
		return VERDICT_MALFORMED;
	header = quoted->ihl * 4;
	if (quoted->version != 4 || header < sizeof(*quoted))
		return VERDICT_MALFORMED;
	if (quoted->protocol != IPPROTO_ICMP || quoted->saddr != source || packet->ip->daddr != source)
		return VERDICT_FOREIGN;
	if (quoted->frag_off & bpf_htons(IP_OFFSET_MASK) && quoted->frag_off != IP_SWAPPED_DF)
		return VERDICT_FRAGMENT;
	quoted_icmp = (void *)quoted + header;
	if (quote < header + sizeof(*quoted_icmp) || (void *)(quoted_icmp + 1) > data_end)
		return VERDICT_MALFORMED;
	kind = kind_of_request(quoted_icmp->type);
	if (kind == PROBE_KINDS || quoted_icmp->code != 0)
		return VERDICT_FOREIGN;

	reply.target = bpf_ntohl(quoted->daddr);
	if (!find_slot(&error_pages, reply.target, &slot))
		return VERDICT_FOREIGN;
	reply.from = bpf_ntohl(packet->ip->saddr);
	reply.type = icmp->type;
	reply.code = icmp->code;
	/* Two places in memory that nobody has looked at lately are asked for at once,
	 * while the cookie is computed. */
	errored = *(volatile __u64 *)slot.word;
	heard_key.target = reply.target;
	heard_key.from = reply.from;
	kind_of_error = error_kind_of(reply.type);
	heard_key.what = WHAT_ERROR(kind_of_error, reply.code);
	if (!find_heard(&heard_key, key.k0, &place))
		return VERDICT_RECORD_LOST;
	if (quoted_icmp->id_sequence != cookie_v4(key.k0, key.k1, quoted->saddr, quoted->daddr))
		return bpf_ntohs(quoted->tot_len) == sizeof(*quoted) + message_len[kind] ? VERDICT_FORGED : VERDICT_FOREIGN;
	st->codes[kind_of_error << 8 | reply.code]++;

	reply.arrived_ns = now;
	reply.rtt_ns = RTT_UNKNOWN;
	reply.word = icmp->id_sequence;
	reply.size = packet->length;
	reply.ttl = packet->ip->ttl;
	reply.quoted_ttl = quoted->ttl;
	if (kind == PROBE_ECHO) {
		read_payload(quoted_icmp + 1, end, data_end, &reply, &index);
	} else if (kind == PROBE_TIMESTAMP) {
		struct icmp_timestamps *t = (void *)(quoted_icmp + 1);

		if ((void *)&t->receive <= data_end && (void *)&t->receive <= end &&
		    read_originate(bpf_ntohl(t->originate), milliseconds_ut(reply.arrived_ns, ut_offset), &rtt))
			reply.rtt_ns = rtt * 1000000ULL;
	}
	verdict = record_errors ? record_error(packet, &place, &reply, data_end) : note_error(&place);
	if (verdict == VERDICT_RECORD_LOST)
		return verdict;
	bit = 1ULL << slot.first;
	if (!(errored & bit) && !(__sync_fetch_and_or(slot.word, bit) & bit))
		st->errored++;
	return verdict;
}

/* What an ICMP type is to this sweep. */
enum role { ROLE_NONE, ROLE_REPLY, ROLE_ERROR };

static __always_inline enum role role_of(__u8 type)
{
	switch (type) {
	case ICMP_ECHO_REPLY:
		return kinds & 1 << PROBE_ECHO ? ROLE_REPLY : ROLE_NONE;
	case ICMP_TIMESTAMP_REPLY:
		return kinds & 1 << PROBE_TIMESTAMP ? ROLE_REPLY : ROLE_NONE;
	case ICMP_MASK_REPLY:
		return kinds & 1 << PROBE_MASK ? ROLE_REPLY : ROLE_NONE;
	case ICMP_UNREACHABLE:
	case ICMP_SOURCE_QUENCH:
	case ICMP_REDIRECT:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETER_PROBLEM:
		return ROLE_ERROR;
	}
	return ROLE_NONE;
}

static __always_inline enum verdict judge(struct counters *st, struct xdp_md *ctx, int pieces)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct icmp_packet packet;
	enum parse_result result;
	enum probe_kind kind;
	enum role role;
	void *p = data;
	__u64 sum = 0, now;

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
	role = role_of(packet.icmp->type);
	if (role == ROLE_NONE)
		return VERDICT_FOREIGN;
	if (pieces && (packet.length > CHECKSUM_MAX_LENGTH || (void *)packet.icmp + packet.length > data_end)) {
		if (!checksum_pieces(ctx, (void *)packet.icmp - data, packet.length, &sum))
			return VERDICT_MALFORMED;
	} else {
		if (packet.length > CHECKSUM_MAX_LENGTH) /* no answer of ours is so long */
			return VERDICT_FOREIGN;
		if (!checksum_bytes(packet.ip, packet.header, data_end, packet.length, &sum))
			return VERDICT_MALFORMED;
	}
	if (checksum_fold(sum) != 0xffff)
		return VERDICT_CHECKSUM;
	now = bpf_ktime_get_ns();
	if (role == ROLE_ERROR)
		return judge_error(st, &packet, data_end, now);
	kind = PROBE_ECHO;
	if (kinds & 1 << PROBE_TIMESTAMP && packet.icmp->type == ICMP_TIMESTAMP_REPLY)
		kind = PROBE_TIMESTAMP;
	else if (kinds & 1 << PROBE_MASK && packet.icmp->type == ICMP_MASK_REPLY)
		kind = PROBE_MASK;
	return judge_reply(st, &packet, kind, data_end, now);
}

static __always_inline int filter(struct xdp_md *ctx, int pieces)
{
	enum verdict verdict;
	struct counters *st;
	__u32 zero = 0;

	st = bpf_map_lookup_elem(&stats, &zero);
	if (!st) /* cannot be: the map has one entry */
		return XDP_PASS;
	st->judged++;
	verdict = judge(st, ctx, pieces);
	st->verdicts[verdict & 15]++;
	switch (verdict) {
	case VERDICT_FIRST:
	case VERDICT_REPEAT:
	case VERDICT_DUPLICATE:
	case VERDICT_ERROR:
	case VERDICT_ERROR_DUPLICATE:
	case VERDICT_ERROR_UNCHECKED:
	case VERDICT_RECORD_LOST:
		return XDP_DROP;
	default:
		return XDP_PASS;
	}
}

SEC("xdp")
int xsweep_reply(struct xdp_md *ctx)
{
	return filter(ctx, 0);
}

/* For devices whose packets may come in several pieces, and probes that are
 * longer than one. */
SEC("xdp.frags")
int xsweep_pieces(struct xdp_md *ctx)
{
	return filter(ctx, 1);
}

char _license[] SEC("license") = "Dual BSD/GPL";
