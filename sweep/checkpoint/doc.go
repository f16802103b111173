// SPDX-License-Identifier: Apache-2.0

// Package checkpoint keeps what a sweep needs to go on after a crash, a kill or a
// power cut.
//
// # Files
//
// A checkpoint NAME is three files in one directory:
//
//	NAME       the state: small, replaced at once each time it is saved
//	NAME.prev  the state that was saved before it
//	NAME.log   the plan, and what was found so far, to which is only appended
//
// The state says how much of the log belongs to it, and what its checksum is; what
// stands behind that in the log is of no account, and is cut off when the sweep goes
// on. So the cost of saving does not grow with what was found. A state is whole or
// is refused ([ErrDamaged]): it begins with its own SHA-256. Whoever opens a checkpoint holds
// a lock on its log (flock(2)), so that nobody else does ([ErrLocked]); the kernel
// takes it back when the process ends, however it ends.
//
// The files hold the sweep's key: only their owner may read them.
//
// # Order
//
// What the state speaks of must be durable before it: outputs are synced first,
// then the log, then the state is written, synced and renamed.
package checkpoint
