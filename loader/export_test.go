// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/ringbuf"

	"xsweep/bpf"
)

// MinRing is the least a ring has, in bytes.
const MinRing = minRing

// FreezeClock makes the loaded filter believe that it is always now,
// CLOCK_MONOTONIC in nanoseconds, sign-extended from 32 bits: everything that
// it computes from the time is then known exactly.
func (r *Reply) FreezeClock(now int32) error {
	return r.rewrite(func(instructions asm.Instructions) error {
		frozen := 0
		for i, ins := range instructions {
			if ins.IsBuiltinCall() && asm.BuiltinFunc(ins.Constant) == asm.FnKtimeGetNs {
				// One slot for one slot, so that no jump needs adjusting.
				instructions[i] = asm.Mov.Imm(asm.R0, now).WithMetadata(ins.Metadata)
				frozen++
			}
		}
		if frozen != 1 {
			return fmt.Errorf("freeze the clock: the filter reads it in %d places, not in one", frozen)
		}
		return nil
	}, nil)
}

// rewrite loads the program again with changed instructions, over other maps
// where there are some, and else over the same maps and constants.
func (r *Reply) rewrite(change func(asm.Instructions) error, other map[string]*ebpf.Map) error {
	spec, err := bpf.LoadReply()
	if err != nil {
		return err
	}
	info, err := r.objects.XsweepReply.Info()
	if err != nil {
		return err
	}
	ids, _ := info.MapIDs()
	maps := map[string]*ebpf.Map{}
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			return err
		}
		defer m.Close()
		for name, s := range spec.Maps {
			mi, err := m.Info()
			if err != nil {
				return err
			}
			if mi.Name == short(name) {
				maps[name] = m
				s.MaxEntries = m.MaxEntries()
			}
		}
	}
	for name, m := range other {
		maps[name] = m
		spec.Maps[name].MaxEntries = m.MaxEntries()
	}
	if len(maps) != len(spec.Maps) {
		return fmt.Errorf("found %d of %d maps", len(maps), len(spec.Maps))
	}
	for name := range spec.Programs {
		if short(name) != short(info.Name) {
			delete(spec.Programs, name)
			continue
		}
		if change != nil {
			if err := change(spec.Programs[name].Instructions); err != nil {
				return err
			}
		}
	}
	again, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: maps})
	if err != nil {
		return err
	}
	defer again.Close()
	if len(again.Programs) != 1 {
		return fmt.Errorf("%d programs are called %q", len(again.Programs), info.Name)
	}
	old := r.objects.XsweepReply
	for name := range again.Programs {
		r.objects.XsweepReply = again.DetachProgram(name)
	}
	return old.Close()
}

// short is how much of a name the kernel keeps.
func short(name string) string { return name[:min(len(name), 15)] }

// ShrinkRings gives every CPU a ring of the given size in bytes instead of
// the one it has, so that a test can fill it. Records that wait are lost.
func (r *Reply) ShrinkRings(size uint32) error {
	cpus, err := onlineCPUs()
	if err != nil {
		return err
	}
	for i, cpu := range cpus {
		inner, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: size})
		if err != nil {
			return err
		}
		if err := r.objects.Rings.Put(uint32(cpu), inner); err != nil {
			return err
		}
		reader, err := ringbuf.NewReader(inner)
		if err != nil {
			return err
		}
		if err := r.rings[i].Close(); err != nil {
			return err
		}
		if err := r.inner[i].Close(); err != nil {
			return err
		}
		r.inner[i], r.rings[i] = inner, reader
	}
	return nil
}

// FillHeard takes what is free in the table of what was heard.
func (r *Reply) FillHeard() error {
	m := r.objects.Heard
	keys := make([]uint32, m.MaxEntries())
	buckets := make([]bpf.ReplyHeardBucket, m.MaxEntries())
	var cursor ebpf.MapBatchCursor
	if n, err := m.BatchLookup(&cursor, keys, buckets, nil); n != len(keys) {
		return fmt.Errorf("read %d of %d buckets: %w", n, len(keys), err)
	}
	for i := range buckets {
		for k, taken := range buckets[i].Slots {
			if taken == 0 {
				buckets[i].Slots[k] = ^uint64(0) // nothing that was heard
			}
		}
	}
	_, err := m.BatchUpdate(keys, buckets, nil)
	return err
}

// VerifiedInstructions is how many instructions the verifier walked through.
func (r *Reply) VerifiedInstructions() (uint32, bool) {
	info, err := r.objects.XsweepReply.Info()
	if err != nil {
		return 0, false
	}
	return info.VerifiedInstructions()
}

// Maps are the filter's maps as the kernel has them.
func (r *Reply) Maps() bpf.ReplyMaps { return r.objects.ReplyMaps }

// LoadError is loadError.
var LoadError = loadError

// FreezeClock makes the loaded transmitter believe that it is always now,
// CLOCK_MONOTONIC in nanoseconds. (What it calls the time is moved by EpochNs.)
func (t *Transmit) FreezeClock(now int32) error {
	spec, err := bpf.LoadTransmit()
	if err != nil {
		return err
	}
	const name = bpf.TransmitProgXsweepTransmit
	program := spec.Programs[name]
	frozen := 0
	for i, ins := range program.Instructions {
		if ins.IsBuiltinCall() && asm.BuiltinFunc(ins.Constant) == asm.FnKtimeGetNs {
			program.Instructions[i] = asm.Mov.Imm(asm.R0, now).WithMetadata(ins.Metadata)
			frozen++
		}
	}
	if frozen != 1 {
		return fmt.Errorf("freeze the clock: the transmitter reads it in %d places, not in one", frozen)
	}
	spec.Programs = map[string]*ebpf.ProgramSpec{name: program}
	for name, m := range spec.Maps {
		m.MaxEntries = t.objects.Maps[name].MaxEntries()
	}
	again, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: t.objects.Maps})
	if err != nil {
		return err
	}
	defer again.Close()
	old := t.objects.Programs[name]
	t.objects.Programs[name] = again.DetachProgram(name)
	return old.Close()
}

// FreezeClock makes the loaded judge believe that it is always now,
// CLOCK_MONOTONIC in nanoseconds.
func (b *Bench) FreezeClock(now int32) error {
	spec, err := bpf.LoadBench()
	if err != nil {
		return err
	}
	const name = bpf.BenchProgXsweepBench
	frozen := 0
	for i, ins := range spec.Programs[name].Instructions {
		if ins.IsBuiltinCall() && asm.BuiltinFunc(ins.Constant) == asm.FnKtimeGetNs {
			spec.Programs[name].Instructions[i] = asm.Mov.Imm(asm.R0, now).WithMetadata(ins.Metadata)
			frozen++
		}
	}
	if frozen != 1 {
		return fmt.Errorf("freeze the clock: the judge reads it in %d places, not in one", frozen)
	}
	info, err := b.objects.XsweepBench.Info()
	if err != nil {
		return err
	}
	ids, _ := info.MapIDs()
	maps := map[string]*ebpf.Map{}
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			return err
		}
		defer m.Close()
		mi, err := m.Info()
		if err != nil {
			return err
		}
		for name, s := range spec.Maps {
			if mi.Name == short(name) {
				maps[name] = m
				s.MaxEntries = m.MaxEntries()
			}
		}
	}
	again, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: maps})
	if err != nil {
		return err
	}
	defer again.Close()
	old := b.objects.XsweepBench
	b.objects.XsweepBench = again.DetachProgram(name)
	return old.Close()
}
