// SPDX-License-Identifier: Apache-2.0

// Package pace keeps rates: when the next batch of frames may leave, and how
// to wait for that moment.
//
// The promise, the same for every transmitter: in any window of length T at
// most rate x T + Burst frames leave, over all threads; in every second
// without a stall the rate is exact within 0.5 %. A stall is a delay that
// cannot be caught up within that burst, or that is longer than a
// millisecond: it is counted, and the frames it cost are not sent later in a
// heap.
//
// Times are CLOCK_MONOTONIC in nanoseconds, the clock that BPF programs read.
package pace
