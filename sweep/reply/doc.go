// SPDX-License-Identifier: Apache-2.0

// Package reply turns what the reply filter reports into records: one reply
// each, with its classification, its round-trip time and what its TTL
// suggests. A [Record] is a value without pointers into foreign memory;
// decoding one allocates nothing.
package reply
