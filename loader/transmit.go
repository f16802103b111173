// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"xsweep/bpf"
)

// TransmitConfig says what the transmitter in the kernel sends.
type TransmitConfig struct {
	// Key is the sweep's secret.
	Key [16]byte
	// Device is the index of the interface to send through.
	Device int
	// Flows are what a descriptor's flow stands for, 1 to 256, the first one with
	// the source that is in the shapes.
	Flows []Flow
	// Shapes are what the probes of each kind share, none twice.
	Shapes []TransmitShape
	// Tagged says that echo requests have room for the payload.
	Tagged bool
	// SameTarget says that many probes in a row go to one target, so that a cookie
	// may serve for more than one.
	SameTarget bool
	// UTOffset is what makes CLOCK_MONOTONIC nanoseconds since a midnight UT.
	UTOffset int64
	// CPUs are the numbers of the CPUs that will send, each from one thread.
	CPUs []int
	// Untraced does without the tracepoints that tell what became of frames, as on
	// kernels that lack them.
	Untraced bool
}

// Flow is what probes to one target can differ in, as probe.Flow has it.
type Flow struct {
	// Source is the IPv4 address that probes come from.
	Source netip.Addr
	// IDOffset is added to the cookie's first 16 bits.
	IDOffset uint16
}

// word is an IPv4 address as programs have it: as it stands in the packet.
func word(a netip.Addr) uint32 {
	b := a.As4()
	return *(*uint32)(unsafe.Pointer(&b))
}

// TransmitShape is what all probes of a kind share, as probe.Template has it.
type TransmitShape struct {
	// Request is the ICMP type: 8, 13 or 17.
	Request uint8
	// Frame is a whole frame with its Ethernet header.
	Frame []byte
	// IPSum and ICMPSum are sums of the words.
	IPSum, ICMPSum uint64
}

// Offsets in a frame: to the end of the ICMP code, and to the data.
const (
	headerEnd = 14 + 20 + 2
	dataStart = 14 + 20 + 8
)

// abi is the shape as the program has it. Frames are at least long enough for
// the payload, so that it may write all of that.
func (s TransmitShape) abi() bpf.TransmitProbeShape {
	shape := bpf.TransmitProbeShape{IpSum: s.IPSum, IcmpSum: s.ICMPSum, Length: uint32(len(s.Frame))}
	padded := append(slices.Clone(s.Frame), make([]byte, 4*len(shape.Data))...)
	for i := range shape.Header {
		shape.Header[i] = binary.LittleEndian.Uint32(padded[4*i : headerEnd])
	}
	for i := range shape.Data {
		shape.Data[i] = binary.LittleEndian.Uint32(padded[dataStart+4*i:])
	}
	return shape
}

// FrameLen is how long the frames of a run must be: as the longest kind, and no
// shorter than what the program writes.
func (c TransmitConfig) FrameLen() int {
	longest := dataStart + 4*len(bpf.TransmitProbeShape{}.Data)
	for _, s := range c.Shapes {
		longest = max(longest, len(s.Frame))
	}
	return longest
}

// ProbeRing is the memory that a sending thread shares with the program; see
// bpf/include/transmit_abi.h.
type ProbeRing = bpf.TransmitProbeRing

// ProbeDescriptor is one probe in it.
type ProbeDescriptor = bpf.TransmitProbeDescriptor

// ProbeRingSize is the number of probes that fit into a ring.
const ProbeRingSize = len(bpf.TransmitProbeRing{}.Probes)

// Transmit is the loaded transmitter.
type Transmit struct {
	objects  *ebpf.Collection
	memory   []byte
	stride   int
	links    []link.Link
	traced   bool
	frameLen int

	possible []int // CPUs, in the order of per-CPU values
}

// tracers are the programs that learn from the kernel what became of frames,
// by the tracepoints that they are attached to.
var tracers = map[string]string{
	"xdp_devmap_xmit":  bpf.TransmitProgCountXmit,
	"xdp_redirect_err": bpf.TransmitProgCountRedirectErr,
}

// LoadTransmit loads the transmitter and starts to count what it sends. Where
// the kernel lacks the tracepoints that tell what became of frames, nothing is
// counted, and Traced says so.
func LoadTransmit(c TransmitConfig) (*Transmit, error) {
	traced := !c.Untraced
	for point := range tracers {
		if err := tryTracepoint(point); errors.Is(err, ebpf.ErrNotSupported) {
			traced = false
		}
	}
	var flows [256]bpf.TransmitProbeFlow // FLOWS_MAX of bpf/include/transmit_abi.h
	if len(c.Flows) < 1 || len(c.Flows) > len(flows) || len(c.CPUs) == 0 || len(c.Shapes) == 0 {
		return nil, fmt.Errorf("%d flows, %d CPUs, %d kinds of probe: needs one of each, and at most %d flows", len(c.Flows), len(c.CPUs), len(c.Shapes), len(flows))
	}
	for i, f := range c.Flows {
		if !f.Source.Is4() {
			return nil, fmt.Errorf("source %v is not an IPv4 address", f.Source)
		}
		flows[i] = bpf.TransmitProbeFlow{Source: word(f.Source), IdOffset: uint32(f.IDOffset)}
	}
	var shapes [numKinds + 1]bpf.TransmitProbeShape
	var kinds, patternLen uint32
	var pattern [4096]byte // PATTERN_MAX of bpf/include/transmit_abi.h
	for _, s := range c.Shapes {
		kind, ok := requestKinds[s.Request]
		if !ok || len(s.Frame) < dataStart {
			return nil, fmt.Errorf("probes of ICMP type %d in frames of %d bytes", s.Request, len(s.Frame))
		}
		kinds |= 1 << kind
		shapes[kind] = s.abi()
		if first := dataStart + 4*len(shapes[kind].Data); kind == echoKind && len(s.Frame) > first {
			patternLen = uint32(copy(pattern[:], s.Frame[first:]))
		}
	}
	spec, err := bpf.LoadTransmit()
	if err != nil {
		return nil, fmt.Errorf("read its program: %w", err)
	}
	namespace, err := networkNamespace()
	if err != nil {
		return nil, err
	}
	last := 0
	for _, cpu := range c.CPUs {
		last = max(last, cpu)
	}
	spec.Maps[bpf.TransmitMapRings].MaxEntries = uint32(last + 1)
	for name, value := range map[string]any{
		bpf.TransmitVarKey:           c.Key,
		bpf.TransmitVarDevice:        int32(c.Device),
		bpf.TransmitVarNetns:         namespace,
		bpf.TransmitVarFlows:         flows,
		bpf.TransmitVarFlowCount:     uint32(len(c.Flows)),
		bpf.TransmitVarKinds:         kinds,
		bpf.TransmitVarShapes:        shapes,
		bpf.TransmitVarPatternLength: patternLen,
		bpf.TransmitVarPattern:       pattern,
		bpf.TransmitVarTagged:        c.Tagged,
		bpf.TransmitVarLength:        uint32(c.FrameLen()),
		bpf.TransmitVarUtOffset:      uint64(c.UTOffset),
		bpf.TransmitVarTraced:        traced,
		bpf.TransmitVarSameTarget:    c.SameTarget,
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return nil, fmt.Errorf("set %s: %w", name, err)
		}
	}
	if !traced {
		for _, name := range tracers {
			delete(spec.Programs, name)
		}
	}
	t := &Transmit{traced: traced, frameLen: c.FrameLen()}
	if t.possible, err = possibleCPUs(); err != nil {
		return nil, err
	}
	if t.objects, err = ebpf.NewCollection(spec); err != nil {
		return nil, loadError("transmitter", err)
	}
	if err := t.share(last + 1); err != nil {
		t.Close()
		return nil, err
	}
	if err := t.objects.Maps[bpf.TransmitMapDevices].Put(uint32(c.Device), uint32(c.Device)); err != nil {
		t.Close()
		if !deviceExists(c.Device) { // the kernel calls that an invalid argument
			err = unix.ENODEV
		}
		return nil, fmt.Errorf("name it the device with index %d: %w", c.Device, err)
	}
	if !traced {
		return t, nil
	}
	for point, name := range tracers {
		l, err := link.AttachTracing(link.TracingOptions{Program: t.objects.Programs[name]})
		if err != nil {
			t.Close()
			return nil, fmt.Errorf("trace what is sent at %s: %w", point, err)
		}
		t.links = append(t.links, l)
	}
	return t, nil
}

// share maps the rings into this process.
func (t *Transmit) share(rings int) error {
	t.stride = (int(unsafe.Sizeof(ProbeRing{})) + 7) &^ 7
	page := os.Getpagesize()
	size := (rings*t.stride + page - 1) / page * page
	memory, err := unix.Mmap(t.objects.Maps[bpf.TransmitMapRings].FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map the probe rings: %w", err)
	}
	t.memory = memory
	return nil
}

// Program is the loaded program, for tests that run it without a device.
func (t *Transmit) Program() *ebpf.Program { return t.objects.Programs[bpf.TransmitProgXsweepTransmit] }

// Ring is the ring of the thread that sends on a CPU.
func (t *Transmit) Ring(cpu int) *ProbeRing {
	return (*ProbeRing)(unsafe.Pointer(&t.memory[cpu*t.stride]))
}

// FrameLen is how long the frames of a run must be, in bytes.
func (t *Transmit) FrameLen() int { return t.frameLen }

// Run runs the program turns times on this thread, which must be locked and
// pinned to its CPU, over copies of frame. It returns unix.EINTR when a signal
// came first: nothing is lost then, since the ring knows what was sent.
func (t *Transmit) Run(frame []byte, turns, batch uint32) error {
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
		progFD: uint32(t.Program().FD()), dataSizeIn: uint32(len(frame)),
		dataIn: uint64(uintptr(unsafe.Pointer(&frame[0]))), repeat: turns, flags: unix.BPF_F_TEST_XDP_LIVE_FRAMES, batchSize: batch,
	}
	_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_TEST_RUN, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(frame)
	if errno != 0 {
		return errno
	}
	return nil
}

// TransmitCounts is what became of the frames so far.
type TransmitCounts struct {
	Accepted uint64
	Refused  [256]uint64 // by errno
}

// Traced says whether the kernel tells what becomes of frames.
func (t *Transmit) Traced() bool { return t.traced }

// Counts is the account of the thread that sends on a CPU: frames are counted
// where they are sent. It stays empty unless Traced.
func (t *Transmit) Counts(cpu int) (TransmitCounts, error) {
	cpus := make([]bpf.TransmitTransmitCounters, len(t.possible))
	if err := t.objects.Maps[bpf.TransmitMapSent].Lookup(uint32(0), &cpus); err != nil {
		return TransmitCounts{}, fmt.Errorf("read its counters: %w", err)
	}
	place := slices.Index(t.possible, cpu)
	return TransmitCounts{Accepted: cpus[place].Accepted, Refused: cpus[place].Refused}, nil
}

// Close frees everything. No thread may be in Run.
func (t *Transmit) Close() error {
	var errs []error
	for _, l := range t.links {
		errs = append(errs, l.Close())
	}
	if t.memory != nil {
		errs = append(errs, unix.Munmap(t.memory))
	}
	t.objects.Close()
	return errors.Join(errs...)
}

// networkNamespace is the inode of this thread's network namespace.
func networkNamespace() (uint32, error) {
	var stat unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &stat); err != nil {
		return 0, fmt.Errorf("look at the network namespace: %w", err)
	}
	return uint32(stat.Ino), nil
}
