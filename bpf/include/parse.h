// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* From the first byte of a frame to its ICMP message. Every read stands
 * behind a bounds check; every way to fail has a name. */

#ifndef XSWEEP_PARSE_H
#define XSWEEP_PARSE_H

#include <linux/types.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>

#include "checksum.h"

#define MAX_VLAN_TAGS 2

#define IP_FRAGMENT_MASK 0x3fff /* more fragments, or an offset */
#define IP_OFFSET_MASK 0x1fff

/* What "don't fragment" looks like where a router quotes the field in the byte
 * order of its own, as systems of BSD's line did: as it stands in the packet. */
#define IP_SWAPPED_DF 0x4000

/* RFC 792, RFC 950. (linux/icmp.h draws in the C library's socket headers.) */
#define ICMP_ECHO_REPLY 0
#define ICMP_UNREACHABLE 3
#define ICMP_SOURCE_QUENCH 4
#define ICMP_REDIRECT 5
#define ICMP_ECHO_REQUEST 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER_PROBLEM 12
#define ICMP_TIMESTAMP 13
#define ICMP_TIMESTAMP_REPLY 14
#define ICMP_MASK_REQUEST 17
#define ICMP_MASK_REPLY 18

/* What a probe asks. */
enum probe_kind {
	PROBE_ECHO,
	PROBE_TIMESTAMP,
	PROBE_MASK,
	PROBE_KINDS,
};

struct icmp_header {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__u32 id_sequence; /* the cookie's place */
};

/* What a timestamp message has behind its header: milliseconds since midnight
 * UT, network byte order (RFC 792). */
struct icmp_timestamps {
	__be32 originate, receive, transmit;
};

#define DAY_MS 86400000U

/* CLOCK_MONOTONIC, with what is to be added for nanoseconds since a midnight
 * UT, as milliseconds since the last one. */
static __always_inline __u32 milliseconds_ut(__u64 now_ns, __u64 ut_offset)
{
	return (now_ns + ut_offset) / 1000000 % DAY_MS;
}

struct vlan_tag {
	__be16 tci;
	__be16 protocol;
};

enum parse_result {
	PARSE_ICMP,
	PARSE_OTHER,
	PARSE_MALFORMED,
	PARSE_CHECKSUM,
	PARSE_FRAGMENT,
};

/* An ICMP message inside an IPv4 packet; the ICMP header is in bounds. */
struct icmp_packet {
	struct iphdr *ip;
	struct icmp_header *icmp;
	__u32 header; /* bytes of IP header: where the message starts */
	__u32 length; /* bytes of ICMP message, header included */
};

/* Finds the network header behind Ethernet and up to two VLAN tags
 * (IEEE 802.1Q, 802.1ad). */
static __always_inline enum parse_result parse_ethernet(void **p, void *data_end)
{
	struct ethhdr *eth = *p;
	__be16 protocol;

	if ((void *)(eth + 1) > data_end)
		return PARSE_OTHER;
	protocol = eth->h_proto;
	*p = eth + 1;
#pragma unroll
	for (int i = 0; i < MAX_VLAN_TAGS; i++) {
		struct vlan_tag *tag = *p;

		if (protocol != bpf_htons(ETH_P_8021Q) && protocol != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > data_end)
			return PARSE_OTHER;
		protocol = tag->protocol;
		*p = tag + 1;
	}
	return protocol == bpf_htons(ETH_P_IP) ? PARSE_ICMP : PARSE_OTHER;
}

/* RFC 791 section 3.1, RFC 792. Bytes behind the total length (Ethernet
 * padding) are ignored. The protocol is looked at before anything else is
 * judged, so that only ICMP can be malformed. */
static __always_inline enum parse_result parse_icmp(void *p, void *data_end, struct icmp_packet *packet)
{
	struct iphdr *ip = p;
	__u32 header, total, *w = p;
	__u64 sum;

	if ((void *)(ip + 1) > data_end)
		return PARSE_MALFORMED;
	if (ip->version != 4)
		return PARSE_OTHER;
	if (ip->protocol != IPPROTO_ICMP)
		return PARSE_OTHER;
	header = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	if (header < sizeof(*ip) || total < header + sizeof(struct icmp_header))
		return PARSE_MALFORMED;
	packet->ip = ip;
	packet->icmp = p + header;
	packet->header = header;
	packet->length = total - header;
	if ((void *)(packet->icmp + 1) > data_end)
		return PARSE_MALFORMED;
	sum = (__u64)w[0] + w[1] + w[2] + w[3] + w[4];
	if (!checksum_options(ip + 1, data_end, (header >> 2) - 5, &sum))
		return PARSE_MALFORMED;
	if (checksum_fold(sum) != 0xffff)
		return PARSE_CHECKSUM;
	if (ip->frag_off & bpf_htons(IP_FRAGMENT_MASK))
		return PARSE_FRAGMENT;
	return PARSE_ICMP;
}

#endif
