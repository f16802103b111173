// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/* The judge of benchmarks. Every probe has an index of its own, which its answer
 * brings back: each answer is the first or a duplicate, in order or not, in time
 * or late, and counted once as such. What is known of a probe is one bit, in a
 * window that slides along the indexes. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bench_abi.h"
#include "cookie.h"
#include "log2.h"
#include "parse.h"

/* Set by loader/bench.go before the program is loaded. */
const volatile struct siphash_key key;
const volatile __u32 source;      /* where probes come from; network byte order; with several, the first */
const volatile __u32 source_count;
const volatile __u32 id_offsets;  /* identifiers differ from the cookie's by 0 to below this */
const volatile __u32 message_len; /* bytes of ICMP message of a probe */
const volatile __u32 threads;     /* that send; thread t has the indexes base + n * threads + t */
const volatile __u32 flow_count;  /* threads times targets times what they differ in besides */
const volatile __u32 home_count;  /* threads times targets */
const volatile __u32 window_log2; /* of the window's words */
const volatile __u8 bare_ip;      /* the device has no link layer */

/* Never read: these put the types into BTF, where bpf2go finds them. */
const volatile enum bench_verdict abi_verdict;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bench_counters);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bench_histogram);
} from_sent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bench_histogram);
} from_scheduled SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bench_trial);
} trial SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bench_flow);
} flows SEC(".maps");

/* By flow: how many answers came in time. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} answers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} window SEC(".maps");

/* The sources, where there are several. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8);
} sources SEC(".maps");

/* Errors by target, as it stands in the packet. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} targets SEC(".maps");

static __always_inline __u32 bin_of(__u64 ns)
{
	__u32 octave;

	if (ns < 1ULL << BENCH_MIN_LOG2)
		return 0;
	if (ns >= 1ULL << BENCH_MAX_LOG2)
		return BENCH_BINS - 1;
	octave = log2_u64(ns);
	/* Below 128 ns bins are a nanosecond wide, and every other one is empty. */
	return ((octave - BENCH_MIN_LOG2) << BENCH_SUB_BITS) +
	       (octave < BENCH_SUB_BITS ? (ns << (BENCH_SUB_BITS - octave)) & ((1 << BENCH_SUB_BITS) - 1) :
					  (ns >> (octave - BENCH_SUB_BITS)) & ((1 << BENCH_SUB_BITS) - 1));
}

static __always_inline void note_latency(struct bench_latency *l, void *map, __u64 ns, __u32 bin)
{
	struct bench_histogram *h;
	__u32 zero = 0;

	l->count++;
	l->sum += ns;
	if (ns > l->max)
		l->max = ns;
	if (~ns > l->min_inverted)
		l->min_inverted = ~ns;
	h = bpf_map_lookup_elem(map, &zero);
	if (h && bin < BENCH_BINS)
		h->bins[bin]++;
}

enum mark { MARK_FIRST, MARK_AGAIN, MARK_GONE };

/* Notes that a probe was answered, and says whether it had been. The lap that a
 * word is of moves forward only. */
static __always_inline enum mark mark_answered(__u64 index)
{
	__u64 number = index >> BENCH_WORD_LOG2, bit = 1ULL << (index & ((1 << BENCH_WORD_LOG2) - 1));
	__u64 lap = number >> window_log2, seen, found;
	__u32 slot = number & ((1ULL << window_log2) - 1);
	__u64 *word = bpf_map_lookup_elem(&window, &slot);

	if (!word)
		return MARK_GONE;
	seen = *(volatile __u64 *)word;
	/* Each failure means that another CPU was faster, which happens once or
	 * twice: it has then moved the word to this lap or beyond. */
	for (int i = 0; i < 4; i++) {
		if (seen >> BENCH_LAP_SHIFT > lap)
			return MARK_GONE;
		if (seen >> BENCH_LAP_SHIFT == lap) {
			seen = __sync_fetch_and_or(word, bit);
			/* The lap may have changed in between: then the bit is of another probe. */
			if (seen >> BENCH_LAP_SHIFT != lap)
				return MARK_GONE;
			return seen & bit ? MARK_AGAIN : MARK_FIRST;
		}
		found = __sync_val_compare_and_swap(word, seen, lap << BENCH_LAP_SHIFT | bit);
		if (found == seen)
			return MARK_FIRST;
		seen = found;
	}
	return MARK_GONE;
}

/* Moves what a flow expects next beyond an index, and says whether the index came
 * too late for that: it is reordered (RFC 4737, section 3.3). */
static __always_inline int reordered(struct bench_flow *flow, __u64 index)
{
	__u64 next = *(volatile __u64 *)&flow->next, found;

	for (int i = 0; i < 8; i++) {
		if (index < next)
			return 1;
		found = __sync_val_compare_and_swap(&flow->next, next, index + 1);
		if (found == next)
			return 0;
		next = found;
	}
	return index < next;
}

/* When a probe was to leave: never after it did. The schedule begins behind the
 * warm-up, with the first answer that is seen. */
static __always_inline __u64 schedule(struct bench_flow *flow, const struct bench_trial *t, __u64 offset, __u64 sent)
{
	__u64 behind, due;

	if (!t->interval)
		return sent;
	behind = (threads > 1 ? offset / threads : offset) * t->interval >> 16;
	if (!flow->origin)
		flow->origin = sent - behind;
	due = flow->origin + behind;
	return due < sent ? due : sent;
}

static __always_inline int is_source(__u32 address)
{
	return source_count == 1 ? address == source : bpf_map_lookup_elem(&sources, &address) != NULL;
}

/* What makes an identifier and sequence number that of the cookie of two
 * addresses; not below id_offsets if nothing that we have sent does. */
static __always_inline __u32 id_offset_of(__u32 id_sequence, __u32 from, __u32 to)
{
	__u32 cookie = cookie_v4(key.k0, key.k1, from, to);

	return (id_sequence ^ cookie) >> 16 ? ~0U : (__u16)(id_sequence - cookie);
}

/* An answer that is no flow's: somebody else's, or made to look like ours. */
static __always_inline enum bench_verdict no_answer(const struct icmp_packet *packet)
{
	return packet->length == message_len && is_source(packet->ip->daddr) ? BENCH_FORGED : BENCH_FOREIGN;
}

/* Counts an answer in time to a probe that counts. */
static __always_inline void count_answer(struct bench_counters *c, struct bench_flow *flow, struct bench_flow *home,
					 __u32 number, __u64 sent, __u64 due, __u64 now)
{
	__u64 *count = bpf_map_lookup_elem(&answers, &number), rtt = now - sent, d;
	__u32 bin = bin_of(rtt);

	if (count)
		(*count)++;
	if (flow->transit) {
		d = rtt > flow->transit ? rtt - flow->transit : flow->transit - rtt;
		flow->jitter += d - ((flow->jitter + 8) >> 4);
	}
	if (home->arrived && now > home->arrived && now - home->arrived > home->gap)
		home->gap = now - home->arrived;
	note_latency(&c->sent, &from_sent, rtt, bin);
	note_latency(&c->scheduled, &from_scheduled, now - due, due == sent ? bin : bin_of(now - due));
}

static __always_inline enum bench_verdict judge_answer(struct bench_counters *c, const struct icmp_packet *packet,
						       void *data_end, __u64 now)
{
	struct iphdr *ip = packet->ip;
	struct icmp_header *icmp = packet->icmp;
	struct probe_payload *payload = (void *)(icmp + 1);
	__u64 sent, index_attempt, index, offset, rtt;
	struct bench_flow *flow = NULL, *home;
	struct bench_trial *t;
	__u32 zero = 0, number = 0, id_offset = 0;
	int known, late_order;
	enum mark mark;

	if (icmp->code != 0)
		return BENCH_MALFORMED;
	if (packet->length < sizeof(*icmp) + sizeof(*payload) || (void *)(payload + 1) > data_end)
		return id_offset_of(icmp->id_sequence, ip->daddr, ip->saddr) < id_offsets ? BENCH_FORGED : no_answer(packet);
	sent = payload->sent_ns;
	index_attempt = payload->index_attempt;
	index = index_attempt << (64 - PROBE_RUN_SHIFT) >> (64 - PROBE_INDEX_BITS);
	t = bpf_map_lookup_elem(&trial, &zero);
	if (!t)
		return BENCH_FOREIGN; /* cannot be: the map has one entry */
	offset = index - t->base;
	if (index >= t->base && index < t->end) {
		if (flow_count > 1)
			number = offset % flow_count;
		flow = bpf_map_lookup_elem(&flows, &number);
	}
	/* The cookie of the flow that it says it is of, or any that is ours. */
	known = flow && flow->known && flow->cookie == icmp->id_sequence && flow->target == ip->saddr && flow->source == ip->daddr;
	if (!known) {
		id_offset = id_offset_of(icmp->id_sequence, ip->daddr, ip->saddr);
		if (id_offset >= id_offsets)
			return no_answer(packet);
	}
	if (payload->tag != probe_tag(key.k0, key.k1, sent, index_attempt) || sent > now)
		return BENCH_FORGED;
	if (index < t->base || index >= t->end)
		return BENCH_STALE;
	if (!flow)
		return BENCH_FORGED; /* cannot be */
	if (!known) {
		if (flow->target != ip->saddr || flow->source != ip->daddr || flow->id_offset != id_offset)
			return BENCH_FORGED;
		flow->cookie = icmp->id_sequence;
		flow->known = 1;
	}
	home = flow;
	if (flow_count != home_count) {
		__u32 first = number % home_count;

		home = bpf_map_lookup_elem(&flows, &first);
		if (!home)
			return BENCH_FORGED; /* cannot be */
	}

	mark = mark_answered(index);
	if (mark == MARK_GONE)
		return BENCH_OVERTAKEN;
	if (mark == MARK_AGAIN)
		return index < t->measured ? BENCH_WARMUP : BENCH_DUPLICATE;
	rtt = now - sent;
	if (rtt > t->drain_ns)
		return index < t->measured ? BENCH_WARMUP : BENCH_LATE;
	late_order = reordered(flow, index);
	if (index >= t->measured) {
		if (late_order)
			c->reordered++;
		count_answer(c, flow, home, number, sent, schedule(home, t, offset, sent), now);
	}
	flow->transit = rtt;
	if (now > home->arrived)
		home->arrived = now;
	return index < t->measured ? BENCH_WARMUP : BENCH_ANSWERED;
}

/* An error message, which quotes the probe that caused it (RFC 792): its header
 * and at least 8 bytes, which hold our cookie. */
static __always_inline enum bench_verdict judge_error(struct bench_counters *c, const struct icmp_packet *packet,
						      void *data_end)
{
	struct icmp_header *icmp = packet->icmp, *quoted_icmp;
	struct iphdr *quoted = (void *)(icmp + 1);
	__u32 header, target, quote = packet->length - sizeof(*icmp);
	__u64 *errors;

	if (quote < sizeof(*quoted) || (void *)(quoted + 1) > data_end)
		return BENCH_MALFORMED;
	header = quoted->ihl * 4;
	if (quoted->version != 4 || header < sizeof(*quoted))
		return BENCH_MALFORMED;
	if (quoted->protocol != IPPROTO_ICMP || packet->ip->daddr != quoted->saddr || !is_source(quoted->saddr))
		return BENCH_FOREIGN;
	if (quoted->frag_off & bpf_htons(IP_OFFSET_MASK) && quoted->frag_off != IP_SWAPPED_DF)
		return BENCH_FRAGMENT;
	quoted_icmp = (void *)quoted + header;
	if (quote < header + sizeof(*quoted_icmp) || (void *)(quoted_icmp + 1) > data_end)
		return BENCH_MALFORMED;
	if (quoted_icmp->type != ICMP_ECHO_REQUEST || quoted_icmp->code != 0)
		return BENCH_FOREIGN;
	target = quoted->daddr;
	errors = bpf_map_lookup_elem(&targets, &target);
	if (!errors)
		return BENCH_FOREIGN;
	if (id_offset_of(quoted_icmp->id_sequence, quoted->saddr, quoted->daddr) >= id_offsets)
		return bpf_ntohs(quoted->tot_len) == sizeof(*quoted) + message_len ? BENCH_FORGED : BENCH_FOREIGN;
	__sync_fetch_and_add(errors, 1);
	c->errors[icmp->type]++;
	return BENCH_ERROR;
}

static __always_inline enum bench_verdict judge(struct bench_counters *c, struct xdp_md *ctx)
{
	void *data_end = (void *)(long)ctx->data_end;
	struct icmp_packet packet;
	void *p = (void *)(long)ctx->data;
	__u64 sum = 0;
	__u8 type;

	if (!bare_ip && parse_ethernet(&p, data_end) != PARSE_ICMP)
		return BENCH_OTHER;
	switch (parse_icmp(p, data_end, &packet)) {
	case PARSE_ICMP:
		break;
	case PARSE_OTHER:
		return BENCH_OTHER;
	case PARSE_MALFORMED:
		return BENCH_MALFORMED;
	case PARSE_CHECKSUM:
		return BENCH_CHECKSUM;
	case PARSE_FRAGMENT:
		return BENCH_FRAGMENT;
	}
	type = packet.icmp->type;
	if (type != ICMP_ECHO_REPLY && type != ICMP_UNREACHABLE && type != ICMP_SOURCE_QUENCH && type != ICMP_REDIRECT &&
	    type != ICMP_TIME_EXCEEDED && type != ICMP_PARAMETER_PROBLEM)
		return BENCH_FOREIGN;
	if (packet.length > CHECKSUM_MAX_LENGTH) /* no answer of ours is so long */
		return BENCH_FOREIGN;
	if (!checksum_bytes(packet.ip, packet.header, data_end, packet.length, &sum))
		return BENCH_MALFORMED;
	if (checksum_fold(sum) != 0xffff)
		return BENCH_CHECKSUM;
	if (type != ICMP_ECHO_REPLY)
		return judge_error(c, &packet, data_end);
	return judge_answer(c, &packet, data_end, bpf_ktime_get_ns());
}

SEC("xdp")
int xsweep_bench(struct xdp_md *ctx)
{
	enum bench_verdict verdict;
	struct bench_counters *c;
	__u32 zero = 0;

	c = bpf_map_lookup_elem(&counts, &zero);
	if (!c) /* cannot be: the map has one entry */
		return XDP_PASS;
	c->judged++;
	verdict = judge(c, ctx);
	c->verdicts[verdict & 15]++;
	return verdict >= BENCH_ANSWERED ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
