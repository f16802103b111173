// SPDX-License-Identifier: Apache-2.0

package bpf

// The objects are committed: building needs Go alone. clang is pinned at the
// major version that CI checks them with, and the BPF CPU version at v3,
// the first with atomic fetch-and-or, which every kernel from 5.12 on has.
//
//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel -no-global-types -type verdict -type probe_kind -type counters -type error_kind -type seen_page -type heard_bucket -type record Reply reply.bpf.c -- -O2 -mcpu=v3 -Wall -Wextra -Werror -Iinclude -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu
//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel -no-global-types -type probe_ring -type probe_descriptor -type probe_shape -type probe_flow -type transmit_counters Transmit transmit.bpf.c -- -O2 -mcpu=v3 -Wall -Wextra -Werror -Iinclude -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu
//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel -no-global-types -type simnet_stats -type behaviour -type flaw Simnet simnet.bpf.c -- -O2 -mcpu=v3 -Wall -Wextra -Werror -Iinclude -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu
//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel -no-global-types -type bench_verdict -type bench_counters -type bench_histogram -type bench_trial -type bench_flow Bench bench.bpf.c -- -O2 -mcpu=v3 -Wall -Wextra -Werror -Iinclude -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu
