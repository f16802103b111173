// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"xsweep/sweep"
	"xsweep/sweep/where"
)

// notKept are flags that a checkpoint does not keep: what they say is in it
// already, or is about one run.
var notKept = []string{
	"file", "exclude", "exclude-file", "seed", "checkpoint", "resume", "dry-run", "config", "quiet", "verbose", "log-format", "help",
}

// outputFlags must be those that the sweep began with, since its outputs are
// gone on with.
var outputFlags = []string{"output", "format", "fields", "live-set"}

// openCheckpoint opens the checkpoint that was asked for, if one was, and takes
// from it what --resume leaves to it.
func (f *sweepFlags) openCheckpoint(flags *pflag.FlagSet, typed func(flag string) bool, args []string) (*sweep.Checkpoint, error) {
	if f.resume != "" {
		for _, flag := range []string{"checkpoint", "file", "exclude", "exclude-file", "seed", "dry-run"} {
			if typed(flag) {
				return nil, fmt.Errorf("--resume takes everything from the checkpoint: leave --%s out", flag)
			}
		}
		if len(args) > 0 {
			return nil, fmt.Errorf("--resume takes the targets from the checkpoint: leave %s out", args[0])
		}
		f.checkpoint = f.resume
	}
	if f.checkpoint == "" || f.dryRun {
		return nil, nil
	}
	ck, err := sweep.OpenCheckpoint(f.checkpoint)
	if err != nil {
		return nil, err
	}
	if f.resume != "" {
		err = f.takeSettings(ck, flags, typed)
	}
	if err != nil {
		ck.Close()
		return nil, err
	}
	return ck, nil
}

// takeSettings sets the flags that were not typed as the sweep had them.
func (f *sweepFlags) takeSettings(ck *sweep.Checkpoint, flags *pflag.FlagSet, typed func(flag string) bool) error {
	if !ck.Resumes() {
		return fmt.Errorf("--resume %s: there is no such checkpoint: begin one with --checkpoint", f.resume)
	}
	var errs []error
	flags.VisitAll(func(flag *pflag.Flag) {
		if typed(flag.Name) || slices.Contains(notKept, flag.Name) {
			return
		}
		values, ok := ck.Settings()[flag.Name]
		switch list, isList := flag.Value.(pflag.SliceValue); {
		case isList:
			errs = append(errs, list.Replace(nil))
			flag.Changed = false // or Set would not count it as given
			for _, value := range values {
				errs = append(errs, flags.Set(flag.Name, value))
			}
		case ok:
			errs = append(errs, flags.Set(flag.Name, values[0]))
		case flag.Changed: // by a file or a variable, which the sweep had not
			errs = append(errs, flag.Value.Set(flag.DefValue))
			flag.Changed = false
		}
	})
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("--resume %s: another version of xsweep made it: %w", f.resume, err)
	}
	return nil
}

// settings are the flags that a checkpoint keeps.
func (f *sweepFlags) settings(flags *pflag.FlagSet) map[string][]string {
	kept := map[string][]string{}
	flags.Visit(func(flag *pflag.Flag) {
		if slices.Contains(notKept, flag.Name) || !flag.Changed {
			return
		}
		kept[flag.Name] = []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			kept[flag.Name] = list.GetSlice()
		}
	})
	return kept
}

// checkOutputs says what differs in the outputs of a sweep that is to go on.
func checkOutputs(ck *sweep.Checkpoint, now map[string][]string) error {
	if ck == nil || !ck.Resumes() {
		return nil
	}
	var differences []string
	for _, flag := range outputFlags {
		if was := ck.Settings()[flag]; !slices.Equal(was, now[flag]) {
			differences = append(differences, fmt.Sprintf("--%s is %s there, %s here", flag, listed(was), listed(now[flag])))
		}
	}
	if len(differences) == 0 {
		return nil
	}
	return fmt.Errorf("checkpoint %s: %w: %s: use another --checkpoint, or remove it to begin anew",
		ck.Path(), sweep.ErrOtherSweep, strings.Join(differences, "; "))
}

func listed(values []string) string {
	if len(values) == 0 {
		return "not given"
	}
	return strings.Join(values, ", ")
}

// explainWhere shows where in an expression the fault is.
func explainWhere(err error) error {
	fault := (*where.Error)(nil)
	if !errors.As(err, &fault) {
		return fmt.Errorf("--where: %w", err)
	}
	return fmt.Errorf("--%w\n%s", err, fault.Snippet())
}
