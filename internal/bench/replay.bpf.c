// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/* Lets BPF_PROG_TEST_RUN, which gives a program the same bytes at each
 * repeat, show it packets that differ: each run copies the next prepared
 * frame over the packet and goes on in the program under test. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* frameBytes of internal/bench/replies.go: an error or a reply and its padding,
 * in whole words. */
#define FRAME_WORDS 12

struct frame {
	__u64 words[FRAME_WORDS];
};

/* User space sets the number of frames before it loads the program. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct frame);
} frames SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} under_test SEC(".maps");

/* The next frame. Not atomic: one run at a time. */
__u32 next = 0;

SEC("xdp")
int xsweep_replay(struct xdp_md *ctx)
{
	void *data_end = (void *)(long)ctx->data_end;
	struct frame *packet = (void *)(long)ctx->data;
	struct frame *frame;
	__u32 number = next;

	frame = bpf_map_lookup_elem(&frames, &number);
	if (!frame || (void *)(packet + 1) > data_end)
		return XDP_ABORTED;
	next = number + 1;
#pragma unroll
	for (int i = 0; i < FRAME_WORDS; i++)
		packet->words[i] = frame->words[i];
	bpf_tail_call(ctx, &under_test, 0);
	return XDP_ABORTED;
}

char _license[] SEC("license") = "Dual BSD/GPL";
