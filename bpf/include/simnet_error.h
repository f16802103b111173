// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* Turns a probe into an error message about it. The probe stays where it is and
 * becomes the quote: what an error has more goes in front, into the headroom.
 * Room behind the frame is not counted on, since a veth device leaves none when
 * it copies a frame for its program. So where extension objects have to follow
 * the quote (RFC 4884), that moves forward. */

#ifndef XSWEEP_SIMNET_ERROR_H
#define XSWEEP_SIMNET_ERROR_H

#include "checksum.h"
#include "parse.h"
#include "simnet.h"

/* The most that is quoted: an error has at most 576 bytes (RFC 1812, section
 * 4.3.2.3), with all options there can be. */
#define QUOTE_MAX 508

/* With extension objects exactly so much is quoted, cut or padded with zeros:
 * the least that RFC 4884 allows, and what routers do. */
#define QUOTE_EXTENDED 128

/* Fewer options then, or the headroom would not do. */
#define OPTIONS_EXTENDED 3

struct simnet_error {
	__u64 habits;  /* DRAW_ROUTER */
	__u64 objects; /* DRAW_OBJECTS */
	__u32 word;    /* second word of the ICMP header; host byte order */
	__u8 type;
	__u8 code;
	__u8 ttl;        /* as it arrives */
	__u8 quoted_ttl;
	__u8 flaw; /* enum flaw */
	__u8 reserved[7];
};

/* A place to write words to. */
struct cursor {
	__u32 *at;
	void *end;
	__u64 sum; /* of what was written */
};

static __always_inline int put(struct cursor *c, __u32 host_order)
{
	__u32 value = bpf_htonl(host_order);

	barrier_var(c->at);
	if ((void *)(c->at + 1) > c->end)
		return 0;
	*c->at++ = value;
	c->sum += value;
	return 1;
}

/* RFC 4950, RFC 3032. */
static __always_inline int put_labels(struct cursor *c, __u32 labels, __u64 objects, __u32 lie)
{
	if (!put(c, (4 + 4 * labels + lie) << 16 | 1 << 8 | 1))
		return 0;
	for (__u32 i = 0; i < 3; i++) {
		__u64 d = mix(objects + i);

		if (i >= labels)
			break;
		if (!put(c, (d & 0xfffff) << 12 | (d >> 20 & 7) << 9 | (i == labels - 1) << 8 | (d >> 24 & 0xff)))
			return 0;
	}
	return 1;
}

/* Which sub-objects an interface information object has: index 8, address 4,
 * name 2, MTU 1 (RFC 5837, section 4.1). */
static __always_inline __u32 sub_objects(__u64 objects)
{
	return objects & 15 ?: 8;
}

static __always_inline __u32 interface_length(__u64 objects)
{
	__u32 has = sub_objects(objects);

	return 4 + (has >> 3) * 4 + (has >> 2 & 1) * 8 + (has >> 1 & 1) * 12 + (has & 1) * 4;
}

static __always_inline int put_interface(struct cursor *c, __u64 objects, __u32 lie)
{
	__u32 has = sub_objects(objects);
	__u32 role = objects >> OBJECT_ROLE & 3, kind = objects >> OBJECT_MTU & 3;
	__u32 mtu = kind == 0 ? 1500 : kind == 1 ? 4470 : kind == 2 ? 9000 : 9216;

	if (!put(c, (interface_length(objects) + lie) << 16 | 2 << 8 | role << 6 | has))
		return 0;
	if (has & 8 && !put(c, 1 + (objects >> OBJECT_INDEX & 0x3ff)))
		return 0;
	if (has & 4 && (!put(c, 1 << 16) || !put(c, INTERFACES | (objects >> OBJECT_ADDR & 0xff))))
		return 0;
	/* "ge-0/0/N", with its length, and padded to words */
	if (has & 2 && (!put(c, 12 << 24 | 'g' << 16 | 'e' << 8 | '-') || !put(c, '0' << 24 | '/' << 16 | '0' << 8 | '/') ||
			!put(c, ('0' + (objects >> OBJECT_NAME & 7)) << 24)))
		return 0;
	return !(has & 1) || put(c, mtu);
}

/* The words of n words of IP options (RFC 791, RFC 2113): router alert, alone or
 * behind no-operations, or record route with room for n - 1 addresses. */
static __always_inline __u32 option_word(__u32 i, __u32 n, __u64 habits)
{
	if (n <= 2)
		return i == n - 1 ? 0x94040000 : 0x01010101;
	if (i == 0)
		return 7 << 24 | (4 * n - 1) << 16 | 4 << 8;
	if (i == n - 1)
		return 0; /* the last address's end, and end of options */
	return habits >> 32;
}

/* Copies the whole words of the quote forward to where it belongs, and fills up
 * with zeros. */
static __always_inline int move_quote(struct xdp_md *ctx, __u32 to, __u32 extra, __u32 words)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	__u32 *destination, *source;

	barrier_var(to);
	destination = data + (to & 127);
	source = data + (to & 127) + (extra & 255);
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < QUOTE_EXTENDED / 4; i++) {
		__u32 value = 0;

		if (i < words) {
			barrier_var(source);
			if ((void *)(source + 1) > data_end)
				return 0;
			value = *source++;
		}
		barrier_var(destination);
		if ((void *)(destination + 1) > data_end)
			return 0;
		*destination++ = value;
	}
	return 1;
}

/* What is wrong with a quote. */
static __always_inline void spoil_quote(struct iphdr *ip, struct icmp_header *icmp, __u32 flaw)
{
	__u16 old;

	switch (flaw) {
	case FLAW_QUOTE_COOKIE:
		icmp->id_sequence = ~icmp->id_sequence;
		break;
	case FLAW_QUOTE_SOURCE:
		ip->check = checksum_update32(ip->check, ip->saddr, ~ip->saddr);
		ip->saddr = ~ip->saddr;
		break;
	case FLAW_QUOTE_PROTOCOL:
		old = ip->ttl | ip->protocol << 8;
		ip->protocol = IPPROTO_UDP;
		ip->check = checksum_update(ip->check, old, ip->ttl | ip->protocol << 8);
		break;
	}
}

/* The functions below that are global are so that the verifier walks through
 * each once, not once for each way to a call of it. */

/* Writes an extension structure behind the quote of an error with so many bytes
 * in front of it. */
__noinline int put_objects(struct xdp_md *ctx, const struct simnet_error *e, __u32 front, __u32 labels, __u32 interface)
{
	void *data = (void *)(long)ctx->data;
	__u16 *checksum;
	struct cursor c;
	__u32 lie;

	if (!e)
		return 0;
	lie = e->flaw == FLAW_OBJECTS_LENGTH ? FLAW_LENGTH : 0;
	c.at = data + (front & 127) + QUOTE_EXTENDED;
	c.end = (void *)(long)ctx->data_end;
	c.sum = 0;
	checksum = (void *)c.at + 2;
	if (!put(&c, 2 << 28) || (labels && !put_labels(&c, labels, e->objects, lie)) ||
	    (interface && !put_interface(&c, e->objects, labels ? 0 : lie)))
		return 0;
	barrier_var(checksum);
	if ((void *)(checksum + 1) > c.end)
		return 0;
	*checksum = ~checksum_fold(c.sum) ^ (e->flaw == FLAW_OBJECTS_CHECKSUM ? FLAW_BITS : 0);
	return 1;
}

/* The folded sum of an ICMP message of length bytes, behind options words of IP
 * options, or a negative number. */
__noinline int sum_message(struct xdp_md *ctx, __u32 options, __u32 length)
{
	void *ip = (void *)(long)ctx->data + sizeof(struct ethhdr);
	__u64 sum = 0;

	if (!checksum_bytes(ip, sizeof(struct iphdr) + 4 * (options & 15), (void *)(long)ctx->data_end, length & 1023, &sum))
		return -1;
	return checksum_fold(sum);
}

/* Makes the probe in the frame an error about it. Says whether that could be:
 * not in a frame with VLAN tags. */
__noinline int make_error(struct xdp_md *ctx, const struct simnet_error *e)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth), *quoted;
	struct icmp_header *icmp;
	struct cursor c;
	__u8 macs[2 * ETH_ALEN];
	__u32 header, quote, extension = 0, labels = 0, interface = 0, options, extra = 0, front, length;
	__u32 client, flaw;
	__u64 habits;
	__u16 old;
	int change, sum;

	if (!e || (void *)(ip + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP))
		return 0;
	habits = e->habits;
	flaw = e->flaw;
	__builtin_memcpy(macs, eth->h_dest, sizeof(macs));
	client = ip->saddr;
	header = ip->ihl * 4;
	length = bpf_ntohs(ip->tot_len);

	/* What is quoted, and what follows it. */
	quote = header + ((habits >> HABIT_QUOTE & 3) ? 28 : 8);
	if ((habits >> HABIT_QUOTE & 3) >= 2 || quote > length)
		quote = length;
	if (quote > QUOTE_MAX)
		quote = QUOTE_MAX;
	options = habits >> HABIT_OPTIONS & 7 ? 0 : 1 + ((habits >> HABIT_OPTION_WORDS & 15) * 10 >> 4);
	if (e->type == TYPE_UNREACHABLE || e->type == TYPE_TIME_EXCEEDED || e->type == TYPE_PARAMETER_PROBLEM) {
		__u32 attached = habits >> HABIT_OBJECTS & 7;

		if (flaw == FLAW_OBJECTS_CHECKSUM || flaw == FLAW_OBJECTS_LENGTH)
			attached |= 5;
		if (attached == 5 || attached == 7)
			labels = 1 + ((habits >> HABIT_LABELS & 3) * 3 >> 2);
		interface = attached >= 6;
	}
	if (flaw == FLAW_QUOTE_SHORT) {
		quote = header + 4;
		labels = interface = 0;
	}
	if (labels || interface) {
		extension = 4 + (labels ? 4 + 4 * labels : 0) + (interface ? interface_length(e->objects) : 0);
		if (quote > QUOTE_EXTENDED)
			quote = QUOTE_EXTENDED;
		options &= OPTIONS_EXTENDED;
		if (length < QUOTE_EXTENDED + extension)
			extra = QUOTE_EXTENDED + extension - length;
	}

	front = sizeof(*ip) + 4 * options + sizeof(*icmp);
	if (bpf_xdp_adjust_head(ctx, -(int)(front + extra)))
		return 0;
	length = extension ? QUOTE_EXTENDED + extension : quote; /* behind the ICMP header */
	if (extension && !move_quote(ctx, sizeof(*eth) + front, extra, quote >> 2))
		return 0;
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	change = (int)(sizeof(*eth) + front + length) - (int)(data_end - data);
	if (change && bpf_xdp_adjust_tail(ctx, change))
		return 0;

	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	eth = data;
	ip = data + sizeof(*eth);
	if ((void *)(ip + 1) > data_end)
		return 0;
	__builtin_memcpy(eth->h_dest, macs + ETH_ALEN, ETH_ALEN);
	__builtin_memcpy(eth->h_source, macs, ETH_ALEN);
	eth->h_proto = bpf_htons(ETH_P_IP);

	c.at = (void *)ip;
	c.end = data_end;
	c.sum = 0;
	if (!put(&c, (0x45 + options) << 24 | (front + length + (flaw == FLAW_ERROR_LENGTH ? FLAW_LENGTH : 0))) ||
	    !put(&c, habits << 16) || /* identification; no fragment */
	    !put(&c, e->ttl << 24 | IPPROTO_ICMP << 16) || !put(&c, ROUTERS | router_octet(habits)) ||
	    !put(&c, bpf_ntohl(client)))
		return 0;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 10; i++) {
		if (i >= options)
			break;
		if (!put(&c, option_word(i, options, habits)))
			return 0;
	}
	ip->check = ~checksum_fold(c.sum) ^ (flaw == FLAW_ERROR_HEADER ? FLAW_BITS : 0);

	barrier_var(options);
	icmp = data + sizeof(*eth) + sizeof(*ip) + (options & 15) * 4;
	quoted = (void *)(icmp + 1);
	if ((void *)(quoted + 1) > data_end)
		return 0;
	icmp->type = e->type;
	icmp->code = e->code;
	icmp->checksum = 0;
	icmp->id_sequence = bpf_htonl(e->word | (extension ? QUOTE_EXTENDED / 4 << 16 : 0));

	old = quoted->ttl | quoted->protocol << 8;
	quoted->ttl = e->quoted_ttl;
	quoted->check = checksum_update(quoted->check, old, quoted->ttl | quoted->protocol << 8);
	if (flaw >= FLAW_QUOTE_COOKIE && flaw <= FLAW_QUOTE_PROTOCOL) {
		struct icmp_header *probe = (void *)quoted + (header & 60);

		barrier_var(probe);
		if ((void *)(probe + 1) > data_end)
			return 0;
		spoil_quote(quoted, probe, flaw);
	}

	if (extension && !put_objects(ctx, e, sizeof(*eth) + front, labels, interface))
		return 0;

	sum = sum_message(ctx, options, sizeof(*icmp) + length);
	if (sum < 0)
		return 0;
	/* The calls have taken the verifier's knowledge of the frame away. */
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	icmp = data + sizeof(*eth) + sizeof(*ip) + (options & 15) * 4;
	if ((void *)(icmp + 1) > data_end)
		return 0;
	icmp->checksum = ~sum ^ (flaw == FLAW_ERROR_CHECKSUM ? FLAW_BITS : 0);
	return 1;
}

#endif
