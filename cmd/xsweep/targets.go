// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"

	"xsweep/sweep/target"
)

// checkPaths refuses files that would get in each other's way.
func (f *sweepFlags) checkPaths() error {
	read := slices.Concat(f.files, f.excludeFiles)
	stdin := 0
	for _, path := range read {
		if path == "-" {
			stdin++
		}
		for _, written := range f.written() {
			if sameFile(path, written.path) {
				return fmt.Errorf("%s would be overwritten: it is read as well", path)
			}
		}
	}
	if stdin > 1 {
		return errors.New("standard input can be read only once: give - to one of --file and --exclude-file")
	}
	written := f.written()
	for i, one := range written {
		for _, other := range written[:i] {
			stdout := one.path == "-" && other.path == "-" && !f.dryRun
			switch {
			case !stdout && !sameFile(one.path, other.path):
			case one.what == other.what:
				return fmt.Errorf("%s cannot go to %s twice", one.what, named(one.path))
			default:
				return fmt.Errorf("%s and %s cannot both go to %s: write one to a file of its own", other.what, one.what, named(other.path))
			}
		}
	}
	return nil
}

func named(path string) string {
	if path == "-" {
		return "standard output"
	}
	return path
}

// writes is a file that the sweep is to write; - is standard output.
type writes struct{ what, path string }

func (f *sweepFlags) written() []writes {
	var all []writes
	for _, path := range f.outputs() {
		all = append(all, writes{"results", path})
	}
	for _, w := range []writes{{"summary", f.summary}, {"live set", f.liveSet}, {"checkpoint", f.checkpoint}} {
		if w.path != "" {
			all = append(all, w)
		}
	}
	return all
}

// sameFile tells whether two paths lead to the same regular file, which may
// not exist yet.
func sameFile(a, b string) bool {
	if a == "" || b == "" || a == "-" || b == "-" {
		return false
	}
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	if errA == nil && errB == nil {
		return infoA.Mode().IsRegular() && os.SameFile(infoA, infoB)
	}
	pathA, errA := filepath.Abs(a)
	pathB, errB := filepath.Abs(b)
	return errA == nil && errB == nil && pathA == pathB
}

// readTargets reads targets from arguments and files.
func readTargets(ctx context.Context, env *environment, args, files []string) ([]target.Target, error) {
	var targets []target.Target
	for _, arg := range args {
		more, err := target.Parse(ctx, net.DefaultResolver, arg)
		if err != nil {
			return nil, err
		}
		targets = append(targets, more...)
	}
	for _, name := range files {
		more, err := readTargetFile(ctx, env, name)
		if err != nil {
			return nil, err
		}
		targets = append(targets, more...)
	}
	return targets, nil
}

func readTargetFile(ctx context.Context, env *environment, name string) ([]target.Target, error) {
	if name == "-" {
		return target.ParseFile(ctx, net.DefaultResolver, "standard input", env.stdin)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read targets: %w", err)
	}
	defer file.Close()
	return target.ParseFile(ctx, net.DefaultResolver, name, file)
}
