// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/* A hop between sender and responder that notes when a probe goes out and
 * when its reply comes back, independently of both. One program at each of its
 * devices; each sends on through the other device what arrives. There are two
 * pairs of them: hop_out and hop_back tell probes apart by their target, as a
 * sweep does, and each_out and each_back by the index in their payload, as a
 * benchmark does. */

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ICMP_ECHO_REPLY 0
#define ICMP_ECHO_REQUEST 8

/* HOP_TARGETS of internal/bench/hop.go: those of a /16. */
#define HOP_TARGETS 65536

/* HOP_PROBES of internal/bench/hopprobes.go. A power of two, so that a mask
 * bounds an index. */
#define HOP_PROBES (1 << 17)

/* Interface indexes of the hop's devices. */
const volatile int to_sender;
const volatile int to_responder;

/* CLOCK_MONOTONIC in ns; 0: not seen. A later packet of the same target
 * overwrites: the user sends one probe a target. */
struct passage {
	__u64 out_ns;
	__u64 back_ns;
};

/* By the last 16 bits of the target. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HOP_TARGETS);
	__type(key, __u32);
	__type(value, struct passage);
} passages SEC(".maps");

/* One probe of a benchmark. Times are CLOCK_MONOTONIC in ns; 0: not seen. */
struct probe_passage {
	__u64 index_attempt; /* of the payload */
	__u64 sent_ns;       /* of the payload: when the sender says that it sent it */
	__u64 out_ns;
	__u64 back_ns;       /* of the first reply */
};

/* By the last bits of the index: the user sends fewer probes than there are
 * entries before it looks. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HOP_PROBES);
	__type(key, __u32);
	__type(value, struct probe_passage);
} probes SEC(".maps");

struct echo_frame {
	struct ethhdr eth;
	struct iphdr ip;
	__u8 type;
} __attribute__((packed));

/* The start of an echo with the payload of docs/wire-format.md, little-endian as
 * all machines are that this is for. */
struct probe_frame {
	struct ethhdr eth;
	struct iphdr ip;
	__u8 icmp[8];
	__u64 sent_ns;
	__u64 index_attempt; /* the attempt is its last byte */
} __attribute__((packed));

#define ATTEMPT_BITS 8

/* The lab's packets alone: no VLAN tags, no IP options. */
static __always_inline struct echo_frame *echo(struct xdp_md *ctx, __u8 type)
{
	struct echo_frame *f = (void *)(long)ctx->data;

	if ((void *)(f + 1) > (void *)(long)ctx->data_end || f->eth.h_proto != bpf_htons(ETH_P_IP) ||
	    f->ip.version != 4 || f->ip.ihl != 5 || f->ip.protocol != IPPROTO_ICMP || f->type != type)
		return NULL;
	return f;
}

static __always_inline struct passage *passage_of(__u32 target)
{
	__u32 key = bpf_ntohl(target) & (HOP_TARGETS - 1);

	return bpf_map_lookup_elem(&passages, &key);
}

/* On the way out the clock is read last, on the way back first: what the
 * program itself takes is not in the difference. */
SEC("xdp")
int hop_out(struct xdp_md *ctx)
{
	struct echo_frame *f = echo(ctx, ICMP_ECHO_REQUEST);
	struct passage *p;

	if (f) {
		p = passage_of(f->ip.daddr);
		if (p) {
			p->back_ns = 0;
			p->out_ns = bpf_ktime_get_ns();
		}
	}
	return bpf_redirect(to_responder, 0);
}

SEC("xdp")
int hop_back(struct xdp_md *ctx)
{
	__u64 now = bpf_ktime_get_ns();
	struct echo_frame *f = echo(ctx, ICMP_ECHO_REPLY);
	struct passage *p;

	if (f) {
		p = passage_of(f->ip.saddr);
		if (p)
			p->back_ns = now;
	}
	return bpf_redirect(to_sender, 0);
}

static __always_inline struct probe_passage *probe_of(__u64 index_attempt)
{
	__u32 key = index_attempt >> ATTEMPT_BITS & (HOP_PROBES - 1);

	return bpf_map_lookup_elem(&probes, &key);
}

static __always_inline struct probe_frame *probe(struct xdp_md *ctx, __u8 type)
{
	struct probe_frame *f = (void *)echo(ctx, type);

	if (!f || (void *)(f + 1) > (void *)(long)ctx->data_end)
		return NULL;
	return f;
}

SEC("xdp")
int each_out(struct xdp_md *ctx)
{
	struct probe_frame *f = probe(ctx, ICMP_ECHO_REQUEST);
	struct probe_passage *p;

	if (f) {
		p = probe_of(f->index_attempt);
		if (p) {
			p->index_attempt = f->index_attempt;
			p->sent_ns = f->sent_ns;
			p->back_ns = 0;
			p->out_ns = bpf_ktime_get_ns();
		}
	}
	return bpf_redirect(to_responder, 0);
}

SEC("xdp")
int each_back(struct xdp_md *ctx)
{
	__u64 now = bpf_ktime_get_ns();
	struct probe_frame *f = probe(ctx, ICMP_ECHO_REPLY);
	struct probe_passage *p;

	if (f) {
		p = probe_of(f->index_attempt);
		if (p && p->index_attempt == f->index_attempt && !p->back_ns)
			p->back_ns = now;
	}
	return bpf_redirect(to_sender, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
