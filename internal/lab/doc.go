// SPDX-License-Identifier: Apache-2.0

// Package lab makes a network to probe that is nobody's: two network
// namespaces joined by a veth pair, with a whole simulated internet, Linux's
// own ICMP stack or a sink at the far end. Linux can also be the routers
// between the two.
//
// # Vocabulary
//
//   - The sender side is where the command under test runs: device lab0,
//     198.18.0.1/30, everything else behind the gateway 198.18.0.2.
//   - The responder side is the other namespace: device lab1, 198.18.0.2/30.
//   - A hop is a namespace between the two: a router (kernel.go says what
//     routers do), or the middle of a [Chain], which the ends do not see.
//   - simnet is the BPF program (bpf/simnet.bpf.c) that plays every host and
//     router there is. What they do follows from a hash of seed and address;
//     a host's behaviour is which kind of host it is. docs/lab.md tells more.
//   - A limit is how much hosts answer (a [Bucket]) or when (an [Outage]); limit.go
//     and bpf/include/simnet_limit.h.
//   - The delay responder is simnet whose answers a thread of the lab sends when
//     they are due (delay.go), by a [Distribution], a [Queue] or swaps.
//   - The truth of a set of addresses is those of it that a sweep must find, and
//     the records that it must write.
//
// # Contracts
//
// A lab touches no device, route or setting outside its own namespaces. With
// [Config.InPlace] the sender side is the caller's namespace, which must not
// be the one that the machine itself uses: [Start] refuses that.
//
// No ARP, IPv6 or other chatter disturbs frame counts: neighbours are
// permanent and IPv6 is off. All devices have GRO on, since a veth device
// takes redirected frames only then or with a native XDP program.
//
// The caller owns a [Lab] and closes it once its commands have ended. Rates
// are in frames a second, times of arrival in nanoseconds of CLOCK_MONOTONIC.
//
// # Why there is nothing to clean up
//
// The lab has no name in any file system: namespaces, devices and the program
// hang on file descriptors and threads of the process that made them, and the
// kernel takes them away with it, also after SIGKILL. What [Lab.Exec] starts
// lives in a PID namespace whose init is a copy of this binary; the kernel
// kills that init when the thread that started it dies, and with an init dies
// everything in its namespace, whatever it forked, ignored or daemonized. So
// the state that a later start would have to clean up cannot exist, and two
// labs have nothing in common that could collide.
package lab
