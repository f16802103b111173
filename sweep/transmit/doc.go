// SPDX-License-Identifier: Apache-2.0

// Package transmit puts probes on the wire.
//
// A [Transmitter] belongs to one thread. It takes probes in batches, paces
// them, and accounts for each: a probe that was handed to it is accepted or
// refused, by the evidence of the system calls, and what Send does not return
// as handed was never tried. A frame that fails is refused alone, with its
// errno; the batch goes on behind it.
//
// There are three ways so far. [NewPacket] writes Ethernet frames to a device,
// past its queueing discipline, and [NewRaw] writes IP packets that the kernel
// routes, both with sendmmsg(2). [NewXDP] leaves it to a BPF program to make
// and send frames from inside the kernel, several times as fast.
//
// Send times of packet and raw are taken one by one when a batch is complete
// and due, right before the system call that sends the whole batch. The last
// frame of a batch leaves later than its send time says by what the kernel
// takes for those before it: docs/measuring.md says how much that is. xdp takes
// each frame's time as it makes it.
package transmit
