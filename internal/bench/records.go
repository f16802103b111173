// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"xsweep/loader"
)

// recordsEnv marks the copy of this program that measures records on one core.
const recordsEnv = "XSWEEP_BENCH_RECORDS"

// recordRun is one way of records: a format, and where it goes.
type recordRun struct {
	Name   string  // of the format, as outputs are named by it
	To     string  // "a file" or a device
	Goal   float64 // records a second; 0 is none
	Digits int     // that allocations a record are rounded to

	Rates       series `json:",omitempty"` // records a second
	Limit       string `json:",omitempty"` // what it is compared with
	Limits      series `json:",omitempty"`
	Allocations series `json:",omitempty"` // a record
}

// aFile is where records go that go to no device.
const aFile = "a file"

// newRecordRuns are all ways that are measured. One allocation for each batch of
// 4,096 records shows as 0.0002; a compressed frame and a Parquet row group may
// have some.
func newRecordRuns() []*recordRun {
	return []*recordRun{
		{Name: "csv", To: aFile, Goal: 1e6, Digits: 4},
		{Name: "jsonl", To: aFile, Goal: 1e6, Digits: 4},
		{Name: "parquet", To: aFile, Goal: 2e6, Digits: 2},
		{Name: "csv.zst", To: aFile, Digits: 3},
		{Name: "jsonl.zst", To: aFile, Digits: 3},
		{Name: "csv", To: os.DevNull, Digits: 4},
		{Name: "jsonl", To: os.DevNull, Digits: 4},
	}
}

// records measures the way of records from the ring to an output, in a copy of
// this program that has one CPU.
func (b *bench) records() ([]row, error) {
	output, err := b.onOneCore(recordsEnv + "=1")
	if err != nil {
		return nil, err
	}
	var runs []*recordRun
	if err := json.Unmarshal(output, &runs); err != nil {
		return nil, fmt.Errorf("read the figures of records: %w", err)
	}
	return recordRows(runs), nil
}

func recordRows(runs []*recordRun) []row {
	var rates, allocations []row
	for _, r := range runs {
		rate := newRow(r.Name+" to "+r.To, perSecond, r.Rates).against(r.Limit, r.Limits)
		if r.Goal != 0 {
			rate = rate.atLeast(r.Goal, 0)
		}
		rates = append(rates, rate)
		if r.To == aFile {
			each := newRow(r.Name+": allocations a record", "", r.Allocations).worst().atMost(0, 0)
			each.Value = rounded(each.Value, r.Digits)
			allocations = append(allocations, each)
		}
	}
	return append(rates, allocations...)
}

// rounded leaves so many digits behind the point.
func rounded(v float64, digits int) float64 {
	unit := math.Pow10(digits)
	return math.Round(v*unit) / unit
}

// onOneCore runs this program again on one CPU, the last one: the first gets
// most interrupts. It returns what the copy prints.
func (b *bench) onOneCore(env string) ([]byte, error) {
	cpus, err := loader.UsableCPUs()
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(b.ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), env)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// The copy is killed when the thread that started it ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ended := make(chan error)
	go func() {
		runtime.LockOSThread() // and not unlocked: it stays pinned, so it must end
		var set unix.CPUSet
		set.Set(cpus[len(cpus)-1])
		err := unix.SchedSetaffinity(0, &set) // which the copy inherits
		if err == nil {
			err = cmd.Run()
		}
		ended <- err
	}()
	if err := <-ended; err != nil {
		return nil, fmt.Errorf("measure on one core: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), nil
}
