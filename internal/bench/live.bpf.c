// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/* The limit of the transmitter `xdp`: sends a frame that is ready, as it is,
 * to the device. BPF_PROG_RUN with live frames runs it again and again. It
 * cannot do less: what it leaves to the kernel is what any program must. */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* The device. A map, as it is some nanoseconds faster than the number of an
 * interface, which the kernel looks up for each frame. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} device SEC(".maps");

/* What made the objects: internal/bench/machine.go reads it. All objects of
 * the project come from the same compiler. */
const volatile __u32 compiler[3] = {__clang_major__, __clang_minor__, __clang_patchlevel__};

SEC("xdp")
int xsweep_live(struct xdp_md *ctx __attribute__((unused)))
{
	return bpf_redirect_map(&device, 0, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
