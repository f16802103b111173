// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
)

const (
	resumeRounds = 4
	// resumeLimit bounds the last round, which goes to the end of the sweep.
	resumeLimit = "30s"
	// resumeBriefly is how long the other rounds send, which leave most of the rest
	// to the last one.
	resumeBriefly = "50ms"
	// lookEvery is how often the far end is asked whether a probe has come.
	lookEvery = time.Millisecond
)

// resumeFiles are what a checkpoint consists of, behind its name.
var resumeFiles = []string{"", ".prev", ".log"}

// resumed is what was seen of sweeps that were gone on with.
type resumed struct {
	started series // s until the first probe
	memory  series // MiB
	size    series // MiB on the disk
	astray  series // hosts that were not found, or more than once
}

// resume measures how soon a sweep of 268 million addresses goes on.
func (b *bench) resume() ([]row, error) {
	var r resumed
	err := inLab(tenthLive, func(l *lab.Lab) error {
		dir, err := os.MkdirTemp("", "xsweep-bench-*")
		if err != nil {
			return fmt.Errorf("make a directory for a checkpoint: %w", err)
		}
		return errors.Join(b.resumeIn(dir, l, &r), os.RemoveAll(dir))
	})
	if err != nil {
		return nil, err
	}
	if inMemory(os.TempDir()) {
		b.note("%s is in memory: set TMPDIR to a directory on a disk.", os.TempDir())
	}
	return r.rows(), nil
}

func (r *resumed) rows() []row {
	return []row{
		newRow("to the first probe, "+wholeRange, "s", r.started).atMost(5, 0),
		newRow("RssAnon meanwhile", "MiB", r.memory),
		newRow("the checkpoint on the disk", "MiB", r.size),
		newRow("hosts missed or found twice, at the end of the sweep", "", r.astray).worst().atMost(0, 0),
	}
}

func (b *bench) resumeIn(dir string, l *lab.Lab, r *resumed) error {
	path := filepath.Join(dir, "checkpoint")
	// packet has nothing under way when it is stopped.
	if _, err := b.child(false, "--checkpoint", path, "--tx", "packet", "--tx-threads", "1", "--rate", "max",
		"--cooldown", settle.String(), "--max-runtime", settle.String(), wholeRange); err != nil {
		return err
	}
	grown, err := growCheckpoint(path, wholeRange, tenthLive, 99)
	if err != nil {
		return err
	}
	b.note("The checkpoint is at place %d of %d, with %d live hosts.", grown.place, grown.of, grown.hosts)
	for round := range resumeRounds {
		if err := forgetPages(path); err != nil {
			return err
		}
		size, err := checkpointSize(path)
		if err != nil {
			return err
		}
		last, limit := round == resumeRounds-1, resumeBriefly
		if last {
			limit = resumeLimit
		}
		var first time.Duration
		c, err := b.childBeside(true, func(began time.Time, ended <-chan struct{}) (err error) {
			first, err = firstProbe(l, began, ended)
			return err
		}, "--resume", path, "--tx", "xdp", "--max-runtime", limit)
		if err != nil {
			return err
		}
		r.started = append(r.started, first.Seconds())
		r.memory = append(r.memory, float64(c.peakAnon)/(1<<20))
		r.size = append(r.size, float64(size)/(1<<20))
		if last {
			astray := float64(c.answered) - float64(grown.live)
			r.astray = append(r.astray, max(astray, -astray))
		}
	}
	return nil
}

// firstProbe is when the far end gets a first echo request, since began.
func firstProbe(l *lab.Lab, began time.Time, ended <-chan struct{}) (time.Duration, error) {
	before, err := l.Stats()
	if err != nil {
		return 0, err
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return 0, errors.New("no probe has come from it")
		case <-tick.C:
		}
		now, err := l.Stats()
		if err != nil {
			return 0, err
		}
		if now.EchoRequests > before.EchoRequests {
			return time.Since(began), nil
		}
	}
}

// forgetPages takes a checkpoint out of the page cache, as if the machine had been
// started since.
func forgetPages(path string) error {
	for _, ending := range resumeFiles {
		file, err := os.Open(path + ending)
		if err != nil {
			return err
		}
		err = unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED)
		if err := errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("take %s out of the page cache: %w", path+ending, err)
		}
	}
	return nil
}

func checkpointSize(path string) (size int64, err error) {
	for _, ending := range resumeFiles {
		info, err := os.Stat(path + ending)
		if err != nil {
			return 0, err
		}
		size += info.Size()
	}
	return size, nil
}
