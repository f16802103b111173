// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* What hosts and routers of the simulated network are like: the random numbers
 * that decide it, and how each is read. internal/lab/host.go and answer.go say
 * the same in Go. */

#ifndef XSWEEP_SIMNET_H
#define XSWEEP_SIMNET_H

#include <linux/types.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>

/* RFC 792, RFC 950. */
#define TYPE_UNREACHABLE 3
#define TYPE_SOURCE_QUENCH 4
#define TYPE_REDIRECT 5
#define TYPE_TIME_EXCEEDED 11
#define TYPE_PARAMETER_PROBLEM 12
#define TYPE_TIMESTAMP_REQUEST 13
#define TYPE_MASK_REQUEST 17
#define TYPE_MASK_REPLY 18
#define CODE_FRAGMENTATION_NEEDED 4

/* Bytes of ICMP message. */
#define TIMESTAMP_LENGTH 20
#define MASK_LENGTH 12

#define IP_DONT_FRAGMENT 0x4000

/* Where index and attempt of a probe end, in bytes of ICMP message. */
#define INDEX_END 24

/* EtherTypes of answers on their way to user space, which sends them once or
 * twice: those for local experiments (IEEE 802). */
#define HOLD_ONCE 0x88b5
#define HOLD_TWICE 0x88b6

/* What the draws of an address decide. The k-th probe of an address, counted
 * from 0 in the order of arrival, is lost by draw DRAW_LOSS + k. Routers stand
 * on the way to an address, at hops counted from 1. */
enum draw_number {
	DRAW_LIVE,
	DRAW_PATH, /* initial TTL and distance */
	DRAW_DUPLICATE,
	DRAW_BEHAVIOUR,
	DRAW_DETAIL, /* of the errors about an address */
	DRAW_CLOCK,
	DRAW_MASK,
	DRAW_INDEX_LOSS, /* mixed with the index of a probe; so the next */
	DRAW_INDEX_DUPLICATE,
	DRAW_LOSS = 16,
	DRAW_ROUTER = 1U << 31,  /* + hop: who it is, and its habits */
	DRAW_OBJECTS = 3U << 30, /* + hop: what it attaches to errors */
};

/* How hosts behave; internal/lab/behaviour.go names them. */
enum behaviour {
	BEHAVIOUR_HOST,      /* answers every kind of request */
	BEHAVIOUR_ECHO,      /* only this kind; and so the next two */
	BEHAVIOUR_TIMESTAMP,
	BEHAVIOUR_MASK,
	BEHAVIOUR_SILENT,
	BEHAVIOUR_UNREACHABLE,
	BEHAVIOUR_REDIRECT,      /* an error about the first probe, then as host */
	BEHAVIOUR_SOURCE_QUENCH, /* the same */
	BEHAVIOUR_PARAMETER_PROBLEM,
	BEHAVIOUR_MTU,       /* an error about probes that are too big, else as host */
	BEHAVIOUR_BROKEN,    /* answers with a flaw */
	BEHAVIOUR_COUNT,
};

/* What is wrong with a broken host's answers: its own, or errors about it. */
enum flaw {
	FLAW_REPLY_CHECKSUM,
	FLAW_REPLY_HEADER,   /* its checksum */
	FLAW_REPLY_LENGTH,   /* longer than the frame */
	FLAW_REPLY_COOKIE,   /* identifier and sequence number are others */
	FLAW_REPLY_CODE,     /* not 0 */
	FLAW_ERROR_CHECKSUM,
	FLAW_ERROR_HEADER,
	FLAW_ERROR_LENGTH,
	FLAW_QUOTE_SHORT,    /* four bytes of ICMP */
	FLAW_QUOTE_COOKIE,
	FLAW_QUOTE_SOURCE,   /* another sender's probe */
	FLAW_QUOTE_PROTOCOL, /* not ICMP */
	FLAW_OBJECTS_CHECKSUM, /* of a valid error */
	FLAW_OBJECTS_LENGTH,   /* the same: the first object is longer than all there is */
	FLAW_COUNT,
	FLAW_NONE = FLAW_COUNT,
};

#define FLAW_FIRST_OF_ERRORS FLAW_ERROR_CHECKSUM
#define FLAW_BITS 0x0101  /* that are wrong in a wrong checksum */
#define FLAW_LENGTH 1000  /* bytes that a lying length is too long by */

/* Where values stand in DRAW_DETAIL: the code of an unreachable in the lowest
 * four bits, then these. */
#define DETAIL_MTU 4       /* 8 bits */
#define DETAIL_REDIRECT 12 /* 2 bits: its code */
#define DETAIL_GATEWAY 14  /* 8 bits */
#define DETAIL_PROBLEM 22  /* 8 bits: its code */
#define DETAIL_POINTER 30  /* 8 bits */
#define DETAIL_FLAW 38     /* 16 bits */

/* Where values stand in DRAW_ROUTER: the last octet of its address in the
 * lowest eight bits, then these. */
#define HABIT_TTL 8           /* 1 bit: initial TTL 255, else 64 */
#define HABIT_CODE 9          /* 6 bits: all clear for code 1 of time exceeded */
#define HABIT_QUOTE 15        /* 2 bits: 0 quotes 8 bytes of ICMP, 1 quotes 28, else all */
#define HABIT_OPTIONS 17      /* 3 bits: all clear for options in its IP header */
#define HABIT_OPTION_WORDS 20 /* 4 bits */
#define HABIT_OBJECTS 24      /* 3 bits: 5 attaches labels, 6 an interface, 7 both */
#define HABIT_LABELS 27       /* 2 bits */

/* Where values stand in DRAW_OBJECTS: which of index, address, name and MTU of
 * an interface are told in the lowest four bits, as in a C-type of RFC 5837, and
 * then these. */
#define OBJECT_ROLE 4   /* 2 bits */
#define OBJECT_INDEX 6  /* 10 bits */
#define OBJECT_ADDR 16  /* 8 bits */
#define OBJECT_NAME 24  /* 3 bits */
#define OBJECT_MTU 27   /* 2 bits */

#define ROUTERS 0xcb007100U    /* 203.0.113.0/24 (RFC 5737) */
#define INTERFACES 0xc6336400U /* 198.51.100.0/24, the same */

#define DAY_MS 86400000U

/* The finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable
 * Pseudorandom Number Generators, 2014): a bijection whose output bits each
 * depend on every input bit. */
static __always_inline __u64 mix(__u64 x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* The last octet of a router's address, 1 to 254. */
static __always_inline __u32 router_octet(__u64 d)
{
	return 1 + ((d & 0xff) * 254 >> 8);
}

static __always_inline __u32 path_mtu(__u64 detail)
{
	switch ((detail >> DETAIL_MTU & 0xff) * 5 >> 8) {
	case 0:
		return 296; /* RFC 1191, table 7-1 */
	case 1:
		return 576;
	case 2:
		return 1006;
	case 3:
		return 1280;
	default:
		return 1400;
	}
}

static __always_inline enum flaw flaw_of(__u64 detail)
{
	return (detail >> DETAIL_FLAW & 0xffff) * FLAW_COUNT >> 16;
}

/* The address mask of a host's network: /8 to /30. */
static __always_inline __u32 mask_of(__u64 d)
{
	return ~0U << (32 - (8 + (__u32)((d >> 32) * 23 >> 32)));
}

/* What a host's clock shows, in milliseconds since midnight UT, when the
 * sender's shows originate. 11 of 16 are right, 2 are up to a second wrong, 2 up
 * to six hours, and 1 does not count from midnight, which it says by the high
 * bit (RFC 792). */
static __always_inline __u32 clock_of(__u64 d, __u32 originate)
{
	__u32 now = originate % DAY_MS, wrong = 0;

	switch (d >> 60) {
	case 11:
	case 12:
		wrong = DAY_MS - 1000 + ((d & 0xffff) * 2000 >> 16);
		break;
	case 13:
	case 14:
		wrong = DAY_MS - 21600000 + ((d & 0xffffffff) * 43200000 >> 32);
		break;
	case 15:
		return 1U << 31 | (now + (__u32)d);
	}
	return (now + wrong) % DAY_MS;
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

static __always_inline __u16 checksum_update32(__u16 checksum, __u32 old, __u32 new)
{
	return checksum_update(checksum_update(checksum, old, new), old >> 16, new >> 16);
}

#endif
