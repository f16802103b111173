// SPDX-License-Identifier: Apache-2.0

// Package sweep probes sets of addresses and collects who answers.
//
// A whole program that sweeps a prefix and prints who lives there:
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//		"log"
//
//		"xsweep/sweep"
//	)
//
//	func main() {
//		ctx := context.Background()
//		targets, err := sweep.ParseTargets(ctx, "192.0.2.0/24")
//		if err != nil {
//			log.Fatal(err)
//		}
//		for record, err := range sweep.Records(ctx, sweep.Config{Targets: targets}) {
//			if err != nil {
//				log.Fatal(err)
//			}
//			fmt.Println(record.Addr, record.RTT)
//		}
//	}
//
// [Records] is for who wants to range over results. [Run] writes them to sinks: files of
// every format (package sink, from sink.Open), or a type of your own with the three
// methods of sink.Sink; and it returns a [Summary] whose counters add up. Both find
// the route, load and attach the reply filter, send the probes of a [Config] in their
// order, and wait for late replies. [NewPlan] does only what needs neither device nor
// privilege.
//
// The zero Config is good but for its Targets: one echo request to each of them,
// 10,000 a second. Its fields are plain values: Rate is in packets a second (or
// pace.Max), Kinds are of package probe, Exclude is a target.Set, Where takes what
// where.Compile makes of an expression, Log is a slog.Logger. A [Monitor] tells the
// [Progress] of a sweep at any moment, changes its rate, and has its summary at the
// end.
//
// # Going on after a crash
//
// With a [Checkpoint] a sweep goes on where it stood, in another process if need be:
//
//	ck, err := sweep.OpenCheckpoint("sweep.ckpt")
//	if err != nil {
//		return err
//	}
//	defer ck.Close()
//	c := sweep.Config{Targets: targets, Seed: 42, Checkpoint: ck}
//	out, err := sink.Open(sink.Config{Path: "live.csv", Format: sink.CSV, Checkpointed: true}, ck.Mark("live.csv"))
//	if err != nil {
//		return err
//	}
//	summary, err := sweep.Run(ctx, c, out)
//
// Run again, the same lines go on with the sweep, or find it complete. docs/checkpoint.md
// has what is promised.
//
// # Vocabulary
//
// A target is an address to probe; a probe is one packet to one target; an
// attempt numbers the probes of a target; the order is a keyed permutation of
// the targets. Due are the probes that the configuration asks for: those
// handed to the device, and those unsent, by reason. A verdict is what the
// filter decided for one packet. A record is one reply as user space sees it. A place is
// one in the sequence of all probes: first one to each target in order, then the
// next. docs/accounting.md has all counters and the identities between them.
//
// # Contracts
//
// Sweeps need Linux 5.15 and CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON. All of
// a process's threads must be in the network namespace of the sweep:
// goroutines of Run open sockets. Two sweeps at once need two devices. Run
// leaves nothing behind: no program, no socket, no goroutine.
package sweep
