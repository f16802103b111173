// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/* The transmitter in the kernel. BPF_PROG_RUN with live frames runs it again
 * and again over frames from a pool (kernel, Documentation/bpf/
 * bpf_prog_run.rst): each time it takes the next probe from its ring, if one
 * is there and due, makes the frame that probe and sends it to the device;
 * otherwise it drops the frame, which goes back to the pool as it is. A frame
 * keeps what was last written to it, by whomever: through a veth pair the other
 * end answers in the same memory. So all is written each time.
 *
 * That a frame was sent is not reported to the caller. Two tracing programs
 * count what the kernel says of each bulk of frames, and bring back the probes
 * that the device had no room for. All three run on the sending thread's CPU,
 * one after the other, so that nothing between them needs a lock. */

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>

#include "checksum.h"
#include "cookie.h"
#include "parse.h"
#include "transmit_abi.h"

/* Set by loader/transmit.go before the program is loaded. */
const volatile struct siphash_key key;
const volatile int device;     /* interface index */
const volatile __u32 netns;    /* inode of the network namespace that it is in */
const volatile struct probe_flow flows[FLOWS_MAX]; /* the first one's source is in the shapes */
const volatile __u32 flow_count;
const volatile __u32 kinds;    /* of probes, one bit each */
const volatile struct probe_shape shapes[PROBE_KINDS + 1]; /* one more, so that a mask bounds it */
const volatile __u8 tagged;    /* echo requests have room for the payload */
const volatile __u32 pattern_length; /* of what echo requests have behind the payload, in bytes */
const volatile __u8 pattern[PATTERN_MAX];
const volatile __u32 length;   /* of the frames that come from the pool, in bytes */
const volatile __u64 ut_offset; /* what makes CLOCK_MONOTONIC nanoseconds since a midnight UT */
const volatile __u8 traced;    /* the tracing programs below run */
const volatile __u8 same_target; /* many probes in a row go to one target from one source */

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

/* The device, by its interface index: a frame finds it here faster than by the
 * index alone, and the tracepoints name both ways alike. It is gone from here
 * when it is gone. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} devices SEC(".maps");

/* What a schedule that lags loses is a stall: it is not caught up with. */
#define STALL_AFTER (1000000ULL << 8)

struct probe_frame {
	struct ethhdr eth;
	struct iphdr ip;
	struct icmp_header icmp;
	struct probe_payload payload; /* or whatever data a probe has */
} __attribute__((packed));

/* Writes a field of a packed struct at once. The compiler would write bytes,
 * for machines that can do no better; those that run this program's kernels can
 * (CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS), or its verifier refuses it. */
#define put(type, field, value) (*(volatile type *)(void *)&(field) = (value))

/* What a device without room is given, as sendmmsg's transmitter does: 20 us,
 * then twice that and so on up to 1 ms, some 50 ms in all. Once a probe was
 * refused for good, those behind it get some 1 ms until one goes through: a
 * device that takes nothing must not hold the sweep for long. */
#define FIRST_HOLD_NS 20000ULL
#define MAX_HOLD_NS 1000000ULL
#define PATIENCE 54
#define SHORT_PATIENCE 6

static __always_inline struct probe_ring *own_ring(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&rings, &cpu);
}

/* How many frames in a row share a reading of the clock: it costs as much as a
 * third of building a frame, since the CPU waits for all that goes before. No
 * frame leaves before the end of its batch or of a bulk of 16 anyway. */
#define CLOCK_FRAMES 8

/* The time for a frame. A reading that makes the frame due will do if it is of
 * this batch: between batches the CPU receives, for much longer. */
static __always_inline __u64 clock(struct probe_ring *r)
{
	struct siphash_state s;

	if (!r->fresh || (r->interval && (r->now_ns - r->epoch_ns) << 8 < r->due) || r->hold_ns) {
		r->now_ns = bpf_ktime_get_ns();
		r->fresh = CLOCK_FRAMES;
		probe_tag_begin(&s, key.k0, key.k1, r->now_ns);
		r->tag[0] = s.v0;
		r->tag[1] = s.v1;
		r->tag[2] = s.v2;
		r->tag[3] = s.v3;
		if (kinds & 1 << PROBE_TIMESTAMP)
			r->originate = bpf_htonl(milliseconds_ut(r->now_ns, ut_offset));
	}
	r->fresh--;
	return r->now_ns;
}

/* Whether a frame may leave now. */
static __always_inline int is_due(struct probe_ring *r, __u64 now)
{
	__u64 time = (now - r->epoch_ns) << 8, interval = *(volatile __u64 *)&r->interval, late;

	if (!interval)
		return 1;
	late = time > r->due ? time - r->due : 0;
	if (interval != r->paced) {
		int first = !r->paced;

		/* Being late or early was worth another number of frames before. The new
		 * rate begins with none saved up and one ahead. */
		r->paced = interval;
		if (!first) {
			if (late > STALL_AFTER && r->excused == r->idle)
				r->stalls++;
			r->due = time + interval;
			return 0;
		}
	}
	if (time < r->due)
		return 0;
	if (late > STALL_AFTER || late > r->slack) {
		if (r->excused == r->idle)
			r->stalls++;
		r->due = late > STALL_AFTER ? time : time - r->slack;
	}
	r->excused = r->idle;
	r->due += interval;
	return 1;
}

/* The kind of a probe. Where all are of one, the verifier sees to it that
 * nothing is asked. */
static __always_inline enum probe_kind kind_of(const struct probe_descriptor *p)
{
	if (kinds == 1 << PROBE_ECHO)
		return PROBE_ECHO;
	if (kinds == 1 << PROBE_TIMESTAMP)
		return PROBE_TIMESTAMP;
	if (kinds == 1 << PROBE_MASK)
		return PROBE_MASK;
	return p->kind & (PROBE_KINDS);
}

/* Writes the data of a kind, and returns the sum of what is not in the shape's.
 * The frame has room for the payload, however short the probe is. */
static __always_inline __u64 write_data(struct probe_frame *f, const struct probe_descriptor *p, enum probe_kind kind,
					const struct probe_ring *r)
{
	__u64 index_attempt = p->index_attempt, now = r->now_ns;
	__u32 tag;

	if (kind == PROBE_ECHO && tagged) {
		struct siphash_state s = { r->tag[0], r->tag[1], r->tag[2], r->tag[3] };

		tag = probe_tag_end(&s, index_attempt);
		put(__u64, f->payload.sent_ns, now);
		put(__u64, f->payload.index_attempt, index_attempt);
		put(__u32, f->payload.tag, tag);
		return (now & 0xffffffff) + (now >> 32) + (index_attempt & 0xffffffff) + (index_attempt >> 32) + tag;
	}
	for (int i = 0; i < PAYLOAD_WORDS; i++)
		put(__u32, ((__u32 *)&f->payload)[i], shapes[kind].data[i]);
	if (kind == PROBE_TIMESTAMP) {
		put(__u32, *(__u32 *)&f->payload, r->originate);
		return r->originate;
	}
	return 0;
}

/* The cookie of a target, or the last one again. */
static __always_inline __u32 cookie_of(struct probe_ring *r, __u32 source, __u32 target)
{
	if (!same_target)
		return cookie_v4(key.k0, key.k1, source, target);
	if (target != r->last_target || source != r->last_source) {
		r->last_cookie = cookie_v4(key.k0, key.k1, source, target);
		r->last_target = target;
		r->last_source = source;
	}
	return r->last_cookie;
}

static __always_inline void build(struct probe_frame *f, const struct probe_descriptor *p, enum probe_kind kind,
				  struct probe_ring *r)
{
	const volatile struct probe_shape *shape = &shapes[kind];
	__u32 target = p->target, source = flows[0].source, cookie;
	__u16 id = (__u16)(p->index_attempt >> PROBE_ATTEMPT_BITS), id_offset = 0;
	__u64 sum, ip_sum = shape->ip_sum;

	for (int i = 0; i < HEADER_WORDS / 2; i++)
		put(__u64, ((__u64 *)f)[i], ((const volatile __u64 *)shape->header)[i]);
	put(__u32, ((__u32 *)f)[HEADER_WORDS - 1], shape->header[HEADER_WORDS - 1]);
	put(__u16, f->ip.id, id);
	f->ip.ttl = p->hop_limit;
	put(__u32, f->ip.daddr, target);
	if (flow_count > 1) {
		/* The one's complement of what is in the sum takes it out of it. */
		ip_sum += ~source;
		source = flows[p->flow].source;
		ip_sum += source;
		put(__u32, f->ip.saddr, source);
		id_offset = flows[p->flow].id_offset;
	}
	put(__u16, f->ip.check, ~checksum_fold(ip_sum + id + p->hop_limit + target));

	cookie = cookie_offset(cookie_of(r, source, target), id_offset);
	put(__u32, f->icmp.id_sequence, cookie);
	sum = shape->icmp_sum + cookie + write_data(f, p, kind, r);
	put(__u16, f->icmp.checksum, ~checksum_fold(sum));
}

/* A turn without a frame. The kernel gives all frames of a batch of runs to the
 * device at the end of it at the latest: what it has not told of long after will
 * never be told of, and must not be waited for. */
static __always_inline int rest(struct probe_ring *r)
{
	__u64 open = r->pushed - r->flushed;

	if (open && ++r->quiet > QUIET_TURNS) {
		r->flushed = r->pushed;
		r->unconfirmed += open;
		*(volatile __u64 *)&r->handed += open;
	}
	return XDP_DROP;
}

SEC("xdp")
int xsweep_transmit(struct xdp_md *ctx)
{
	void *data_end = (void *)(long)ctx->data_end;
	struct probe_frame *f = (void *)(long)ctx->data;
	struct probe_ring *r = own_ring();
	const struct probe_descriptor *p;
	enum probe_kind kind;
	__u64 now, n;
	int again;

	if (!r || (void *)(f + 1) > data_end)
		return XDP_ABORTED;
	if (!r->turn)
		r->fresh = 0;
	if (++r->turn >= r->batch)
		r->turn = 0;
	n = r->consumed;
	again = r->again_taken != r->again_given;
	if (!again && n == r->known) {
		/* The atomic orders the slots' reads behind it on any machine. */
		r->known = __sync_fetch_and_add(&r->produced, 0);
		if (n == r->known) {
			*(volatile __u64 *)&r->entered = 1;
			return rest(r);
		}
	}
	if (*(volatile __u64 *)&r->stopped)
		return rest(r);
	now = clock(r);
	if (r->hold_ns) {
		if (now < r->hold_ns)
			return rest(r);
		r->hold_ns = 0;
	}
	if (!is_due(r, now))
		return rest(r);
	if (bpf_redirect_map(&devices, device, 0) != XDP_REDIRECT)
		return rest(r);
	p = again ? &r->again[r->again_taken & (AGAIN_SIZE - 1)] : &r->probes[n & (PROBE_RING_SIZE - 1)];
	kind = kind_of(p);
	build(f, p, kind, r);
	if (traced) {
		r->pending[r->pushed++ & (PENDING_SIZE - 1)] = *p;
		r->quiet = 0;
	} else {
		r->unconfirmed++;
		*(volatile __u64 *)&r->handed = n + 1;
	}
	if (again)
		r->again_taken++;
	else
		*(volatile __u64 *)&r->consumed = n + 1;
	if (kind == PROBE_ECHO && pattern_length)
		bpf_xdp_store_bytes(ctx, sizeof(*f), (void *)pattern, pattern_length);
	/* Frames come from the pool as long as the longest kind. */
	if (shapes[kind].length != length)
		bpf_xdp_adjust_tail(ctx, (int)shapes[kind].length - (int)length);
	return XDP_REDIRECT;
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

/* What a device says that takes no frames from programs: it has no such
 * function, or its far end lacks what that needs. */
#define ENXIO 6
#define EOPNOTSUPP 95

/* Values of trial. */
#define TRIAL 1
#define TRIAL_FIRST 2

static __always_inline void refuse(struct probe_ring *r, struct transmit_counters *c, int err, int frames)
{
	c->refused[(err ? -err : ENOBUFS) & 255] += frames;
	*(volatile __u64 *)&r->handed += frames;
}

/* Keeps a probe for later, if there is room. */
static __always_inline struct probe_descriptor *keep(struct probe_ring *r, const struct probe_descriptor *p)
{
	struct probe_descriptor *slot;

	if (r->again_given - r->again_taken >= AGAIN_SIZE)
		return NULL;
	slot = &r->again[r->again_given & (AGAIN_SIZE - 1)];
	*slot = *p;
	r->again_given++;
	return slot;
}

/* Keeps a probe that the device had no room for; not if it was tried too often. */
static __always_inline int try_again(struct probe_ring *r, const struct probe_descriptor *p)
{
	__u64 until, hold = MAX_HOLD_NS;
	struct probe_descriptor *slot;

	if (p->tries >= (r->impatient ? SHORT_PATIENCE : PATIENCE)) {
		r->impatient = 1;
		return 0;
	}
	slot = keep(r, p);
	if (!slot)
		return 0;
	slot->tries++;
	if (p->tries < 6) /* 20 us x 2^6 is more than a millisecond */
		hold = FIRST_HOLD_NS << p->tries;
	until = bpf_ktime_get_ns() + hold;
	if (until > r->hold_ns)
		r->hold_ns = until;
	r->retries++;
	return 1;
}

/* A frame was refused for good. In a trial nothing is lost by that: another
 * transmitter will send it. Nor does a device that takes no frames from programs
 * at all, which not every kernel tells before, lose more than one. */
static __always_inline void give_up(struct probe_ring *r, struct transmit_counters *c, const struct probe_descriptor *p,
				    int err)
{
	if ((r->trial == TRIAL || (r->trial == TRIAL_FIRST && (err == -EOPNOTSUPP || err == -ENXIO))) && keep(r, p)) {
		r->refusal = err ? -err : ENOBUFS;
		*(volatile __u64 *)&r->stopped = 1;
		return;
	}
	refuse(r, c, err, 1);
}

/* xdp_devmap_xmit: a bulk of frames was given to the device's driver, which
 * took the first ones of it. */
SEC("tp_btf/xdp_devmap_xmit")
int count_xmit(__u64 *args)
{
	const struct net_device *from = (void *)args[0], *to = (void *)args[1];
	int accepted = args[2], drops = args[3], err = args[4];
	struct transmit_counters *c = counters_of(from, to->ifindex);
	struct probe_ring *r = own_ring();
	__u64 first, behind;

	if (!c || !r || accepted < 0)
		return 0;
	if (drops < 0)
		drops = 0;
	/* A bulk of somebody else's live frames: ours never wait from one batch of
	 * runs to the next, and nobody else's come in between. */
	if ((__u64)accepted + drops > r->pushed - r->flushed)
		return 0;
	if (accepted > 0) {
		c->accepted += accepted;
		*(volatile __u64 *)&r->handed += accepted;
		r->impatient = 0;
		if (r->trial == TRIAL_FIRST)
			r->trial = 0;
	}
	/* The first ones pending are the bulk, at most one is behind it. Should
	 * that ever not be so, nothing may be sent twice: what is dropped then is
	 * refused. */
	first = r->flushed + accepted;
	r->flushed = first + drops;
	behind = r->pushed - r->flushed;
	if (behind > 1) {
		r->flushed = r->pushed;
		if (behind <= PENDING_SIZE) {
			r->unconfirmed += behind;
			*(volatile __u64 *)&r->handed += behind;
		}
	}
	if (behind > 1 || drops > BULK_SIZE) {
		refuse(r, c, err, drops);
		return 0;
	}
	for (int i = 0; i < BULK_SIZE && i < drops; i++) {
		const struct probe_descriptor *p = &r->pending[(first + i) & (PENDING_SIZE - 1)];

		if (err || !try_again(r, p))
			give_up(r, c, p, err);
	}
	return 0;
}

/* xdp_redirect_err: the last frame did not even get into a bulk. */
SEC("tp_btf/xdp_redirect_err")
int count_redirect_err(__u64 *args)
{
	const struct net_device *from = (void *)args[0];
	int err = args[3], to = args[6];
	struct transmit_counters *c = counters_of(from, to);
	struct probe_ring *r = own_ring();

	if (!c || !r || r->pushed == r->flushed) /* not ours */
		return 0;
	r->pushed--;
	give_up(r, c, &r->pending[r->pushed & (PENDING_SIZE - 1)], err);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
