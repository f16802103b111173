// SPDX-License-Identifier: Apache-2.0

// Package sink writes records: as addresses, CSV, JSON Lines or Parquet, to
// files and streams; and the addresses that answered as a set.
//
// A [Sink] takes records in batches and accounts for each: every record that
// was given to it is written, filtered, beyond the limit, or failed.
//
// A [Durable] also outlives the process:
//
//   - [Open] makes a [File] (or a [Stream], for devices and pipes). A file is
//     called NAME.partial until it is complete: Close makes it durable, Publish
//     gives it its name. What stood under the name stays until then, and is
//     replaced only with Config.Force. A NAME.partial that was left over is not
//     touched without it either.
//   - [NewStream] writes to standard output, which has no name to get.
//   - [NewLiveSet] collects addresses in memory and writes them at Close.
//
// [Discard] is for outputs whose sweep never sent anything.
//
// # Marks
//
// Mark says how far an output is whole: lines, or compressed frames, end there.
// After Sync that much survives a power cut; what stands behind may be anything.
// Open with that mark cuts it off and goes on, so that the sum of all runs is
// the same as of one that was never stopped. A stream cannot be cut back: with
// Config.Checkpointed its records wait in memory until Committed, and are shown
// once at most ([Stream.Continue] goes on behind them). Calls in their order:
//
//	Open, then Write, Mark, Sync, (the checkpoint is written), Committed; Write ...
//	Close, Mark, (the checkpoint is written), Committed, Publish
//
// A resumed sweep opens its outputs with the Config that they had, Force
// included.
//
// # Failures
//
// An output that takes no more has failed for good. What it took in part is cut
// off, back to the last whole line or frame, and counts as failed; so does all
// that comes later. It can be read, keeps the name NAME.partial, and can be gone
// on with from the last mark.
//
// # Cost
//
// Writing allocates nothing for a record. Each Write ends in one write(2) at
// most. Compression runs in the caller's goroutine; a frame is ended after 8 MiB
// of text at the latest, which is as much as a broken one can take along.
package sink
