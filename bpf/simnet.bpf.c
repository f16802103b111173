// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/* The lab's simulated network: sits in native XDP mode on the far end of a
 * veth pair and answers ICMP echo requests for any IPv4 destination, or counts
 * and drops them. What is not an echo request passes.
 *
 * Everything a host does follows from draw(seed, address, number) below, so
 * the truth about any address is known without asking. internal/lab/host.go
 * has the same function in Go, and a test compares the two. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "parse.h"

/* Set by internal/lab/simnet.go before the program is loaded. A threshold is
 * a probability times 2^32: 0 is never, 2^32 is always. */
const volatile __u64 seed;
const volatile __u64 live_threshold;
const volatile __u64 loss_threshold;
const volatile __u64 duplicate_threshold;
const volatile __u64 meter_rate; /* echo requests per second that the meter holds arrivals against; 0: no meter */
const volatile __u8 sink;        /* answer nothing */

/* What the draws of an address decide. The k-th probe of an address, counted
 * from 0 in the order of arrival, is lost by draw DRAW_LOSS + k. */
enum draw_number {
	DRAW_LIVE,
	DRAW_PATH, /* initial TTL and distance */
	DRAW_DUPLICATE,
	DRAW_LOSS = 16,
};

/* One of these a CPU. Each frame is in seen and in exactly one of passed,
 * malformed and echo_requests; each echo request in exactly one of sunk,
 * silent, lost and hosts_answered; and answered = hosts_answered + duplicated. */
struct simnet_stats {
	__u64 seen;           /* frames that entered */
	__u64 passed;         /* no IPv4 echo request, or a fragment of one: left to the stack */
	__u64 malformed;      /* ICMP with lengths that lie: left to the stack */
	__u64 echo_requests;
	__u64 sunk;           /* dropped by the sink */
	__u64 silent;         /* nobody lives there */
	__u64 lost;           /* for a live host, but lost on the way */
	__u64 hosts_answered; /* requests that got their answer */
	__u64 answered;       /* reply frames handed to the device */
	__u64 duplicated;     /* of these, second copies */
	__u64 state_full;     /* requests with no room for their count: judged as the first of their address */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct simnet_stats);
} stats SEC(".maps");

/* How many probes have arrived for an address (host byte order). User space
 * shrinks it to one entry where nothing is ever lost. */
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

/* The finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable
 * Pseudorandom Number Generators, 2014): a bijection whose output bits each
 * depend on every input bit. */
static __always_inline __u64 mix(__u64 x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* A 64-bit random number for each seed, address (host byte order) and draw.
 * The seed is mixed and then met by address and number in separate halves of
 * one word, so that neighbouring seeds and addresses have nothing in common.
 * The added constant keeps seed 0 from being a fixed point. */
static __always_inline __u64 draw(__u32 address, __u32 number)
{
	return mix(mix(seed + 0x9e3779b97f4a7c15ULL) ^ ((__u64)address << 32 | number));
}

/* Says whether a draw falls below a threshold. Only the high half takes part,
 * so that thresholds of 0 and 2^32 are never and always. */
static __always_inline int chance(__u32 address, __u32 number, __u64 threshold)
{
	return draw(address, number) >> 32 < threshold;
}

/* TTL with which the host's replies arrive. Initial values as operating
 * systems have them: 64 in 70 of 100, 128 in 18, 255 in 10, 32 in 2. From it
 * goes the distance, 0 to 24 hops, the sum of two even draws of 0 to 12. */
static __always_inline __u8 reply_ttl(__u32 address)
{
	__u64 d = draw(address, DRAW_PATH);
	__u32 percent = (d >> 32) * 100 >> 32;
	__u32 hops = ((d & 0xffff) * 13 >> 16) + ((d >> 16 & 0xffff) * 13 >> 16);

	if (percent < 70)
		return 64 - hops;
	if (percent < 88)
		return 128 - hops;
	if (percent < 98)
		return 255 - hops;
	return 32 - hops;
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

/* RFC 1624, equation 3: the checksum after one 16-bit word has changed. Bytes
 * may be in either order, if only in the same one everywhere. */
static __always_inline __u16 checksum_update(__u16 checksum, __u16 old, __u16 new)
{
	__u32 sum = (__u16)~checksum + (__u16)~old + (__u32)new;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline void make_reply(struct ethhdr *eth, const struct icmp_packet *packet, __u8 ttl)
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
	new = ICMP_ECHO_REPLY | icmp->code << 8;
	icmp->type = ICMP_ECHO_REPLY;
	icmp->checksum = checksum_update(icmp->checksum, old, new);
}

SEC("xdp")
int xsweep_simnet(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct icmp_packet packet = {};
	struct ethhdr *eth = data;
	void *p = data;
	struct simnet_stats *s;
	enum parse_result parsed;
	__u32 zero = 0, address;

	s = bpf_map_lookup_elem(&stats, &zero);
	if (!s)
		return XDP_ABORTED;
	s->seen++;

	parsed = parse_ethernet(&p, data_end);
	if (parsed == PARSE_ICMP)
		parsed = find_icmp(p, data_end, &packet);
	if (parsed == PARSE_MALFORMED) {
		s->malformed++;
		return XDP_PASS;
	}
	if (parsed != PARSE_ICMP || packet.icmp->type != ICMP_ECHO_REQUEST || (void *)(eth + 1) > data_end) {
		s->passed++;
		return XDP_PASS;
	}

	s->echo_requests++;
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
	if (loss_threshold && chance(address, DRAW_LOSS + count_arrival(address, s), loss_threshold)) {
		s->lost++;
		return XDP_DROP;
	}

	make_reply(eth, &packet, reply_ttl(address));
	s->hosts_answered++;
	/* Not XDP_TX: that reaches the other end only if a native program sits
	 * there, while a redirected frame needs no more than NAPI (GRO on). */
	if (chance(address, DRAW_DUPLICATE, duplicate_threshold)) {
		s->duplicated++;
		s->answered += 2;
		return bpf_redirect_map(&twice, 0, BPF_F_BROADCAST);
	}
	s->answered++;
	return bpf_redirect(ctx->ingress_ifindex, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
