// SPDX-License-Identifier: Apache-2.0

package probe

// MaxIndex is the largest index that a probe can carry.
const MaxIndex = 1<<indexBits - 1

// Probe says what to send: one packet to one target. It is what transmitters
// take.
type Probe struct {
	// Index is the target's place in the order, at most MaxIndex.
	Index uint64
	// Run counts how often the sweep was resumed before.
	Run uint16
	// Target is the IPv4 address to probe, in host byte order.
	Target uint32
	// Attempt numbers the probes that the target gets, from 1.
	Attempt uint8
	// HopLimit is the TTL that the probe is sent with.
	HopLimit uint8
	// Kind is what the probe asks.
	Kind Kind
	// Flow is the number of the template's flow that the probe is of.
	Flow uint8
}
