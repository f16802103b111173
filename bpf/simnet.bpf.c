// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/* The lab's simulated network: sits in native XDP mode on the far end of a
 * veth pair and answers ICMP echo, timestamp and address mask requests for any
 * IPv4 destination, as the host there would, or a router before it. What is
 * none of these requests passes.
 *
 * Everything a host or router does follows from draw(address, number) below,
 * so the truth about any address is known without asking. internal/lab/host.go
 * and answer.go have the same functions in Go, and tests compare the two. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "parse.h"
#include "simnet.h"
#include "simnet_error.h"
#include "simnet_limit.h"

/* Set by internal/lab/simnet.go before the program is loaded. A threshold is
 * a probability times 2^32: 0 is never, 2^32 is always. */
const volatile __u64 draw_key; /* the seed, mixed */
const volatile __u64 live_threshold;
const volatile __u64 loss_threshold;
const volatile __u64 duplicate_threshold;
const volatile __u64 behaviour_thresholds[BEHAVIOUR_COUNT]; /* the weights of all up to this one */
const volatile __u8 behaviours;  /* hosts differ; else all are BEHAVIOUR_HOST */
const volatile __u64 meter_rate; /* requests per second that the meter holds arrivals against; 0: no meter */
const volatile __u8 sink;        /* answer nothing */
const volatile __u8 per_probe;   /* loss and duplicates are drawn by the index in the payload, where one is */
const volatile __u8 hold;        /* hand answers to user space, which sends them later */
const volatile __u64 epoch;      /* CLOCK_MONOTONIC, ns: when outages and buckets begin */

/* Echo replies that all hosts together, and each address, give: admit() of
 * simnet_limit.h. An interval of 0 is no limit. */
const volatile __u64 capacity_interval;
const volatile __u64 capacity_tolerance;
const volatile __u64 limiter_interval;
const volatile __u64 limiter_tolerance;

/* For the last outage_length of each outage_period (ns), nothing is answered.
 * A period of 0 is none. */
const volatile __u64 outage_period;
const volatile __u64 outage_length;

/* Never read: these put the types into BTF, where bpf2go finds them. */
const volatile enum behaviour abi_behaviour;
const volatile enum flaw abi_flaw;

/* One of these a CPU. Each frame is in seen and in exactly one of passed,
 * malformed and the three kinds of requests; each request in exactly one of
 * sunk, silent, unanswered, outage, lost, over_capacity, over_limit, failed,
 * hosts_answered, broken and the five kinds of errors; and answered is the sum
 * of the last seven and duplicated. */
struct simnet_stats {
	__u64 seen;           /* frames that entered */
	__u64 passed;         /* no IPv4 request, or a fragment of one: left to the stack */
	__u64 malformed;      /* ICMP with lengths that lie: left to the stack */
	__u64 echo_requests;
	__u64 timestamp_requests;
	__u64 mask_requests;
	__u64 sunk;           /* dropped by the sink */
	__u64 silent;         /* nobody lives there */
	__u64 unanswered;     /* the host answers no such requests */
	__u64 lost;           /* for a live host, but lost on the way */
	__u64 failed;         /* frames that an answer cannot be made of */
	__u64 hosts_answered; /* requests that got their answer */
	__u64 unreachable;    /* errors: destination unreachable, but for the next */
	__u64 too_big;        /* fragmentation needed, from a host's path */
	__u64 source_quench;
	__u64 redirect;
	__u64 time_exceeded;
	__u64 parameter_problem;
	__u64 broken;         /* answers that are not valid as a whole */
	__u64 answered;       /* frames handed to the device, or to user space where it holds them */
	__u64 duplicated;     /* of these, second copies */
	__u64 outage;         /* for a live host, but nothing came through at the time */
	__u64 over_capacity;  /* echo requests that found the network's bucket empty */
	__u64 over_limit;     /* the same of their address's */
	__u64 state_full;     /* requests with no room for their count: judged as the first of their address */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct simnet_stats);
} stats SEC(".maps");

/* How many probes came for an address (host byte order), whatever became of
 * them. User space shrinks it to one entry where that decides nothing. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4 << 20);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} arrivals SEC(".maps");

/* Twice the program's own device: a broadcast to it sends each frame twice. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} twice SEC(".maps");

/* The bucket of all hosts together. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} capacity SEC(".maps");

/* One bucket an address, by its last two octets: addresses of one /16 share
 * none. User space shrinks it to one entry where there is no limiter. */
#define LIMITER_BUCKETS 65536

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LIMITER_BUCKETS);
	__type(key, __u32);
	__type(value, __u64);
} limiter SEC(".maps");

/* Holds arrivals against a rate. The level is that of a leaky bucket in
 * nanoseconds times meter_rate, so that integers are exact: each frame adds
 * METER_FRAME, each nanosecond takes meter_rate away. Its maximum is the
 * maximum, over all windows that begin and end with a frame, of
 * frames - rate * length. */
#define METER_SECOND 1000000000ULL /* ns */
#define METER_FRAME METER_SECOND
#define METER_BINS 128 /* a power of two, so that a mask bounds it */

struct meter {
	struct bpf_spin_lock lock;
	__u32 bin;
	__u64 frames;
	__u64 first_ns; /* CLOCK_MONOTONIC */
	__u64 last_ns;
	__u64 level;
	__u64 max_level;
	__u64 bin_end_ns;
	__u64 seconds[METER_BINS]; /* frames in each second since first_ns; the last bin takes the rest */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct meter);
} meter SEC(".maps");

/* A 64-bit random number for each seed, address (host byte order) and draw.
 * The seed is mixed and then met by address and number in separate halves of
 * one word, so that neighbouring seeds and addresses have nothing in common. */
static __always_inline __u64 draw(__u32 address, __u32 number)
{
	return mix(draw_key ^ ((__u64)address << 32 | number));
}

/* Says whether a draw falls below a threshold. Only the high half takes part,
 * so that thresholds of 0 and 2^32 are never and always. */
static __always_inline int chance(__u32 address, __u32 number, __u64 threshold)
{
	return draw(address, number) >> 32 < threshold;
}

/* The same for one probe of an address, by the index that it carries. */
static __always_inline int index_chance(__u32 address, __u32 number, __u64 index, __u64 threshold)
{
	return mix(draw(address, number) ^ index) >> 32 < threshold;
}

/* Initial TTLs as operating systems have them: 64 in 70 of 100, 128 in 18, 255
 * in 10, 32 in 2. */
static __always_inline __u32 initial_ttl(__u64 path)
{
	__u32 percent = (path >> 32) * 100 >> 32;

	if (percent < 70)
		return 64;
	if (percent < 88)
		return 128;
	if (percent < 98)
		return 255;
	return 32;
}

/* The number of routers before the host, 0 to 24: the sum of two even draws of
 * 0 to 12. */
static __always_inline __u32 distance(__u64 path)
{
	return ((path & 0xffff) * 13 >> 16) + ((path >> 16 & 0xffff) * 13 >> 16);
}

static __always_inline enum behaviour behaviour_of(__u32 address)
{
	__u32 d = draw(address, DRAW_BEHAVIOUR) >> 32;

#pragma unroll
	for (int b = 0; b < BEHAVIOUR_COUNT - 1; b++)
		if (d < behaviour_thresholds[b])
			return b;
	return BEHAVIOUR_COUNT - 1;
}

/* How many probes came for this address before. */
static __always_inline __u32 count_arrival(__u32 address, struct simnet_stats *s)
{
	__u32 none = 0, *count = bpf_map_lookup_elem(&arrivals, &address);

	if (!count) {
		/* Another CPU may be first; then this fails and the lookup does not. */
		bpf_map_update_elem(&arrivals, &address, &none, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&arrivals, &address);
		if (!count) {
			s->state_full++;
			return 0;
		}
	}
	return __sync_fetch_and_add(count, 1);
}

static __always_inline void measure(__u64 now)
{
	__u32 zero = 0;
	struct meter *m = bpf_map_lookup_elem(&meter, &zero);
	__u64 rate = meter_rate;

	if (!m || !rate)
		return;
	bpf_spin_lock(&m->lock);
	if (!m->frames++) {
		m->first_ns = now;
		m->last_ns = now;
		m->bin_end_ns = now + METER_SECOND;
	}
	/* CPUs can reach the lock in another order than they read the clock. */
	if (now > m->last_ns) {
		__u64 passed = now - m->last_ns;

		/* The product must not overflow (a rate is at most 10^9), and
		 * divisions are slow: only the end of a long silence takes one. */
		if (passed >> 34)
			m->level = passed > m->level / rate ? 0 : m->level - passed * rate;
		else
			m->level = passed * rate > m->level ? 0 : m->level - passed * rate;
		m->last_ns = now;
		if (now >= m->bin_end_ns) {
			__u64 second = (now - m->first_ns) / METER_SECOND;

			m->bin = second < METER_BINS ? second : METER_BINS - 1;
			m->bin_end_ns = m->first_ns + (second + 1) * METER_SECOND;
		}
	}
	m->level += METER_FRAME;
	if (m->level > m->max_level)
		m->max_level = m->level;
	m->seconds[m->bin & (METER_BINS - 1)]++;
	bpf_spin_unlock(&m->lock);
}

/* Finds the ICMP message of an IPv4 packet (RFC 791 section 3.1, RFC 792).
 * Checksums are not verified: replies get theirs by adjusting the request's,
 * so that a wrong one stays wrong for the receiver to see. */
static __always_inline enum parse_result find_icmp(void *p, void *data_end, struct icmp_packet *packet)
{
	struct iphdr *ip = p;
	__u32 header, total;

	if ((void *)(ip + 1) > data_end)
		return PARSE_MALFORMED;
	if (ip->version != 4 || ip->protocol != IPPROTO_ICMP)
		return PARSE_OTHER;
	header = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	if (header < sizeof(*ip) || total < header + sizeof(struct icmp_header))
		return PARSE_MALFORMED;
	if (p + total > data_end)
		return PARSE_MALFORMED;
	if (ip->frag_off & bpf_htons(IP_FRAGMENT_MASK))
		return PARSE_FRAGMENT;
	packet->ip = ip;
	packet->icmp = p + header;
	packet->length = total - header;
	if ((void *)(packet->icmp + 1) > data_end) /* implied, but not for the verifier */
		return PARSE_MALFORMED;
	return PARSE_ICMP;
}

/* Makes the request of a frame the host's answer. The checksums are those of
 * the request, adjusted. */
static __always_inline void make_reply(struct ethhdr *eth, const struct icmp_packet *packet, __u8 type, __u8 ttl)
{
	struct iphdr *ip = packet->ip;
	struct icmp_header *icmp = packet->icmp;
	__u16 old, new;
	__u32 address;
	__u8 mac[ETH_ALEN];

	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);

	/* Exchanging the addresses leaves their sum as it is. */
	address = ip->daddr;
	ip->daddr = ip->saddr;
	ip->saddr = address;

	/* TTL and protocol share a word, type and code another: little-endian. */
	old = ip->ttl | ip->protocol << 8;
	new = ttl | ip->protocol << 8;
	ip->ttl = ttl;
	ip->check = checksum_update(ip->check, old, new);

	old = icmp->type | icmp->code << 8;
	new = type | icmp->code << 8;
	icmp->type = type;
	icmp->checksum = checksum_update(icmp->checksum, old, new);
}

/* Spoils a reply as a broken host does. */
static __always_inline void spoil_reply(const struct icmp_packet *packet, enum flaw flaw)
{
	struct iphdr *ip = packet->ip;
	struct icmp_header *icmp = packet->icmp;
	__u16 old;

	switch (flaw) {
	case FLAW_REPLY_CHECKSUM:
		icmp->checksum ^= FLAW_BITS;
		break;
	case FLAW_REPLY_HEADER:
		ip->check ^= FLAW_BITS;
		break;
	case FLAW_REPLY_LENGTH:
		old = ip->tot_len;
		ip->tot_len = bpf_htons(bpf_ntohs(old) + FLAW_LENGTH);
		ip->check = checksum_update(ip->check, old, ip->tot_len);
		break;
	case FLAW_REPLY_COOKIE:
		icmp->checksum = checksum_update32(icmp->checksum, icmp->id_sequence, ~icmp->id_sequence);
		icmp->id_sequence = ~icmp->id_sequence;
		break;
	default: /* FLAW_REPLY_CODE */
		old = icmp->type | icmp->code << 8;
		icmp->code ^= 1;
		icmp->checksum = checksum_update(icmp->checksum, old, icmp->type | icmp->code << 8);
	}
}

/* Fills in what a timestamp or address mask reply tells: RFC 792, RFC 950. The
 * message has the reply's length. */
static __always_inline int answer_question(const struct icmp_packet *packet, void *data_end, __u32 address)
{
	struct icmp_header *icmp = packet->icmp;
	__u32 *body = (void *)(icmp + 1), told;

	if (icmp->type == TYPE_MASK_REPLY) {
		if ((void *)(body + 1) > data_end)
			return 0;
		told = bpf_htonl(mask_of(draw(address, DRAW_MASK)));
		icmp->checksum = checksum_update32(icmp->checksum, body[0], told);
		body[0] = told;
		return 1;
	}
	if ((void *)(body + 3) > data_end)
		return 0;
	told = bpf_htonl(clock_of(draw(address, DRAW_CLOCK), bpf_ntohl(body[0])));
	icmp->checksum = checksum_update32(icmp->checksum, body[1], told);
	icmp->checksum = checksum_update32(icmp->checksum, body[2], told);
	body[1] = told;
	body[2] = told;
	return 1;
}

/* Cuts a reply down to a length whose checksum does not depend on what is cut
 * off; the frame keeps the rest as padding. */
static __always_inline int cut_message(const struct icmp_packet *packet, __u32 length, void *data_end)
{
	struct iphdr *ip = packet->ip;
	__u32 *w = (void *)packet->icmp;
	__u16 old = ip->tot_len;
	__u64 sum;

	if ((void *)(w + MASK_LENGTH / 4) > data_end)
		return 0;
	ip->tot_len = bpf_htons(bpf_ntohs(old) - packet->length + length);
	ip->check = checksum_update(ip->check, old, ip->tot_len);
	packet->icmp->checksum = 0;
	sum = (__u64)w[0] + w[1] + w[2];
	if (length == TIMESTAMP_LENGTH) {
		if ((void *)(w + TIMESTAMP_LENGTH / 4) > data_end)
			return 0;
		sum += (__u64)w[3] + w[4];
	}
	packet->icmp->checksum = ~checksum_fold(sum);
	return 1;
}

/* Gives an answer to user space (internal/lab/delay.go): past the stack, by an
 * EtherType that nobody else has, and with the time of its arrival in place of
 * the first eight bytes of addresses, which user space knows. */
static __always_inline int hand_over(struct xdp_md *ctx, int again)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > data_end)
		return XDP_ABORTED;
	*(__u64 *)data = bpf_ktime_get_ns();
	eth->h_proto = bpf_htons(again ? HOLD_TWICE : HOLD_ONCE);
	return XDP_PASS;
}

/* Hands the answer in the frame to the device, once or twice. Not XDP_TX: that
 * reaches the other end only if a native program sits there, while a redirected
 * frame needs no more than NAPI (GRO on). */
static __always_inline int send(struct xdp_md *ctx, struct simnet_stats *s, int again)
{
	if (again) {
		s->duplicated++;
		s->answered += 2;
		if (hold)
			return hand_over(ctx, again);
		return bpf_redirect_map(&twice, 0, BPF_F_BROADCAST);
	}
	s->answered++;
	if (hold)
		return hand_over(ctx, again);
	return bpf_redirect(ctx->ingress_ifindex, 0);
}

/* What the draws decide of an error from the router at a hop, counted from 1,
 * about a probe that was sent with a TTL. */
static __always_inline void error_from(struct simnet_error *e, __u32 address, __u32 hop, __u8 ttl)
{
	e->habits = draw(address, DRAW_ROUTER + hop);
	e->objects = draw(address, DRAW_OBJECTS + hop);
	e->ttl = (e->habits >> HABIT_TTL & 1 ? 255 : 64) - (hop - 1);
	e->quoted_ttl = ttl - (hop - 1);
}

/* A probe that does not get so far as its host. From bit 8 on ttl_again says
 * whether the error comes twice. */
static __noinline int expire(struct xdp_md *ctx, struct simnet_stats *s, __u32 address, __u32 ttl_again)
{
	struct simnet_error e = {.flaw = FLAW_NONE};
	__u32 ttl = ttl_again & 0xff;

	if (!s)
		return XDP_ABORTED;
	error_from(&e, address, ttl, ttl);
	e.type = TYPE_TIME_EXCEEDED;
	e.code = !(e.habits >> HABIT_CODE & 63);
	if (!make_error(ctx, &e)) {
		s->failed++;
		return XDP_DROP;
	}
	s->time_exceeded++;
	return send(ctx, s, ttl_again >> 8);
}

/* An error from the last router before the host, or from what stands in the
 * host's place. ttl_hops_again has the probe's TTL, the number of routers from
 * bit 8 on, and from bit 16 on whether the error comes twice. */
static __noinline int refuse(struct xdp_md *ctx, struct simnet_stats *s, __u32 address, __u32 ttl_hops_again,
			     enum behaviour behaviour)
{
	__u32 hops = ttl_hops_again >> 8 & 0xff, mtu;
	struct simnet_error e = {.flaw = FLAW_NONE};
	__u64 d = draw(address, DRAW_DETAIL);

	if (!s)
		return XDP_ABORTED;
	error_from(&e, address, hops ? hops : 1, ttl_hops_again);
	mtu = path_mtu(d);
	e.type = TYPE_UNREACHABLE;
	e.code = d & 15;
	switch (behaviour) {
	case BEHAVIOUR_MTU:
		e.code = CODE_FRAGMENTATION_NEEDED;
		break;
	case BEHAVIOUR_REDIRECT:
		e.type = TYPE_REDIRECT;
		e.code = d >> DETAIL_REDIRECT & 3;
		e.word = ROUTERS | router_octet(d >> DETAIL_GATEWAY);
		break;
	case BEHAVIOUR_SOURCE_QUENCH:
		e.type = TYPE_SOURCE_QUENCH;
		e.code = 0;
		break;
	case BEHAVIOUR_PARAMETER_PROBLEM:
		e.type = TYPE_PARAMETER_PROBLEM;
		e.code = (d >> DETAIL_PROBLEM & 0xff) * 3 >> 8;
		e.word = ((d >> DETAIL_POINTER & 0xff) * 28 >> 8) << 24;
		break;
	case BEHAVIOUR_BROKEN:
		e.flaw = flaw_of(d);
		break;
	default:
		break;
	}
	if (e.type == TYPE_UNREACHABLE && e.code == CODE_FRAGMENTATION_NEEDED)
		e.word = mtu;
	if (!make_error(ctx, &e)) {
		s->failed++;
		return XDP_DROP;
	}
	switch (behaviour) {
	case BEHAVIOUR_MTU:
		s->too_big++;
		break;
	case BEHAVIOUR_REDIRECT:
		s->redirect++;
		break;
	case BEHAVIOUR_SOURCE_QUENCH:
		s->source_quench++;
		break;
	case BEHAVIOUR_PARAMETER_PROBLEM:
		s->parameter_problem++;
		break;
	case BEHAVIOUR_BROKEN:
		s->broken++;
		break;
	default:
		s->unreachable++;
	}
	return send(ctx, s, ttl_hops_again >> 16);
}

/* Whether a host that behaves so has an error sent for this probe, the k-th
 * that comes for it. */
static __always_inline int refuses(enum behaviour behaviour, __u32 address, __u32 k, const struct iphdr *ip)
{
	switch (behaviour) {
	case BEHAVIOUR_UNREACHABLE:
	case BEHAVIOUR_PARAMETER_PROBLEM:
		return 1;
	case BEHAVIOUR_REDIRECT:
	case BEHAVIOUR_SOURCE_QUENCH:
		return k == 0;
	case BEHAVIOUR_MTU:
		return ip->frag_off & bpf_htons(IP_DONT_FRAGMENT) &&
		       bpf_ntohs(ip->tot_len) > path_mtu(draw(address, DRAW_DETAIL));
	case BEHAVIOUR_BROKEN:
		return flaw_of(draw(address, DRAW_DETAIL)) >= FLAW_FIRST_OF_ERRORS;
	default:
		return 0;
	}
}

/* Whether the host answers such requests at all. */
static __always_inline int answers(enum behaviour behaviour, __u8 type)
{
	switch (behaviour) {
	case BEHAVIOUR_ECHO:
		return type == ICMP_ECHO_REQUEST;
	case BEHAVIOUR_TIMESTAMP:
		return type == TYPE_TIMESTAMP_REQUEST;
	case BEHAVIOUR_MASK:
		return type == TYPE_MASK_REQUEST;
	default:
		return 1;
	}
}

/* Whether nothing comes through at the time. */
static __always_inline int out(__u64 now)
{
	return now % outage_period >= outage_period - outage_length;
}

enum room {
	ROOM,
	ROOM_OVER_CAPACITY,
	ROOM_OVER_LIMIT,
};

/* Whether the network and the host have room for one more echo request, now in
 * ns since the epoch. Not static, so that the verifier looks at it only once. */
__noinline int find_room(__u32 address, __u64 now)
{
	__u32 zero = 0, k = address & (LIMITER_BUCKETS - 1);
	__u64 *bucket;

	now <<= LIMIT_SHIFT;
	if (capacity_interval) {
		bucket = bpf_map_lookup_elem(&capacity, &zero);
		if (!bucket || !admit(bucket, now, capacity_interval, capacity_tolerance))
			return ROOM_OVER_CAPACITY;
	}
	if (limiter_interval) {
		bucket = bpf_map_lookup_elem(&limiter, &k);
		if (!bucket || !admit(bucket, now, limiter_interval, limiter_tolerance))
			return ROOM_OVER_LIMIT;
	}
	return ROOM;
}

/* Reads index and attempt of a probe (docs/wire-format.md). They are taken as
 * they come: the lab does not know the key of their tag. */
static __always_inline int read_index(const struct icmp_packet *packet, void *data_end, __u64 *index)
{
	__u32 *w = (void *)packet->icmp;

	if (packet->length < INDEX_END || (void *)w + INDEX_END > data_end)
		return 0;
	*index = w[4] | (__u64)w[5] << 32;
	return 1;
}

SEC("xdp")
int xsweep_simnet(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	enum behaviour behaviour = BEHAVIOUR_HOST;
	struct icmp_packet packet = {};
	struct ethhdr *eth = data;
	void *p = data;
	struct simnet_stats *s;
	enum parse_result parsed;
	__u32 zero = 0, address, length = 0, k = 0, hops, ttl;
	__u64 path, now = 0, index = 0;
	int indexed = 0, again;
	__u8 type = 0;

	s = bpf_map_lookup_elem(&stats, &zero);
	if (!s)
		return XDP_ABORTED;
	s->seen++;

	parsed = parse_ethernet(&p, data_end);
	if (parsed == PARSE_ICMP)
		parsed = find_icmp(p, data_end, &packet);
	if (parsed == PARSE_ICMP && (void *)(eth + 1) <= data_end) {
		type = packet.icmp->type;
		if (type == TYPE_TIMESTAMP_REQUEST)
			length = TIMESTAMP_LENGTH;
		else if (type == TYPE_MASK_REQUEST)
			length = MASK_LENGTH;
		else if (type != ICMP_ECHO_REQUEST)
			parsed = PARSE_OTHER;
		if (packet.length < length)
			parsed = PARSE_MALFORMED;
	}
	if (parsed == PARSE_MALFORMED) {
		s->malformed++;
		return XDP_PASS;
	}
	if (parsed != PARSE_ICMP || (void *)(eth + 1) > data_end) {
		s->passed++;
		return XDP_PASS;
	}

	if (type == ICMP_ECHO_REQUEST)
		s->echo_requests++;
	else if (type == TYPE_TIMESTAMP_REQUEST)
		s->timestamp_requests++;
	else
		s->mask_requests++;
	if (meter_rate)
		measure(bpf_ktime_get_ns());
	if (sink) {
		s->sunk++;
		return XDP_DROP;
	}
	address = bpf_ntohl(packet.ip->daddr);
	if (!chance(address, DRAW_LIVE, live_threshold)) {
		s->silent++;
		return XDP_DROP;
	}
	if (behaviours) {
		behaviour = behaviour_of(address);
		if (behaviour == BEHAVIOUR_SILENT) {
			s->unanswered++;
			return XDP_DROP;
		}
	}
	if (loss_threshold || behaviour == BEHAVIOUR_REDIRECT || behaviour == BEHAVIOUR_SOURCE_QUENCH)
		k = count_arrival(address, s);
	if (hold && eth->h_proto != bpf_htons(ETH_P_IP)) {
		s->failed++; /* hand_over() has no room for tags */
		return XDP_DROP;
	}
	if (outage_period || capacity_interval || limiter_interval)
		now = bpf_ktime_get_ns() - epoch;
	if (outage_period && out(now)) {
		s->outage++;
		return XDP_DROP;
	}
	if (per_probe && type == ICMP_ECHO_REQUEST)
		indexed = read_index(&packet, data_end, &index);
	if (loss_threshold && (indexed ? index_chance(address, DRAW_INDEX_LOSS, index, loss_threshold)
				       : chance(address, DRAW_LOSS + k, loss_threshold))) {
		s->lost++;
		return XDP_DROP;
	}
	again = duplicate_threshold && (indexed ? index_chance(address, DRAW_INDEX_DUPLICATE, index, duplicate_threshold)
						: chance(address, DRAW_DUPLICATE, duplicate_threshold));

	path = draw(address, DRAW_PATH);
	hops = distance(path);
	ttl = packet.ip->ttl ?: 1; /* none is sent with 0 */
	if (ttl <= hops)
		return expire(ctx, s, address, again << 8 | ttl);
	if (behaviours) {
		if (refuses(behaviour, address, k, packet.ip))
			return refuse(ctx, s, address, again << 16 | hops << 8 | ttl, behaviour);
		if (!answers(behaviour, type)) {
			s->unanswered++;
			return XDP_DROP;
		}
	}

	if (type == ICMP_ECHO_REQUEST && (capacity_interval || limiter_interval)) {
		switch (find_room(address, now)) {
		case ROOM:
			break;
		case ROOM_OVER_CAPACITY:
			s->over_capacity++;
			return XDP_DROP;
		default:
			s->over_limit++;
			return XDP_DROP;
		}
	}

	ttl = initial_ttl(path) - hops;
	if (type == ICMP_ECHO_REQUEST) {
		make_reply(eth, &packet, ICMP_ECHO_REPLY, ttl);
	} else {
		/* Such a reply has its own length, however long the request was. */
		__u32 excess = packet.length - length;

		make_reply(eth, &packet, type + 1, ttl);
		if (!answer_question(&packet, data_end, address)) {
			s->failed++;
			return XDP_DROP;
		}
		if (excess && !cut_message(&packet, length, data_end)) {
			s->failed++;
			return XDP_DROP;
		}
	}
	if (behaviours && behaviour == BEHAVIOUR_BROKEN) {
		spoil_reply(&packet, flaw_of(draw(address, DRAW_DETAIL)));
		s->broken++;
	} else {
		s->hosts_answered++;
	}
	return send(ctx, s, again);
}

char _license[] SEC("license") = "Dual BSD/GPL";
