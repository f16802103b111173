// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"xsweep/sweep/bench"
)

// reports are the ways to write a result, by the end of the file's name.
var reports = map[string]func(*bench.Result, io.Writer) error{
	".html": (*bench.Result).WritePage,
	".hgrm": writeHGRM,
	".hlog": (*bench.Result).WriteHLog,
}

// checkReports refuses what cannot be written, before anything is sent.
func (f *benchFlags) checkReports() error {
	switch {
	case f.format != "text" && reports["."+f.format] == nil || f.format == "html":
		return fmt.Errorf("--format %q: must be text, hgrm or hlog", f.format)
	case f.format != "text" && f.summary == "-":
		return fmt.Errorf("--format %s and --summary - cannot both go to standard output: write one to a file of its own", f.format)
	}
	for i, path := range f.output {
		if reports[filepath.Ext(path)] == nil {
			return fmt.Errorf("--output %s: the name must end in .html, .hgrm or .hlog", path)
		}
		if _, err := os.Stat(path); err == nil && !f.force {
			return fmt.Errorf("%s is there already: use --force to replace it, or another name", path)
		}
		if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
			return fmt.Errorf("--output %s: there is no such directory", path)
		}
		for _, other := range append(f.output[:i:i], f.summary) {
			if sameFile(path, other) {
				return fmt.Errorf("%s cannot be written twice", path)
			}
		}
	}
	return nil
}

// writeReports writes the files of --output, each whole or not at all.
func (f *benchFlags) writeReports(r *bench.Result) error {
	var errs []error
	for _, path := range f.output {
		write := reports[filepath.Ext(path)]
		if err := writeWhole(path, func(w io.Writer) error { return write(r, w) }); err != nil {
			errs = append(errs, fmt.Errorf("write %s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

func writeWhole(path string, write func(io.Writer) error) error {
	temp, err := (&summaryFile{path: path}).create()
	if err != nil {
		return err
	}
	err = write(temp)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
	}
	return err
}

// writeHGRM writes the latencies of the last trial that has any.
func writeHGRM(r *bench.Result, w io.Writer) error {
	for i := len(r.Trials) - 1; i >= 0; i-- {
		if t := &r.Trials[i]; t.RTT.Count > 0 {
			return t.RTT.WriteHGRM(w)
		}
	}
	return (&bench.Latency{}).WriteHGRM(w)
}
