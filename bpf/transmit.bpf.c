// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/* The transmitter in the kernel. BPF_PROG_RUN with live frames runs it again
 * and again over frames from a pool (kernel, Documentation/bpf/
 * bpf_prog_run.rst): each time it takes the next probe from its ring, if one
 * is there and due, makes the frame that probe and sends it to the device;
 * otherwise it drops the frame, which goes back to the pool as it is. A frame
 * keeps what was last written to it, by whomever: through a veth pair the other
 * end answers in the same memory. So all is written each time but the pattern
 * behind the tag.
 *
 * That a frame was sent is not reported to the caller. Two tracing programs
 * count what the kernel says of each bulk of frames. */

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>

#include "checksum.h"
#include "cookie.h"
#include "parse.h"
#include "transmit_abi.h"

/* Ethernet and IP header, ICMP type and code: 36 bytes. */
#define HEADER_WORDS 9

/* Set by loader/transmit.go before the program is loaded. */
const volatile struct siphash_key key;
const volatile int device;     /* interface index */
const volatile __u32 netns;    /* inode of the network namespace that it is in */
const volatile __u32 source;   /* network byte order */
const volatile __u32 header[HEADER_WORDS]; /* of every probe, up to the ICMP code */
const volatile __u64 ip_sum;   /* sums of the words that all probes share */
const volatile __u64 icmp_sum;

/* Never read: puts the type into BTF, where bpf2go finds it. */
const volatile struct probe_descriptor abi_descriptor;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct probe_ring);
} rings SEC(".maps"); /* by CPU: each sending thread has one of its own */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct transmit_counters);
} sent SEC(".maps");

/* What a schedule that lags loses is a stall: it is not caught up with. */
#define STALL_AFTER (1000000ULL << 8)

struct probe_frame {
	struct ethhdr eth;
	struct iphdr ip;
	struct icmp_header icmp;
	struct probe_payload payload;
} __attribute__((packed));

/* Whether a frame may leave now. */
static __always_inline int is_due(struct probe_ring *r, __u64 now)
{
	__u64 time = (now - r->epoch_ns) << 8, late;

	if (!r->interval)
		return 1;
	if (time < r->due)
		return 0;
	late = time - r->due;
	if (late > STALL_AFTER || late > r->slack) {
		if (r->excused == r->idle)
			r->stalls++;
		r->due = late > STALL_AFTER ? time : time - r->slack;
	}
	r->excused = r->idle;
	r->due += r->interval;
	return 1;
}

static __always_inline void build(struct probe_frame *f, const struct probe_descriptor *p, __u64 now)
{
	__u64 k0 = key.k0, k1 = key.k1, index_attempt = p->index_attempt, sum;
	__u32 target = p->target, cookie, tag;
	__u16 id = (__u16)(index_attempt >> PROBE_ATTEMPT_BITS);

	for (int i = 0; i < HEADER_WORDS; i++)
		((__u32 *)f)[i] = header[i];
	f->ip.id = id;
	f->ip.ttl = p->hop_limit;
	f->ip.daddr = target;
	f->ip.check = ~checksum_fold(ip_sum + id + p->hop_limit + target);

	cookie = cookie_v4(k0, k1, source, target);
	tag = probe_tag(k0, k1, now, index_attempt);
	f->icmp.id_sequence = cookie;
	f->payload.sent_ns = now;
	f->payload.index_attempt = index_attempt;
	f->payload.tag = tag;
	sum = icmp_sum + cookie + (now & 0xffffffff) + (now >> 32) + (index_attempt & 0xffffffff) +
	      (index_attempt >> 32) + tag;
	f->icmp.checksum = ~checksum_fold(sum);
}

SEC("xdp")
int xsweep_transmit(struct xdp_md *ctx)
{
	void *data_end = (void *)(long)ctx->data_end;
	struct probe_frame *f = (void *)(long)ctx->data;
	struct probe_ring *r;
	__u64 now, n;
	__u32 cpu = bpf_get_smp_processor_id();

	r = bpf_map_lookup_elem(&rings, &cpu);
	if (!r || (void *)(f + 1) > data_end)
		return XDP_ABORTED;
	n = r->consumed;
	if (n == r->known) {
		/* The atomic orders the slots' reads behind it on any machine. */
		r->known = __sync_fetch_and_add(&r->produced, 0);
		if (n == r->known)
			return XDP_DROP;
	}
	if (*(volatile __u64 *)&r->stopped)
		return XDP_DROP;
	now = bpf_ktime_get_ns();
	if (!is_due(r, now))
		return XDP_DROP;
	build(f, &r->probes[n & (PROBE_RING_SIZE - 1)], now);
	*(volatile __u64 *)&r->consumed = n + 1;
	return bpf_redirect(device, 0);
}

/* The few fields of the kernel's structs that are looked at. */
struct ns_common {
	unsigned int inum;
} __attribute__((preserve_access_index));

struct net {
	struct ns_common ns;
} __attribute__((preserve_access_index));

typedef struct {
	struct net *net;
} __attribute__((preserve_access_index)) possible_net_t;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
} __attribute__((preserve_access_index));

/* Live frames come from the loopback device of the caller's namespace
 * (bpf_prog_test_run_xdp). */
#define LOOPBACK_IFINDEX 1

static __always_inline struct transmit_counters *counters_of(const struct net_device *from, int to)
{
	__u32 zero = 0;

	if (to != device || from->ifindex != LOOPBACK_IFINDEX || from->nd_net.net->ns.inum != netns)
		return NULL;
	return bpf_map_lookup_elem(&sent, &zero);
}

/* A driver whose ring is full takes fewer frames than it is given and says no
 * more: that is what ENOBUFS means. */
#define ENOBUFS 105

static __always_inline void refuse(struct transmit_counters *c, int err, int frames)
{
	c->refused[(err ? -err : ENOBUFS) & 255] += frames;
}

/* xdp_devmap_xmit: a bulk of frames was given to the device's driver. */
SEC("tp_btf/xdp_devmap_xmit")
int count_xmit(__u64 *args)
{
	const struct net_device *from = (void *)args[0], *to = (void *)args[1];
	int accepted = args[2], drops = args[3], err = args[4];
	struct transmit_counters *c = counters_of(from, to->ifindex);

	if (!c)
		return 0;
	if (accepted > 0)
		c->accepted += accepted;
	if (drops > 0)
		refuse(c, err, drops);
	return 0;
}

/* xdp_redirect_err: a frame did not even get into a bulk. */
SEC("tp_btf/xdp_redirect_err")
int count_redirect_err(__u64 *args)
{
	const struct net_device *from = (void *)args[0];
	int err = args[3], to = args[6];
	struct transmit_counters *c = counters_of(from, to);

	if (c)
		refuse(c, err, 1);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
