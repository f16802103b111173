// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"net/netip"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"

	"xsweep/bpf"
)

// ringBudget is what all record rings take together, in bytes. Each CPU gets
// an equal share, rounded down to a power of two.
const ringBudget = 32 << 20

// minRing is the least a CPU's ring has, in bytes, however many CPUs share
// the budget.
const minRing = 64 << 10

// RecordBytes is what a record takes of a ring, header included.
const RecordBytes = int(unsafe.Sizeof(bpf.ReplyRecord{})) + 8

// The longest ICMP messages that the filter can judge, in bytes: in one piece,
// CHECKSUM_MAX_LENGTH of bpf/include/checksum.h, and in several, what an IP
// packet holds.
const (
	MaxMessageLen       = 4095
	MaxPiecesMessageLen = 65535 - 20
)

// MaxOnePieceMTU is an MTU up to which drivers hand packets to programs in one
// piece, in bytes. Beyond it many take no program that wants that.
const MaxOnePieceMTU = 3000

// ReplyConfig says what the reply filter is to judge. It is passed by value
// and does not change while the filter is loaded.
type ReplyConfig struct {
	// Key is the sweep's secret. Cookies and tags are made with it.
	Key [16]byte
	// Source is the IPv4 address that probes come from.
	Source netip.Addr
	// Targets yields the ranges of addresses that may answer, both ends
	// included, ascending and disjoint, in host byte order.
	Targets iter.Seq2[uint32, uint32]
	// Probes are the kinds of probes that a target gets, none twice.
	Probes []ProbeShape
	// Attempts is how many of each kind a target gets, 1 to MaxAttempts.
	Attempts int
	// UTOffset is what makes CLOCK_MONOTONIC nanoseconds since a midnight UT, for
	// timestamp replies.
	UTOffset int64
	// Pieces is for devices whose packets may come in several pieces, and for
	// probes over MaxMessageLen. It needs Linux 5.18.
	Pieces bool
	// BareIP is set for devices whose frames start with the IP header.
	BareIP bool
	// RecordFirst asks for a record of each target's first reply, RecordErrors
	// for one of each error, and RecordAll for the repeats and duplicates of what
	// else is recorded.
	RecordFirst, RecordErrors, RecordAll bool
	// FirstRun is the number of the sweep's first run since the machine was
	// started: of probes of earlier ones the round-trip time is not known.
	FirstRun uint16
	// Many takes replies to echo requests from any address, if their tag is
	// right: one from each is the first. A record's target is then an index.
	Many bool
}

// ProbeShape is a kind of probe, as the filter knows its answers by.
type ProbeShape struct {
	// Request is the ICMP type: 8, 13 or 17.
	Request uint8
	// MessageLen is the length of the ICMP message in bytes, 8 to MaxMessageLen,
	// or MaxPiecesMessageLen.
	MessageLen int
}

// probeKind is enum probe_kind of bpf/include/parse.h.
type probeKind = bpf.ReplyProbeKind

const (
	echoKind      = bpf.ReplyProbeKindPROBE_ECHO
	timestampKind = bpf.ReplyProbeKindPROBE_TIMESTAMP
	maskKind      = bpf.ReplyProbeKindPROBE_MASK
	numKinds      = bpf.ReplyProbeKindPROBE_KINDS
)

// requestKinds are the kinds by the ICMP type of their requests.
var requestKinds = map[uint8]probeKind{8: echoKind, 13: timestampKind, 17: maskKind}

// replyTypes are the ICMP types of replies, by that of their requests.
var replyTypes = map[uint8]uint8{8: 0, 13: 14, 17: 18}

func (c ReplyConfig) validate() error {
	switch {
	case !c.Source.Is4():
		return fmt.Errorf("reply filter: source %v is not an IPv4 address", c.Source)
	case c.Attempts < 1 || c.Attempts > MaxAttempts:
		return fmt.Errorf("reply filter: %d attempts: must be 1 to %d", c.Attempts, MaxAttempts)
	case c.Targets == nil:
		return errors.New("reply filter: no targets")
	case len(c.Probes) == 0:
		return errors.New("reply filter: no probes")
	}
	seen, longest := map[uint8]bool{}, MaxMessageLen
	if c.Pieces {
		longest = MaxPiecesMessageLen
	}
	for _, p := range c.Probes {
		if _, ok := requestKinds[p.Request]; !ok || seen[p.Request] {
			return fmt.Errorf("reply filter: probes of ICMP type %d: must be 8, 13 or 17, each once", p.Request)
		}
		if p.MessageLen < 8 || p.MessageLen > longest {
			return fmt.Errorf("reply filter: ICMP message of %d bytes: must be 8 to %d", p.MessageLen, longest)
		}
		seen[p.Request] = true
	}
	if c.Many && (len(c.Probes) != 1 || !seen[8]) {
		return errors.New("reply filter: many answers come to echo requests alone")
	}
	return nil
}

// replyObjects are the maps, and the one of the programs that is used.
type replyObjects struct {
	bpf.ReplyMaps
	XsweepReply *ebpf.Program
}

// load puts one of the programs of spec into the kernel, with its maps.
func (o *replyObjects) load(spec *ebpf.CollectionSpec, program string) error {
	for name := range spec.Programs {
		if name != program {
			delete(spec.Programs, name) // it may need a later kernel
		}
	}
	collection, err := ebpf.NewCollection(spec)
	if err != nil {
		return err
	}
	if err := collection.Assign(&o.ReplyMaps); err != nil {
		collection.Close()
		return err
	}
	o.XsweepReply = collection.DetachProgram(program)
	collection.Close() // what is left of it
	return nil
}

func (o *replyObjects) Close() error { return errors.Join(o.ReplyMaps.Close(), o.XsweepReply.Close()) }

// Reply is the loaded reply filter.
type Reply struct {
	objects replyObjects
	inner   []*ebpf.Map
	rings   []*ringbuf.Reader
	link    link.Link
	scratch []bpf.ReplyCounters // one a CPU, for Stats
	barrier uint32              // the key of the map of rings that no CPU has
	used    bool                // was attached: Detach works once

	// What Restore needs to know.
	seen     seenLayout
	probes   [numKinds]bool
	attempts int
	secret   uint64 // that the table of what was heard is mixed with
}

// LoadReply loads the reply filter without attaching it.
//
// Errors say what is missing: see [ErrPrivileges], [ErrVerifier] and
// [ErrKernel].
func LoadReply(c ReplyConfig) (*Reply, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	// Kernels before 5.11 charge maps to RLIMIT_MEMLOCK; on others this does
	// nothing. Where it is refused, loading will say why better.
	_ = rlimit.RemoveMemlock()
	spec, err := bpf.LoadReply()
	if err != nil {
		return nil, fmt.Errorf("reply filter: %w", err)
	}
	var kinds []probeKind
	var kindBits uint32
	var lengths [numKinds]uint32
	for _, p := range c.Probes {
		k := requestKinds[p.Request]
		kinds = append(kinds, k)
		kindBits |= 1 << k
		lengths[k] = uint32(p.MessageLen)
	}
	seen := newSeenLayout(c.Targets, kinds, c.Attempts)
	cpus, err := onlineCPUs()
	if err != nil {
		return nil, err
	}
	ring := ringBytes(len(cpus))
	spec.Maps[bpf.ReplyMapSeenDirectory].MaxEntries = uint32(len(seen.directory))
	for _, name := range []string{bpf.ReplyMapSeenPages, bpf.ReplyMapErrorPages} {
		spec.Maps[name].MaxEntries = uint32(max(seen.pages, 1))
	}
	buckets := heardBuckets(seen.pages)
	spec.Maps[bpf.ReplyMapHeard].MaxEntries = buckets
	rings := spec.Maps[bpf.ReplyMapRings]
	rings.MaxEntries = uint32(cpus[len(cpus)-1] + 2) // one more than CPUs, for Detach
	rings.InnerMap.MaxEntries = ring

	source := c.Source.As4()
	for name, value := range map[string]any{
		bpf.ReplyVarKey:          c.Key,
		bpf.ReplyVarSource:       source,
		bpf.ReplyVarSeenBase:     seen.base,
		bpf.ReplyVarSeenShift:    seen.shift,
		bpf.ReplyVarAttempts:     uint32(c.Attempts),
		bpf.ReplyVarKinds:        kindBits,
		bpf.ReplyVarPlaces:       seen.places,
		bpf.ReplyVarMessageLen:   lengths,
		bpf.ReplyVarUtOffset:     uint64(c.UTOffset),
		bpf.ReplyVarHeardMask:    buckets - 1,
		bpf.ReplyVarWakeBytes:    ring / 8,
		bpf.ReplyVarBareIp:       boolByte(c.BareIP),
		bpf.ReplyVarRecordFirst:  boolByte(c.RecordFirst),
		bpf.ReplyVarRecordAll:    boolByte(c.RecordAll),
		bpf.ReplyVarRecordErrors: boolByte(c.RecordErrors),
		bpf.ReplyVarMany:         boolByte(c.Many),
		bpf.ReplyVarFirstRun:     c.FirstRun,
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return nil, fmt.Errorf("reply filter: set %s: %w", name, err)
		}
	}

	r := &Reply{seen: seen, attempts: c.Attempts, secret: binary.LittleEndian.Uint64(c.Key[:])}
	for _, k := range kinds {
		r.probes[k] = true
	}
	program := bpf.ReplyProgXsweepReply
	if c.Pieces {
		program = bpf.ReplyProgXsweepPieces
	}
	if err := r.objects.load(spec, program); err != nil {
		return nil, loadError("reply filter", err)
	}
	if err := r.fill(seen, cpus, rings.InnerMap); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// fill writes the page directory and gives each CPU its ring.
func (r *Reply) fill(seen seenLayout, cpus []int, ring *ebpf.MapSpec) error {
	keys := make([]uint32, len(seen.directory))
	for i := range keys {
		keys[i] = uint32(i)
	}
	if _, err := r.objects.SeenDirectory.BatchUpdate(keys, seen.directory, nil); err != nil {
		return fmt.Errorf("reply filter: fill the page directory: %w", err)
	}
	for _, cpu := range cpus {
		inner, err := ebpf.NewMap(ring)
		if err != nil {
			return loadError("reply filter: make a record ring", err)
		}
		r.inner = append(r.inner, inner)
		if err := r.objects.Rings.Put(uint32(cpu), inner); err != nil {
			return fmt.Errorf("reply filter: give CPU %d its ring: %w", cpu, err)
		}
		reader, err := ringbuf.NewReader(inner)
		if err != nil {
			return fmt.Errorf("reply filter: map the ring of CPU %d: %w", cpu, err)
		}
		r.rings = append(r.rings, reader)
	}
	r.barrier = r.objects.Rings.MaxEntries() - 1
	if err := r.objects.Rings.Put(r.barrier, r.inner[0]); err != nil {
		return fmt.Errorf("reply filter: prepare to detach: %w", err)
	}
	return nil
}

// Program is the loaded program, for tests and measurements that run it
// without a device.
func (r *Reply) Program() *ebpf.Program { return r.objects.XsweepReply }

// Rings are the record rings, one a CPU. Each may be read by one goroutine.
// User space is woken when an eighth of a ring has filled; a reader that
// wants records sooner sets a deadline.
func (r *Reply) Rings() []*ringbuf.Reader { return r.rings }

// Close detaches the filter and frees everything. Readers of the rings get
// [ringbuf.ErrClosed].
func (r *Reply) Close() error {
	errs := []error{r.Detach()}
	for _, ring := range r.rings {
		errs = append(errs, ring.Close())
	}
	for _, inner := range r.inner {
		errs = append(errs, inner.Close())
	}
	errs = append(errs, r.objects.Close())
	return errors.Join(errs...)
}

// ringBytes is the size of one CPU's ring: a power of two, in bytes.
func ringBytes(cpus int) uint32 {
	share := uint32(ringBudget / cpus)
	return max(uint32(1)<<(bits.Len32(share)-1), minRing)
}

// HavePieces says whether programs can take packets in several pieces: from
// Linux 5.18 on.
func HavePieces() bool { return features.HaveProgramHelper(ebpf.XDP, asm.FnXdpLoadBytes) == nil }

// heardBuckets is how many buckets of 64 bytes the table of errors that were
// heard has: a power of two. Each has room for eight, so that there are two for
// each target that may be swept, within bounds of memory. Until some two thirds of
// them are taken hardly any error finds no room.
func heardBuckets(pages int) uint32 {
	const leastLog2, mostLog2 = 12, 17 // 256 KiB, 8 MiB
	targets := pages << pageBitsLog2   // at most
	log2 := bits.Len(uint(max(targets/4-1, 0)))
	return 1 << min(max(log2, leastLog2), mostLog2)
}

func boolByte(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
