// SPDX-License-Identifier: Apache-2.0

// Package probe builds probes: ICMP echo requests that need no state to
// recognise their replies.
//
// A probe is one packet to one target. Its cookie, 32 bits of SipHash-2-4
// over source and target address, stands in identifier and sequence number,
// where every reply and every error message brings it back. Its payload
// carries the send time, the probe's index and attempt, and the tag, 32 bits
// of SipHash-2-4 over those. Who does not know the sweep's key and has not
// seen the probe can make neither.
//
// The layout, to the byte, stands in docs/wire-format.md. The C twin of the
// cookie and the tag is bpf/include/cookie.h.
//
// A [Template] writes probes into frames that the caller owns, in two steps:
// [Template.Address] what is known early, [Template.Stamp] the send time, as
// late as can be. Neither allocates.
package probe
