// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"xsweep/sweep"
	"xsweep/sweep/sink"
)

// dryRun prints the targets in order, or with a summary on standard output
// only counts them.
func dryRun(env *environment, f *sweepFlags, summary *summaryFile) error {
	plan, err := sweep.NewPlan(f.config)
	if err != nil {
		return usageError(err)
	}
	if f.summary != "-" {
		if err := f.listTargets(env, plan); err != nil {
			return err
		}
	}
	result := plan.Summary()
	result.Version, result.Command = version(), os.Args
	result.Started = time.Now().UTC()
	result.Ended = result.Started
	if err := result.Check(); err != nil {
		return oneLine(err)
	}
	return summary.write(&result)
}

// listTargets writes the targets to where results would go.
func (f *sweepFlags) listTargets(env *environment, plan *sweep.Plan) error {
	path := f.outputs()[0]
	if len(f.outputs()) > 1 {
		return usageError(fmt.Errorf("--dry-run writes the targets to one place, not to %d", len(f.outputs())))
	}
	if path == "-" {
		return printTargets(env.stdout, plan)
	}
	file, err := sink.Create(path, f.force)
	if err != nil {
		return usageError(err)
	}
	defer file.Discard()
	if err := printTargets(file, plan); err != nil {
		return err
	}
	return file.Publish()
}

// printTargets writes the targets of a plan, one a line.
func printTargets(w io.Writer, plan *sweep.Plan) error {
	const flushAt = 64 << 10
	buffer := make([]byte, 0, flushAt+64)
	for addr := range plan.All() {
		buffer = append(addr.AppendTo(buffer), '\n')
		if len(buffer) >= flushAt {
			if _, err := w.Write(buffer); err != nil {
				return fmt.Errorf("targets: %w", err)
			}
			buffer = buffer[:0]
		}
	}
	if _, err := w.Write(buffer); err != nil {
		return fmt.Errorf("targets: %w", err)
	}
	return nil
}
