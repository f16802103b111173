// SPDX-License-Identifier: Apache-2.0

// Package loader puts xsweep's programs into the kernel and hands back typed
// handles: maps sized, constants set, programs attached, counters summed. It
// knows kernels, drivers and capabilities; it knows nothing of sweeps.
//
// A handle owns what it opened. Close releases programs, maps and the link;
// the kernel does the same when the process dies in any other way, so no
// program of ours outlives it on a device.
package loader
