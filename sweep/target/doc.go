// SPDX-License-Identifier: Apache-2.0

// Package target says which addresses a sweep probes, and in what order.
//
// # Vocabulary
//
//   - A [Target] is what the user named: an address, a prefix, a range or one
//     address of a host name. [Parse] and [ParseFile] read them.
//   - A [Set] is what targets, exclusions and special-purpose ranges come to:
//     ascending, disjoint ranges of addresses.
//   - The rank of an address is the number of addresses of the set below it.
//   - An [Order] is a keyed permutation of the ranks of a set: index i is probed
//     i-th, at the address whose rank is Index(i).
//   - A [Shard] is every n-th index of an order.
//
// # Contracts
//
// The same set and seed give the same order on every machine, in every version
// of xsweep, whatever its word size and byte order. Any index can be asked for
// by itself; an order has no state. So threads need not agree on anything,
// shards are an exact cut of the whole, and a sweep resumes at index i by
// starting there. What depends on the machine, such as its own addresses, must
// therefore be skipped behind the order and never taken out of the set.
//
// [Set], [Order] and [Shard] never change once made and may be shared between
// goroutines. Memory grows with the number of ranges, not of addresses.
// Addresses are numbers in host byte order ([Addr]); counts of addresses are
// uint64, since there are 2^32 of them.
//
// Only [Parse] and [ParseFile] can wait, and only for a host name.
package target
