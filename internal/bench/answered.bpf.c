// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/* The limit of a benchmark whose probes are all answered: sends a frame that is
 * ready, and drops what comes back. BPF_PROG_RUN with live frames runs the first
 * program again and again. The answer to a frame is written into the same memory,
 * which is not reset before the frame is sent once more: so the headers are
 * written each time, and nothing else. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Ethernet, IPv4 and ICMP header are 42 bytes: six words hold them. User space
 * sets the words to those of the frame. */
#define HEADER_WORDS 6

const volatile __u64 headers[HEADER_WORDS];

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} device SEC(".maps");

SEC("xdp")
int xsweep_again(struct xdp_md *ctx)
{
	volatile __u64 *words = (void *)(long)ctx->data;

	if ((void *)(words + HEADER_WORDS) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	for (int i = 0; i < HEADER_WORDS; i++)
		words[i] = headers[i];
	return bpf_redirect_map(&device, 0, 0);
}

SEC("xdp")
int xsweep_drop(struct xdp_md *ctx __attribute__((unused)))
{
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
