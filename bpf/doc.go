// SPDX-License-Identifier: Apache-2.0

// Package bpf holds the programs that run in the kernel, as C sources with
// their compiled objects, and the Go bindings that bpf2go generates from them.
//
//   - reply.bpf.c judges arriving ICMP: the reply filter.
//   - transmit.bpf.c sends probes from inside the kernel.
//   - simnet.bpf.c plays a whole network at the far end of the lab's link.
//
// include/ holds what they share (parsing, checksums, the cookie), subjects of one
// program that stand by themselves (what was heard, the errors of the lab), and the
// structs that travel between kernel and user space. Nothing here knows how
// programs are loaded or attached; that is package loader.
package bpf
