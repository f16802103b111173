// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"xsweep/bpf"
)

// BenchConfig says what the judge of a benchmark is to judge. It does not change
// while the judge is loaded.
type BenchConfig struct {
	// Key is the secret of the run. Cookies and tags are made with it.
	Key [16]byte
	// Flows are what probes to one target differ in, at least one, none twice.
	Flows []Flow
	// Targets are the IPv4 addresses that are probed in turn, at most MaxBenchTargets, none twice.
	Targets []netip.Addr
	// Threads is how many threads send. Thread t sends the indexes base + n x
	// Threads + t, to target n modulo their number, by flow n / targets modulo
	// theirs.
	Threads int
	// MessageLen is the length of a probe's ICMP message in bytes, 28 to
	// MaxMessageLen: the payload tells which probe it is.
	MessageLen int
	// Window is how many probes can be told apart at least: more than are sent
	// within the drain time. It is rounded up to a power of two.
	Window uint64
	// BareIP is set for devices whose frames start with the IP header.
	BareIP bool
}

// Bounds of one benchmark: its targets, and what threads, targets and flows make
// together.
const (
	MaxBenchTargets = 4096
	MaxBenchFlows   = 1 << 16
)

// maxBenchWindow bounds the window, in probes: 256 MiB of memory.
const maxBenchWindow = 1 << 30

// benchWordLog2 is BENCH_WORD_LOG2 of bpf/include/bench_abi.h.
const benchWordLog2 = 5

func (c BenchConfig) validate() error {
	switch {
	case len(c.Flows) < 1:
		return errors.New("judge: no flows: needs one source at least")
	case len(c.Targets) < 1 || len(c.Targets) > MaxBenchTargets:
		return fmt.Errorf("judge: %d targets: must be 1 to %d", len(c.Targets), MaxBenchTargets)
	case c.Threads < 1:
		return fmt.Errorf("judge: %d threads: must be at least 1", c.Threads)
	case c.flows() > MaxBenchFlows:
		return fmt.Errorf("judge: %d targets times %d threads times %d flows: must be at most %d", len(c.Targets), c.Threads, len(c.Flows), MaxBenchFlows)
	case c.MessageLen < 28 || c.MessageLen > MaxMessageLen:
		return fmt.Errorf("judge: ICMP message of %d bytes: must be 28 to %d", c.MessageLen, MaxMessageLen)
	case c.Window > maxBenchWindow:
		return fmt.Errorf("judge: a window of %d probes: at most %d can be told apart: use a lower rate or a shorter drain time", c.Window, maxBenchWindow)
	}
	seen := map[netip.Addr]bool{}
	for _, t := range c.Targets {
		if !t.Is4() || seen[t] {
			return fmt.Errorf("judge: target %v: must be an IPv4 address, each once", t)
		}
		seen[t] = true
	}
	flows := map[Flow]bool{}
	for _, f := range c.Flows {
		if !f.Source.Is4() || flows[f] {
			return fmt.Errorf("judge: flow from %v with the identifier offset %d: must come from an IPv4 address, each flow once", f.Source, f.IDOffset)
		}
		flows[f] = true
	}
	return nil
}

// flows is how many flows there are, of all threads and targets.
func (c BenchConfig) flows() int { return c.homes() * len(c.Flows) }

// homes is how many of them are first ones of a thread and target.
func (c BenchConfig) homes() int { return c.Threads * len(c.Targets) }

// sources are the flows' sources, and how far their identifiers are apart.
func (c BenchConfig) sources() (sources []netip.Addr, idOffsets uint32) {
	for _, f := range c.Flows {
		if !slices.Contains(sources, f.Source) {
			sources = append(sources, f.Source)
		}
		idOffsets = max(idOffsets, uint32(f.IDOffset)+1)
	}
	return sources, idOffsets
}

// Bench is the loaded judge.
type Bench struct {
	objects bpf.BenchObjects
	link    link.Link
	config  BenchConfig
	log2    uint32 // of the window's words
	memory  []byte
	words   []uint64 // the window
}

// LoadBench loads the judge without attaching it. Errors are as those of
// [LoadReply].
func LoadBench(c BenchConfig) (*Bench, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	spec, err := bpf.LoadBench()
	if err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	b := &Bench{config: c, log2: 5} // a page at least
	for uint64(1)<<(b.log2+benchWordLog2) < c.Window {
		b.log2++
	}
	flows := c.flows()
	sources, idOffsets := c.sources()
	spec.Maps[bpf.BenchMapSources].MaxEntries = uint32(len(sources))
	spec.Maps[bpf.BenchMapWindow].MaxEntries = 1 << b.log2
	spec.Maps[bpf.BenchMapFlows].MaxEntries = uint32(flows)
	spec.Maps[bpf.BenchMapAnswers].MaxEntries = uint32(flows)
	spec.Maps[bpf.BenchMapTargets].MaxEntries = uint32(len(c.Targets))
	for name, value := range map[string]any{
		bpf.BenchVarKey:         c.Key,
		bpf.BenchVarSource:      word(sources[0]),
		bpf.BenchVarSourceCount: uint32(len(sources)),
		bpf.BenchVarIdOffsets:   idOffsets,
		bpf.BenchVarHomeCount:   uint32(c.homes()),
		bpf.BenchVarMessageLen:  uint32(c.MessageLen),
		bpf.BenchVarThreads:     uint32(c.Threads),
		bpf.BenchVarFlowCount:   uint32(flows),
		bpf.BenchVarWindowLog2:  b.log2,
		bpf.BenchVarBareIp:      boolByte(c.BareIP),
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return nil, fmt.Errorf("judge: set %s: %w", name, err)
		}
	}
	if err := spec.LoadAndAssign(&b.objects, nil); err != nil {
		return nil, loadError("judge", err)
	}
	for _, a := range sources {
		if err := b.objects.Sources.Put(word(a), uint8(1)); err != nil {
			b.Close()
			return nil, fmt.Errorf("judge: name its sources: %w", err)
		}
	}
	size := (8<<b.log2 + os.Getpagesize() - 1) &^ (os.Getpagesize() - 1)
	if b.memory, err = unix.Mmap(b.objects.Window.FD(), 0, size, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		b.Close()
		return nil, fmt.Errorf("judge: map its window: %w", err)
	}
	b.words = unsafe.Slice((*uint64)(unsafe.Pointer(&b.memory[0])), 1<<b.log2)
	return b, nil
}

// Program is the loaded program, for tests that run it without a device.
func (b *Bench) Program() *ebpf.Program { return b.objects.XsweepBench }

// Window is how many probes can be told apart.
func (b *Bench) Window() uint64 { return 1 << (b.log2 + benchWordLog2) }

// Attach puts the judge on a device, as [Reply.Attach] does.
func (b *Bench) Attach(device string, ifindex int, mode XDPMode) (XDPMode, error) {
	if b.link != nil {
		return 0, errors.New("attach xdp: the judge sits on a device already")
	}
	l, got, err := attachXDP(b.objects.XsweepBench, device, ifindex, mode)
	if err == nil {
		b.link = l
	}
	return got, err
}

// Attached says whether the judge still sits on its device.
func (b *Bench) Attached() bool {
	if b.link == nil {
		return false
	}
	info, err := b.link.Info()
	if err != nil || info.XDP() == nil {
		return true // nobody said otherwise
	}
	return info.XDP().Ifindex != 0
}

// Close takes the judge off its device and frees everything.
func (b *Bench) Close() error {
	var errs []error
	if b.link != nil {
		errs = append(errs, b.link.Close())
		b.link = nil
	}
	if b.memory != nil {
		errs = append(errs, unix.Munmap(b.memory))
		b.memory, b.words = nil, nil
	}
	return errors.Join(append(errs, b.objects.Close())...)
}

// BenchTrial are the probes of one trial: those with the indexes from Base to
// below End, of which the ones before Measured only warm up.
type BenchTrial struct {
	Base, Measured, End uint64
	// Interval is the time between two probes of a thread, in 2^-16 ns; 0: there is
	// no schedule, and latency from it is that from the send stamp.
	Interval uint64
	// DrainNS is after how long an answer is late, in ns.
	DrainNS uint64
}

// Begin begins a trial: all counters start from zero. Base must be a multiple of
// threads times targets times flows. No index may have been in a trial before.
func (b *Bench) Begin(t BenchTrial) error {
	flows := uint64(b.config.flows())
	if t.Base%flows != 0 || t.Measured < t.Base || t.End < t.Measured {
		return fmt.Errorf("judge: trial of the indexes %d, %d and %d: must begin with a multiple of %d and ascend", t.Base, t.Measured, t.End, flows)
	}
	cpus := ebpf.MustPossibleCPU()
	errs := []error{
		// An empty range first: what still comes in is of no trial.
		b.objects.Trial.Put(uint32(0), bpf.BenchBenchTrial{}),
		b.objects.Counts.Put(uint32(0), make([]bpf.BenchBenchCounters, cpus)),
		b.objects.FromSent.Put(uint32(0), make([]bpf.BenchBenchHistogram, cpus)),
		b.objects.FromScheduled.Put(uint32(0), make([]bpf.BenchBenchHistogram, cpus)),
	}
	numbers, fresh := make([]uint32, flows), make([]bpf.BenchBenchFlow, flows)
	for i := range fresh {
		target, _, flow := b.place(i)
		numbers[i] = uint32(i)
		fresh[i] = bpf.BenchBenchFlow{Target: word(target), Source: word(flow.Source), IdOffset: flow.IDOffset}
	}
	_, flowsErr := b.objects.Flows.BatchUpdate(numbers, fresh, nil)
	_, answersErr := b.objects.Answers.BatchUpdate(numbers, make([]uint64, int(flows)*cpus), nil)
	errs = append(errs, flowsErr, answersErr)
	for _, a := range b.config.Targets {
		errs = append(errs, b.objects.Targets.Put(a.As4(), uint64(0)))
	}
	errs = append(errs, b.objects.Trial.Put(uint32(0), bpf.BenchBenchTrial{
		Base: t.Base, Measured: t.Measured, End: t.End, Interval: t.Interval, DrainNs: t.DrainNS,
	}))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("judge: begin a trial: %w", err)
	}
	return nil
}

// place says which thread's flow to which target has a number.
func (b *Bench) place(number int) (target netip.Addr, thread int, flow Flow) {
	c := &b.config
	return c.Targets[number/c.Threads%len(c.Targets)], number % c.Threads, c.Flows[number/c.homes()]
}

// Lost looks at the probes with the indexes from, from + stride and so on below to, of
// the trial under way: how many have no answer, which is the last of them, and whether
// the window still knows of all.
func (b *Bench) Lost(from, to, stride uint64) (lost, last uint64, known bool) {
	known = true
	current, word := ^uint64(0), uint64(0)
	for index := from; index < to; index += stride {
		if number := index >> benchWordLog2; number != current {
			current = number
			word = atomic.LoadUint64(&b.words[number&(1<<b.log2-1)])
			switch lap := number >> b.log2; {
			case word>>32 > lap:
				known, word = false, ^uint64(0) // nothing is known to be lost
			case word>>32 < lap:
				word = 0
			}
		}
		if word>>(index&(1<<benchWordLog2-1))&1 == 0 {
			lost, last = lost+1, index
		}
	}
	return lost, last, known
}
