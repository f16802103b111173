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

// checkReports refuses what cannot be written, before anything is sent.
func (f *benchFlags) checkReports() error {
	switch {
	case f.format != "text" && f.format != "hgrm":
		return fmt.Errorf("--format %q: must be text or hgrm", f.format)
	case f.format == "hgrm" && f.summary == "-":
		return errors.New("--format hgrm and --summary - cannot both go to standard output: write one to a file of its own")
	}
	for i, path := range f.output {
		if ext := filepath.Ext(path); ext != ".html" && ext != ".hgrm" {
			return fmt.Errorf("--output %s: the name must end in .html or .hgrm", path)
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
		write := r.WritePage
		if filepath.Ext(path) == ".hgrm" {
			write = func(w io.Writer) error { return writeHGRM(w, r) }
		}
		if err := writeWhole(path, write); err != nil {
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
func writeHGRM(w io.Writer, r *bench.Result) error {
	for i := len(r.Trials) - 1; i >= 0; i-- {
		if t := &r.Trials[i]; t.RTT.Count > 0 {
			return t.RTT.WriteHGRM(w)
		}
	}
	return (&bench.Latency{}).WriteHGRM(w)
}
