// SPDX-License-Identifier: Apache-2.0

// Package bench measures how a host answers ICMP echo requests: how many a
// second, at what latency, and where it breaks.
//
// # Vocabulary
//
//   - A load is probes a second, sent open loop: when one leaves does not depend on
//     what was answered. An offered load is what was asked for, a sent one what
//     left.
//   - A trial sends one load for some time, waits the drain time, and tells what
//     became of every probe (RFC 2544, section 23).
//   - A probe is answered, or lost. Late ones, whose answer came after the drain
//     time, are lost too. Duplicates and reordering (RFC 4737, type-P-reordered)
//     are counted among answers to probes that have one in time.
//   - A trial is valid if the generator did what it was asked to. One in which it
//     fell behind says nothing about the target.
//   - NDR is the highest load without loss, PDR the highest with a given ratio of
//     it. A search finds bounds of both (RFC 9971, MLRsearch).
//
// # Contracts
//
// A [Session] is the judge in the kernel and the way to the targets; it runs one
// trial at a time. What decides (search, limiter, comparison) works on any
// [Runner], so that it is tested with simulated targets. Times are CLOCK_MONOTONIC
// in nanoseconds.
package bench
