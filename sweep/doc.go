// SPDX-License-Identifier: Apache-2.0

// Package sweep probes sets of addresses and collects who answers.
//
// [Run] does a whole sweep: it finds the route, loads and attaches the reply
// filter, sends the probes of a [Config] in their order, waits for late
// replies, hands each record to a sink, and returns a [Summary] whose counters
// add up. [NewPlan] does only what needs neither device nor privilege.
//
// # Vocabulary
//
// A target is an address to probe; a probe is one packet to one target; an
// attempt numbers the probes of a target; the order is a keyed permutation of
// the targets. Due are the probes that the configuration asks for: those
// handed to the device, and those unsent, by reason. A verdict is what the
// filter decided for one packet. docs/accounting.md has all counters and the
// identities between them.
//
// # Contracts
//
// All of a process's threads must be in the network namespace of the sweep:
// goroutines of Run open sockets. Two sweeps at once need two devices. Run
// leaves nothing behind: no program, no socket, no goroutine.
package sweep
