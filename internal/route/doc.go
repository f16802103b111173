// SPDX-License-Identifier: Apache-2.0

// Package route finds the way to the targets of a sweep: the interface, the
// source address, the gateway and the gateway's link-layer address. It also
// says which addresses of the sweep this machine cannot or must not probe, and
// watches the interface while the sweep runs.
//
// # Vocabulary
//
//   - A route leads either to a gateway or on-link: to hosts that are neighbours
//     on the interface itself and have link-layer addresses of their own.
//   - An own address is one that the kernel delivers to this machine.
//   - An attached subnet is the prefix of an address of an interface.
//   - A [Plan] is the way of all probes of one sweep: one interface, one source,
//     and a [Method], which says what kind of transmitter can serve it.
//   - [Skips] gives the [Reason] why an address is left out, behind the order of
//     the sweep and never in front of it, so that the order does not depend on
//     the machine.
//
// # Which route
//
// [Resolve] reads the routing tables once and combines them as the kernel's
// three standard policy rules do: local first, then main, then default. In each
// the longest prefix wins, then the lowest metric; of several next hops the
// first counts. Routes for a type of service are left out, since probes carry
// none. Further policy rules and tables (ip rule, VRF) and IPsec policies are
// not followed; if there are such rules, or the kernel's own answer for an
// address of the sweep differs, Plan.Notes says so.
//
// The interface is the one that leads to most addresses of the sweep. If the
// caller names an interface instead, only its routes count, and it must be able
// to carry everything: what it has no route for goes to its only gateway.
//
// # Contracts
//
// Every netlink socket is opened in the calling goroutine, before the function
// returns, and so in the network namespace of that goroutine's thread (which
// the caller has to lock if the namespace is not the process's). Sockets are
// closed when the function returns, or, for [WatchLink], when its context ends.
// The neighbour table is the only state of the machine that is changed: it gains
// an entry for the gateway, as after any packet sent there.
//
// Addresses and counts are as in package target. A Plan does not change once
// made and may be shared between goroutines.
package route
