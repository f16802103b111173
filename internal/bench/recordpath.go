// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"xsweep/sweep/reply"
	"xsweep/sweep/sink"
)

const (
	recordRounds = 5
	// recordCount is how many records are written in a round: eight row groups of
	// Parquet.
	recordCount = 1 << 20
	// recordBatch is how many a sink gets at once, as in a sweep.
	recordBatch = 4096
	// plainShare of the records goes through the standard library's encoders, which
	// need longer.
	plainShare = 4
)

// recordsChild measures all runs on the one CPU that this process has, and prints
// them as JSON.
func recordsChild(stdout, stderr io.Writer) (status int) {
	runtime.GOMAXPROCS(1)
	runs := newRecordRuns()
	s, err := takeSamples(recordCount)
	if err == nil {
		err = measureRecords(s, runs, recordRounds)
	}
	if err == nil {
		err = json.NewEncoder(stdout).Encode(runs)
	}
	if err != nil {
		fmt.Fprintf(stderr, "%v\n", err)
		return 1
	}
	return 0
}

// measureRecords measures all runs by turns.
func measureRecords(s *samples, runs []*recordRun, rounds int) error {
	for range rounds {
		for _, r := range runs {
			if err := r.round(s); err != nil {
				return fmt.Errorf("%s to %s: %w", r.Name, r.To, err)
			}
		}
	}
	return nil
}

// round writes all samples, and then does what they are compared with. Into a file
// it writes once before, for nothing: memory that a virtual machine has not used for
// a while can be its host's again, and is slow to get.
func (r *recordRun) round(s *samples) error {
	var w written
	var size int64
	passes := 1
	if r.To == aFile {
		passes = 2
	}
	for range passes {
		out, err := r.open()
		if err != nil {
			return err
		}
		if w, err = s.write(out.sink); err == nil {
			size, err = out.size()
		}
		if n := out.sink.Counts().Written; err == nil && n != uint64(s.count()) {
			err = fmt.Errorf("%d of %d records were written", n, s.count())
		}
		if err = errors.Join(err, out.close()); err != nil {
			return err
		}
	}
	r.Rates = append(r.Rates, w.rate)
	r.Allocations = append(r.Allocations, w.allocations)
	var limit float64
	var err error
	if r.To == aFile {
		r.Limit = "write(2) of as many bytes"
		limit, err = writePlainly(size, s.count())
	} else {
		r.Limit = "encoding/" + map[string]string{"csv": "csv", "jsonl": "json"}[r.Name]
		limit, err = s.encodePlainly(r.Name, r.To)
	}
	r.Limits = append(r.Limits, limit)
	return err
}

// recordOutput is an output that is measured.
type recordOutput struct {
	sink sink.Durable
	dir  string   // of its file; empty if it has none
	file *os.File // that, once more
}

func (r *recordRun) open() (*recordOutput, error) {
	format, compression, err := sink.ParseEncoding(r.Name)
	if err != nil {
		return nil, err
	}
	c := sink.Config{Path: r.To, Format: format, Compression: compression, Fields: sink.AllFields()}
	o := &recordOutput{}
	if r.To != aFile {
		o.sink, err = sink.Open(c, nil)
		return o, err
	}
	if o.dir, err = os.MkdirTemp("", "xsweep-bench-*"); err != nil {
		return nil, err
	}
	c.Path = filepath.Join(o.dir, "records."+r.Name)
	if o.sink, err = sink.Open(c, nil); err == nil {
		o.file, err = onlyFile(o.dir)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(o.dir))
	}
	return o, nil
}

// onlyFile opens the one file of a directory.
func onlyFile(dir string) (*os.File, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	if len(entries) != 1 {
		return nil, fmt.Errorf("%s has %d files, where one was to be", dir, len(entries))
	}
	return os.OpenFile(filepath.Join(dir, entries[0].Name()), os.O_RDWR, 0)
}

// size is how many bytes were written to its file.
func (o *recordOutput) size() (int64, error) {
	if o.file == nil {
		return 0, nil
	}
	info, err := o.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// close ends the output. Its file is emptied before: nobody wants it on the disk.
func (o *recordOutput) close() error {
	if o.file == nil {
		return o.sink.Close()
	}
	return errors.Join(o.file.Truncate(0), o.file.Close(), o.sink.Close(), os.RemoveAll(o.dir))
}

// written is what writing took.
type written struct {
	rate        float64 // records a second
	allocations float64 // a record
}

// write decodes all samples as a sweep does and gives them to a sink. The first
// batch is not in the figures: with it buffers get their size.
func (s *samples) write(to sink.Sink) (written, error) {
	if s.count() <= recordBatch {
		return written{}, fmt.Errorf("%d records are too few: one batch has %d", s.count(), recordBatch)
	}
	batch := make([]reply.Record, 0, recordBatch)
	var before, after runtime.MemStats
	var start time.Time
	for k := range s.count() {
		batch = batch[:len(batch)+1]
		if err := batch[len(batch)-1].Decode(s.at(k), s.wallOffset); err != nil {
			return written{}, err
		}
		if len(batch) < cap(batch) && k+1 < s.count() {
			continue
		}
		if err := to.Write(batch); err != nil {
			return written{}, err
		}
		batch = batch[:0]
		if start.IsZero() {
			runtime.GC()
			runtime.ReadMemStats(&before)
			start = time.Now()
		}
	}
	elapsed := time.Since(start)
	runtime.ReadMemStats(&after)
	n := float64(s.count() - recordBatch)
	return written{rate: n / elapsed.Seconds(), allocations: float64(after.Mallocs-before.Mallocs) / n}, nil
}

// writePlainly writes so many bytes as if they were of as many records, and
// returns how many of these a second.
func writePlainly(size int64, records int) (perSecond float64, err error) {
	file, err := scratchFile()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	batches := (records + recordBatch - 1) / recordBatch
	// Bytes that were never written would all be read from one page of zeros.
	batch := bytes.Repeat([]byte{'.'}, int(size/int64(batches)+1))
	start := time.Now()
	for left := size; left > 0; left -= int64(len(batch)) {
		if _, err := file.Write(batch[:min(int64(len(batch)), left)]); err != nil {
			return 0, fmt.Errorf("write as many bytes: %w", err)
		}
	}
	return float64(records) / time.Since(start).Seconds(), nil
}
