// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"
)

// newEmptyProgram loads a program that drops everything at once: what
// BPF_PROG_TEST_RUN itself costs.
func newEmptyProgram() (*ebpf.Program, error) {
	const xdpDrop = 1 // XDP_DROP of linux/bpf.h
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "xsweep_empty", Type: ebpf.XDP, AttachType: ebpf.AttachXDP, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpDrop), asm.Return()},
	})
	if err != nil {
		return nil, fmt.Errorf("load an empty program: %w", err)
	}
	return p, nil
}

// replayer shows prepared frames to programs, each frame once a run.
type replayer struct {
	objects replayObjects
	frames  int
	first   frame
}

func newReplayer(frames []frame) (*replayer, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("lift the limit on locked memory: %w", err)
	}
	spec, err := loadReplay()
	if err != nil {
		return nil, err
	}
	spec.Maps[replayMapFrames].MaxEntries = uint32(len(frames))
	r := &replayer{frames: len(frames), first: frames[0]}
	if err := spec.LoadAndAssign(&r.objects, nil); err != nil {
		return nil, fmt.Errorf("load the replay program: %w", err)
	}
	keys := make([]uint32, len(frames))
	for i := range keys {
		keys[i] = uint32(i)
	}
	if _, err := r.objects.Frames.BatchUpdate(keys, frames, nil); err != nil {
		r.close()
		return nil, fmt.Errorf("fill the map of frames: %w", err)
	}
	return r, nil
}

func (r *replayer) close() { r.objects.Close() }

// errInterrupted says that a signal cut a run short: some frames were shown,
// and the program under test is not fresh any more.
var errInterrupted = errors.New("interrupted by a signal")

// run shows every frame to a program once and returns the mean time a frame,
// replaying included.
func (r *replayer) run(p *ebpf.Program) (time.Duration, error) {
	if err := r.objects.UnderTest.Put(uint32(0), p); err != nil {
		return 0, fmt.Errorf("put a program under test: %w", err)
	}
	if err := r.objects.Next.Set(uint32(0)); err != nil {
		return 0, fmt.Errorf("rewind the frames: %w", err)
	}
	interrupted := false
	_, mean, err := r.objects.XsweepReplay.Benchmark(r.first[:], r.frames, func() { interrupted = true })
	if interrupted {
		return 0, errInterrupted
	}
	if err != nil {
		return 0, err
	}
	var shown uint32
	if err := r.objects.Next.Get(&shown); err != nil {
		return 0, fmt.Errorf("count the frames shown: %w", err)
	}
	if int(shown) != r.frames {
		return 0, fmt.Errorf("replay %d frames: only %d were shown", r.frames, shown)
	}
	return mean, nil
}
