// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"

	"xsweep/bpf"
)

// simnet is the program at the responder's end and its maps.
type simnet struct {
	epoch   time.Duration // CLOCK_MONOTONIC
	objects bpf.SimnetObjects
	link    link.Link
}

// simnetSpec is the program as the lab needs it.
func simnetSpec(c Config, epoch time.Duration) (*ebpf.CollectionSpec, error) {
	spec, err := bpf.LoadSimnet()
	if err != nil {
		return nil, fmt.Errorf("load simnet: %w", err)
	}
	if !c.countsArrivals() {
		spec.Maps[bpf.SimnetMapArrivals].MaxEntries = 1 // its buckets alone take 64 MiB
	}
	if c.Limiter == (Bucket{}) {
		spec.Maps[bpf.SimnetMapLimiter].MaxEntries = 1
	}
	var sink, behaviours, perProbe, hold uint8
	if c.Responder == Delay {
		hold = 1
	}
	if c.PerProbe {
		perProbe = 1
	}
	if c.Responder == Sink {
		sink = 1
	}
	if !c.Behaviours.uniform() {
		behaviours = 1
	}
	for name, value := range map[string]any{
		bpf.SimnetVarDrawKey:             newDraws(c.Seed).key,
		bpf.SimnetVarLiveThreshold:       threshold(c.Live),
		bpf.SimnetVarLossThreshold:       threshold(c.Loss),
		bpf.SimnetVarDuplicateThreshold:  threshold(c.Duplicate),
		bpf.SimnetVarBehaviours:          behaviours,
		bpf.SimnetVarBehaviourThresholds: c.Behaviours.thresholds(),
		bpf.SimnetVarMeterRate:           c.MeterRate,
		bpf.SimnetVarSink:                sink,
		bpf.SimnetVarHold:                hold,
		bpf.SimnetVarPerProbe:            perProbe,
		bpf.SimnetVarEpoch:               uint64(epoch),
		bpf.SimnetVarCapacityInterval:    c.Capacity.interval(),
		bpf.SimnetVarCapacityTolerance:   c.Capacity.tolerance(),
		bpf.SimnetVarLimiterInterval:     c.Limiter.interval(),
		bpf.SimnetVarLimiterTolerance:    c.Limiter.tolerance(),
		bpf.SimnetVarOutagePeriod:        uint64(c.Outage.Every),
		bpf.SimnetVarOutageLength:        uint64(c.Outage.For),
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return nil, fmt.Errorf("load simnet: set %s: %w", name, err)
		}
	}
	return spec, nil
}

// loadSimnet puts the program into the kernel without attaching it.
func loadSimnet(spec *ebpf.CollectionSpec) (*simnet, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("load simnet: lift the limit on locked memory: %w", err)
	}
	s := new(simnet)
	if err := spec.Variables[bpf.SimnetVarEpoch].Get(&s.epoch); err != nil {
		return nil, fmt.Errorf("load simnet: %w", err)
	}
	if err := spec.LoadAndAssign(&s.objects, nil); err != nil {
		return nil, fmt.Errorf("load simnet: %w", err)
	}
	return s, nil
}

// attach puts the program on the end's device. Both the link and the map of
// devices take the interface index in the namespace of the thread.
func (s *simnet) attach(e *end) error {
	return inNamespace(e.ns, func() (err error) {
		for k := range uint32(2) {
			if err := s.objects.Twice.Put(k, uint32(e.ifindex)); err != nil {
				return fmt.Errorf("attach simnet to %s: fill its device map: %w", e.device, err)
			}
		}
		s.link, err = link.AttachXDP(link.XDPOptions{
			Program:   s.objects.XsweepSimnet,
			Interface: e.ifindex,
			Flags:     link.XDPDriverMode,
		})
		if err != nil {
			return fmt.Errorf("attach simnet to %s: %w", e.device, err)
		}
		return nil
	})
}

func (s *simnet) close() error {
	var err error
	if s.link != nil {
		err = s.link.Close()
	}
	return errors.Join(err, s.objects.Close())
}

// Stats counts what happened at the responder's end. The first block comes
// from simnet or the sink, summed over all CPUs, and is zero with the kernel
// responder:
//
//	Seen       = Passed + Malformed + Requests()
//	Requests() = Sunk + Silent + Unanswered + Outage + Lost + OverCapacity + OverLimit + Failed +
//	             HostsAnswered + Errors() + Broken
//	Answered   = HostsAnswered + Errors() + Broken + Duplicated
type Stats struct {
	// Began is when the lab began, on CLOCK_MONOTONIC: outages count from here.
	Began time.Duration `json:"began_ns"`

	Seen              uint64 `json:"seen"`      // frames that arrived
	Passed            uint64 `json:"passed"`    // no IPv4 request, or a fragment of one
	Malformed         uint64 `json:"malformed"` // ICMP with lengths that lie
	EchoRequests      uint64 `json:"echo_requests"`
	TimestampRequests uint64 `json:"timestamp_requests"`
	MaskRequests      uint64 `json:"mask_requests"`
	Sunk              uint64 `json:"sunk"`           // dropped by the sink
	Silent            uint64 `json:"silent"`         // nobody lives there
	Unanswered        uint64 `json:"unanswered"`     // the host answers no such requests
	Outage            uint64 `json:"outage"`         // for a live host, but nothing came through
	Lost              uint64 `json:"lost"`           // for a live host, but lost on the way
	OverCapacity      uint64 `json:"over_capacity"`  // echo requests beyond the capacity of all hosts
	OverLimit         uint64 `json:"over_limit"`     // echo requests beyond the limit of their address
	Failed            uint64 `json:"failed"`         // in frames that no answer can be made of, such as those with VLAN tags
	HostsAnswered     uint64 `json:"hosts_answered"` // requests that their hosts answered
	Unreachable       uint64 `json:"unreachable"`    // requests that led to errors, by kind
	TooBig            uint64 `json:"too_big"`        // that is, for a path's MTU
	SourceQuench      uint64 `json:"source_quench"`
	Redirect          uint64 `json:"redirect"`
	TimeExceeded      uint64 `json:"time_exceeded"`
	ParameterProblem  uint64 `json:"parameter_problem"`
	Broken            uint64 `json:"broken"`     // requests that led to something with a flaw
	Answered          uint64 `json:"answered"`   // frames sent, or taken to be delayed
	Duplicated        uint64 `json:"duplicated"` // of these, second copies
	StateFull         uint64 `json:"state_full"` // requests judged as the first of their address, since their count found no room

	// RequestsRefused and RepliesRefused are frames that a ring of the veth
	// pair had no room for, on their way to lab1 and to lab0. A ring holds
	// 256 frames, so a sender without pacing, or a receiver that gets no CPU
	// time, loses some. The devices count them.
	RequestsRefused uint64 `json:"requests_refused"`
	RepliesRefused  uint64 `json:"replies_refused"`

	// Delay is what the delay responder did with the answers; else nil.
	Delay *DelayStats `json:"delay,omitempty"`
}

// Requests is the number of all requests.
func (s Stats) Requests() uint64 { return s.EchoRequests + s.TimestampRequests + s.MaskRequests }

// Errors is the number of requests that led to an error message.
func (s Stats) Errors() uint64 {
	return s.Unreachable + s.TooBig + s.SourceQuench + s.Redirect + s.TimeExceeded + s.ParameterProblem
}

func (s *simnet) stats() (Stats, error) {
	var cpus []bpf.SimnetSimnetStats
	if err := s.objects.Stats.Lookup(uint32(0), &cpus); err != nil {
		return Stats{}, fmt.Errorf("read the counters of simnet: %w", err)
	}
	sum := Stats{Began: s.epoch}
	for _, c := range cpus {
		sum.Seen += c.Seen
		sum.Passed += c.Passed
		sum.Malformed += c.Malformed
		sum.EchoRequests += c.EchoRequests
		sum.TimestampRequests += c.TimestampRequests
		sum.MaskRequests += c.MaskRequests
		sum.Sunk += c.Sunk
		sum.Silent += c.Silent
		sum.Unanswered += c.Unanswered
		sum.Lost += c.Lost
		sum.Failed += c.Failed
		sum.HostsAnswered += c.HostsAnswered
		sum.Unreachable += c.Unreachable
		sum.TooBig += c.TooBig
		sum.SourceQuench += c.SourceQuench
		sum.Redirect += c.Redirect
		sum.TimeExceeded += c.TimeExceeded
		sum.ParameterProblem += c.ParameterProblem
		sum.Broken += c.Broken
		sum.Answered += c.Answered
		sum.Duplicated += c.Duplicated
		sum.Outage += c.Outage
		sum.OverCapacity += c.OverCapacity
		sum.OverLimit += c.OverLimit
		sum.StateFull += c.StateFull
	}
	return sum, nil
}

// meterFrame is what one frame adds to the meter's level (METER_FRAME in C).
const meterFrame = 1_000_000_000

// meterValue is struct meter of bpf/simnet.bpf.c.
type meterValue struct {
	Lock, Bin       uint32
	Frames          uint64
	FirstNs, LastNs uint64
	Level, MaxLevel uint64
	BinEndNs        uint64
	Seconds         [128]uint64
}

// MeterReading is what the meter saw of arriving requests.
type MeterReading struct {
	// Frames is their number.
	Frames uint64
	// First and Last are when the first and the last arrived, on
	// CLOCK_MONOTONIC.
	First, Last time.Duration
	// Burst is the maximum of frames - rate * T over all windows that begin
	// and end with a frame, T being the window's length: the depth of the
	// smallest token bucket that the arrivals conform to. It is exact.
	Burst float64
	// Seconds is the number of frames in each second since First. It has at
	// most 128 elements, and the last of so many takes everything after.
	Seconds []uint64
}

func (s *simnet) meter() (MeterReading, error) {
	var v meterValue
	if err := s.objects.Meter.LookupWithFlags(uint32(0), &v, ebpf.LookupLock); err != nil {
		return MeterReading{}, fmt.Errorf("read the meter of simnet: %w", err)
	}
	r := MeterReading{
		Frames: v.Frames,
		First:  time.Duration(v.FirstNs),
		Last:   time.Duration(v.LastNs),
		Burst:  float64(v.MaxLevel) / meterFrame,
	}
	if v.Frames > 0 {
		r.Seconds = v.Seconds[:min(int((r.Last-r.First)/time.Second)+1, len(v.Seconds))]
	}
	return r, nil
}
