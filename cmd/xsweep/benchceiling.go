// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	"xsweep/internal/lab"
	"xsweep/sweep/bench"
	"xsweep/sweep/pace"
)

// ceilingEnv makes this program measure a ceiling: it holds what is to be
// measured, as JSON.
const ceilingEnv = "XSWEEP_BENCH_CEILING"

// ceilingLimit bounds the measurement with all that it sets up.
const ceilingLimit = 30 * time.Second

// ceilingTask is what is to be measured. Whoever sends is in a lab where all
// that is sent is dropped at the other end.
type ceilingTask struct {
	Tx      bench.Tx
	Threads int
	Size    int
	Flows   int
}

// maybeCeiling must be called first thing in the main function. In the process
// that measureCeiling has started it does not return.
func maybeCeiling() {
	text := os.Getenv(ceilingEnv)
	if text == "" {
		return
	}
	pace.SpareProcessors()
	ceiling, err := sendCeiling([]byte(text))
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(ceiling)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitFailed)
	}
	os.Exit(exitOK)
}

func sendCeiling(text []byte) (bench.Ceiling, error) {
	var task ceilingTask
	if err := json.Unmarshal(text, &task); err != nil {
		return bench.Ceiling{}, fmt.Errorf("%s: %w", ceilingEnv, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), ceilingLimit)
	defer cancel()
	session, err := bench.Open(ctx, bench.Config{
		// Beyond the lab's gateway, where nobody is.
		Targets: []netip.Addr{netip.AddrFrom4([4]byte{198, 19, 0, 1})}, MaxRate: bench.PoliteRate, Drain: time.Millisecond,
		Tx: task.Tx, Threads: task.Threads, Size: task.Size, Flows: task.Flows, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return bench.Ceiling{}, err
	}
	ceiling, err := session.Ceiling(ctx)
	return ceiling, errors.Join(err, session.Close())
}

// measureCeiling measures what the session's way of sending does at most, in a
// lab of its own. Nothing depends on it: where it cannot be done, that is said.
func (f *benchFlags) measureCeiling(ctx context.Context, session *bench.Session) *bench.Ceiling {
	if !f.ceiling {
		return nil
	}
	c, err := f.inCeilingLab(ctx, session.Transmitter())
	if err != nil {
		f.config.Log.Info(fmt.Sprintf("the sender's ceiling is not known: %v", err))
		return nil
	}
	if highest := float64(f.highest()); !f.search && highest > c.Rate {
		f.config.Log.Warn(fmt.Sprintf("%.0f probes a second are asked for: into a loop that drops them this sender does %.0f", highest, c.Rate))
	}
	return c
}

func (f *benchFlags) inCeilingLab(ctx context.Context, tx bench.Tx) (c *bench.Ceiling, err error) {
	if tx != bench.TxXDP && tx != bench.TxPacket {
		return nil, fmt.Errorf("transmitter %s needs no link layer, which a loop that drops has", tx)
	}
	ctx, cancel := context.WithTimeout(ctx, ceilingLimit)
	defer cancel()
	task, err := json.Marshal(ceilingTask{Tx: tx, Threads: max(f.config.Threads, 1), Size: f.sizes[0], Flows: max(f.config.Flows, 1)})
	if err != nil {
		return nil, err
	}
	l, err := lab.Start(lab.Config{Responder: lab.Sink, MTU: ceilingMTU(f.sizes[0])})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	var out, problems bytes.Buffer
	status, err := l.Exec(ctx, []string{"/proc/self/exe"}, append(os.Environ(), ceilingEnv+"="+string(task)), strings.NewReader(""), &out, &problems)
	switch {
	case err != nil:
		return nil, err
	case status != exitOK:
		return nil, fmt.Errorf("exit status %d: %s", status, strings.TrimSpace(problems.String()))
	}
	c = new(bench.Ceiling)
	if err := json.Unmarshal(out.Bytes(), c); err != nil {
		return nil, fmt.Errorf("read what it found: %w", err)
	}
	return c, nil
}

// ceilingMTU is that of a loop for probes of a size: the usual one where it
// suffices.
func ceilingMTU(size int) int { return max(1500, size+28) }
