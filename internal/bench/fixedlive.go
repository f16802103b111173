// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
	"xsweep/loader"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
	"xsweep/sweep/target"
)

const (
	// liveFrames is how many live frames a thread sends in a round.
	liveFrames = 6_000_000
	// liveSetUp is a run so short that nearly all its time is the kernel's
	// setting up and clearing away.
	liveSetUp = pace.Burst
)

// fixedLiveFrames sends one ready-made probe again and again from inside the
// kernel: the least that a program can do that sends live frames.
type fixedLiveFrames struct {
	program *ebpf.Program
	objects io.Closer
	frame   []byte
	cpus    []int
	// arrived is how many frames have come to where they are counted.
	arrived func(lab.Stats) uint64
}

// newFixedLiveFrames makes a probe for an address where nobody answers. Those that
// the responder sees count.
func newFixedLiveFrames(to target.Addr) (*fixedLiveFrames, error) {
	template, err := newTemplate(probe.PayloadLen)
	if err != nil {
		return nil, err
	}
	f, err := newLiveFrame(template, to)
	if err != nil {
		return nil, err
	}
	spec, err := loadLive()
	if err != nil {
		return nil, err
	}
	var objects liveObjects
	if err := spec.LoadAndAssign(&objects, nil); err != nil {
		return nil, fmt.Errorf("load the program that sends fixed live frames: %w", err)
	}
	f.program, f.objects = objects.XsweepLive, &objects
	f.arrived = func(s lab.Stats) uint64 { return s.EchoRequests }
	return f, f.direct(objects.Device)
}

// newLiveFrame makes the frame, and finds the CPUs. What sends it the caller adds.
func newLiveFrame(template *probe.Template, to target.Addr) (*fixedLiveFrames, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("lift the limit on locked memory: %w", err)
	}
	cpus, err := loader.UsableCPUs()
	return &fixedLiveFrames{frame: template.Frame(probe.Probe{Target: uint32(to), Attempt: 1, HopLimit: 64}, 0), cpus: cpus}, err
}

// direct tells the program to which device it sends. On failure it frees what was
// loaded.
func (f *fixedLiveFrames) direct(to *ebpf.Map) error {
	device, err := net.InterfaceByName(lab.SenderDevice)
	if err != nil {
		return errors.Join(fmt.Errorf("find the lab's device: %w", err), f.objects.Close())
	}
	if err := to.Put(uint32(0), uint32(device.Index)); err != nil {
		return errors.Join(fmt.Errorf("tell the program its device %s: %w", device.Name, err), f.objects.Close())
	}
	return nil
}

// send sends n frames from each of as many threads, pinned to a CPU each, and
// returns how many a second arrived where they are counted. What the call itself
// takes before its first and after its last frame is not counted: a run of a
// few frames right before tells how much that is.
func (f *fixedLiveFrames) send(l *lab.Lab, threads int, n uint32) (perSecond float64, err error) {
	if threads > len(f.cpus) {
		return 0, fmt.Errorf("send live frames on %d threads: only %d CPUs", threads, len(f.cpus))
	}
	for range maxInterruptions {
		setUp, err := f.run(threads, liveSetUp)
		if err == nil {
			var before, after lab.Stats
			var elapsed time.Duration
			if before, err = l.Stats(); err != nil {
				return 0, err
			}
			if elapsed, err = f.run(threads, n); err == nil {
				if after, err = l.Stats(); err != nil {
					return 0, err
				}
				if elapsed <= setUp {
					return 0, fmt.Errorf("send %d live frames: took no longer than setting up: too few to tell a rate", n)
				}
				return float64(f.arrived(after)-f.arrived(before)) / (elapsed - setUp).Seconds(), nil
			}
		}
		if !errors.Is(err, errInterrupted) {
			return 0, err
		}
	}
	return 0, fmt.Errorf("send live frames: %w each time", errInterrupted)
}

// run runs the program n times on each of as many threads and returns how long
// it took until all had ended.
func (f *fixedLiveFrames) run(threads int, n uint32) (time.Duration, error) {
	type result struct {
		ended time.Time
		err   error
	}
	begin := make(chan struct{})
	ready, results := make(chan struct{}), make(chan result)
	for _, cpu := range f.cpus[:threads] {
		go func() {
			runtime.LockOSThread() // and not unlocked: it stays pinned, so it must end
			var set unix.CPUSet
			set.Set(cpu)
			err := unix.SchedSetaffinity(0, &set)
			ready <- struct{}{}
			<-begin
			if err == nil {
				err = f.call(n)
			}
			results <- result{time.Now(), err}
		}()
	}
	for range threads {
		<-ready
	}
	start := time.Now()
	close(begin)
	var errs []error
	last := start
	for range threads {
		r := <-results
		if r.ended.After(last) {
			last = r.ended
		}
		errs = append(errs, r.err)
	}
	return last.Sub(start), errors.Join(errs...)
}

// call is BPF_PROG_RUN with live frames. The library's Run begins anew after a
// signal, with the whole number of frames, so that nobody knows how many there
// were.
func (f *fixedLiveFrames) call(n uint32) error {
	// union bpf_attr, as BPF_PROG_RUN has it (linux/bpf.h).
	attr := struct {
		progFD, retval           uint32
		dataSizeIn, dataSizeOut  uint32
		dataIn, dataOut          uint64
		repeat, duration         uint32
		ctxSizeIn, ctxSizeOut    uint32
		ctxIn, ctxOut            uint64
		flags, cpu, batchSize, _ uint32
	}{
		progFD: uint32(f.program.FD()), dataSizeIn: uint32(len(f.frame)),
		dataIn: uint64(uintptr(unsafe.Pointer(&f.frame[0]))), repeat: n, flags: unix.BPF_F_TEST_XDP_LIVE_FRAMES, batchSize: pace.Burst,
	}
	_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_TEST_RUN, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(f.frame)
	switch errno {
	case 0:
		return nil
	case unix.EINTR:
		return errInterrupted
	}
	return fmt.Errorf("send live frames: %w", errno)
}

func (f *fixedLiveFrames) close() { f.objects.Close() }
