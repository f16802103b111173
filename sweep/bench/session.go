// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"xsweep/internal/route"
	"xsweep/loader"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
	"xsweep/sweep/target"
	"xsweep/sweep/transmit"
)

// Session is a judge on a device, and the way to the targets. It serves one
// goroutine.
type Session struct {
	config   Config
	route    *route.Plan
	flows    []probe.Flow
	template *probe.Template
	judge    *loader.Bench
	clock    pace.Clock
	key      [16]byte
	targets  []uint32 // host byte order
	tx       Tx       // or "raw"
	cpus     []int    // of xdp, one a thread
	mode     loader.XDPMode
	next     uint64 // index that no probe had yet
}

// txRaw is how devices without link layer are sent through.
const txRaw Tx = "raw"

// Open finds the way to the targets and puts the judge on the device. Nothing is
// sent yet.
func Open(ctx context.Context, c Config) (*Session, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	if err := loader.CheckPrivileges(); err != nil {
		return nil, err
	}
	s := &Session{config: c, clock: pace.NewClock()}
	rand.Read(s.key[:]) // never fails: it ends the program instead
	if err := s.open(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Session) open(ctx context.Context) (err error) {
	if err := s.findWay(ctx); err != nil {
		return err
	}
	device := s.route.Interface
	if size := max(s.config.Size, s.config.Largest); size+probe.HeaderLen > device.MTU {
		return fmt.Errorf("size %d: packets of %d bytes do not fit into the MTU of %s, which is %d: use at most %d",
			size, size+probe.HeaderLen, device.Name, device.MTU, max(device.MTU-probe.HeaderLen, 0))
	}
	if s.flows, err = s.findFlows(); err != nil {
		return err
	}
	c := probe.TemplateConfig{Key: s.key, Source: s.route.Source, Flows: s.flows, DataLen: s.config.Size, UTOffset: s.clock.WallOffset()}
	if s.route.Method == route.Packet {
		c.SourceMAC, c.NextHop = device.MAC, s.route.NextHop
	}
	if s.template, err = probe.NewTemplate(c); err != nil {
		return err
	}
	if err := s.choose(); err != nil {
		return err
	}
	// Twice what is sent within the drain time, so that a late answer is known as
	// one for a while.
	within := uint64(float64(s.config.MaxRate) * (2*s.config.Drain.Seconds() + 1))
	s.judge, err = loader.LoadBench(loader.BenchConfig{
		Key: s.key, Flows: transmit.KernelFlows(s.template), Targets: s.config.Targets, Threads: s.config.Threads,
		MessageLen: s.template.MessageLen(probe.Echo), Window: within, BareIP: device.Type == route.BareIP,
	})
	if err != nil {
		return err
	}
	if s.mode, err = s.judge.Attach(device.Name, device.Index, s.config.XDP); err != nil {
		return err
	}
	s.config.Log.Info(fmt.Sprintf("judge: %v mode, a window of %d probes", s.mode, s.judge.Window()), "mode", s.mode.String(), "window", s.judge.Window())
	if err := route.WaitCarrier(ctx, device.Index, carrierTimeout); err != nil {
		return fmt.Errorf("%s: after attaching the judge: %w", device.Name, err)
	}
	return nil
}

// findWay finds interface, source and next hop.
func (s *Session) findWay(ctx context.Context) error {
	var named []target.Target
	var ranges []target.Range
	for _, a := range s.config.Targets {
		t, ok := target.AddrFrom(a)
		if !ok {
			return fmt.Errorf("target %v is not an IPv4 address", a)
		}
		if slices.Contains(s.targets, uint32(t)) {
			return fmt.Errorf("target %v is named twice", a)
		}
		s.targets = append(s.targets, uint32(t))
		ranges = append(ranges, target.Range{First: t, Last: t})
		named = append(named, target.Target{Range: ranges[len(ranges)-1]})
	}
	request := route.Request{Targets: named, Set: target.NewSet(ranges...), Interface: s.config.Interface, GatewayMAC: s.config.GatewayMAC}
	if len(s.config.Sources) > 0 {
		request.Source, request.MoreSources = s.config.Sources[0], s.config.Sources[1:]
	}
	var err error
	s.route, err = route.Resolve(ctx, request)
	if err != nil {
		return err
	}
	if n := uint64(len(s.targets)); s.route.Sweepable != n {
		return fmt.Errorf("%d of the targets cannot be reached through %s: name only those that can", n-s.route.Sweepable, s.route.Interface.Name)
	}
	if s.route.Many > 0 {
		return errors.New("broadcast and multicast addresses stand for many hosts: name one")
	}
	if len(s.targets) == 1 {
		if err := s.route.AdoptNeighbour(ctx, s.config.Targets[0]); err != nil {
			return err
		}
	}
	for _, note := range s.route.Notes {
		s.config.Log.Warn(note)
	}
	s.config.Log.Info(fmt.Sprintf("interface %s, source %v", s.route.Interface.Name, s.route.Source), "interface", s.route.Interface.Name, "source", s.route.Source)
	return nil
}

// choose decides by which transmitter the trials send.
func (s *Session) choose() error {
	why := "it was asked for"
	switch {
	case s.route.Method == route.Raw:
		if s.config.Tx != TxAuto {
			return fmt.Errorf("transmitter %s: %s: use --tx auto, or benchmark one target at a time", s.config.Tx, s.route.Why)
		}
		s.tx, why = txRaw, s.route.Why
	case s.config.Tx == TxPacket:
		s.tx = TxPacket
	default:
		s.tx = TxXDP
		err := s.tryXDP()
		if err != nil && s.config.Tx == TxXDP {
			return fmt.Errorf("transmitter xdp: %w: use --tx packet", err)
		}
		if err != nil {
			s.tx, why = TxPacket, fmt.Sprintf("xdp cannot be used: %v", err)
		} else if s.config.Tx == TxAuto {
			why = "the device takes frames from XDP programs"
		}
	}
	s.config.Log.Info(fmt.Sprintf("transmitter %s: %s", s.tx, why), "transmitter", s.tx, "threads", s.config.Threads)
	return nil
}

// tryXDP finds out whether the device takes frames from the kernel's program.
func (s *Session) tryXDP() error {
	device, err := loader.FindDevice(s.route.Interface.Index)
	if err != nil {
		return err
	}
	if err := device.TakesFrames(); err != nil {
		return err
	}
	if err := loader.CheckLiveFrame(s.template.MaxLen()); err != nil {
		return err
	}
	cpus, err := loader.UsableCPUs()
	if err != nil {
		return err
	}
	if s.config.Threads > len(cpus) {
		return fmt.Errorf("%d threads, %d CPUs: each thread needs a CPU of its own", s.config.Threads, len(cpus))
	}
	s.cpus = loader.SpreadCPUs(cpus, device.Queues.Transmit(), s.config.Threads)
	kernel, err := s.loadKernel()
	if err != nil {
		return err
	}
	traced := kernel.Traced()
	if err := kernel.Close(); err != nil {
		return err
	}
	if !traced {
		return errors.New("the kernel lacks the tracepoints that tell what became of its frames")
	}
	return nil
}

func (s *Session) loadKernel() (*loader.Transmit, error) {
	return loader.LoadTransmit(loader.TransmitConfig{
		Key: s.key, Device: s.route.Interface.Index, Flows: transmit.KernelFlows(s.template), Shapes: transmit.KernelShapes(s.template),
		SameTarget: len(s.targets) == 1, Tagged: s.template.Tagged(), UTOffset: s.template.UTOffset(), CPUs: s.cpus,
	})
}

// Size is the ICMP data of a probe, in bytes.
func (s *Session) Size() int { return s.config.Size }

// Close takes the judge off the device.
func (s *Session) Close() error {
	if s.judge == nil {
		return nil
	}
	return s.judge.Close()
}

// Environment is what the trials ran on.
type Environment struct {
	Interface   string     `json:"interface"`
	MTU         int        `json:"mtu"`
	Source      netip.Addr `json:"source"`
	Transmitter Tx         `json:"transmitter"`
	Threads     int        `json:"threads"`
	XDP         string     `json:"xdp"`
	Driver      string     `json:"driver"`
	Queues      int        `json:"queues"`
	Kernel      string     `json:"kernel"`
	CPU         string     `json:"cpu"`
	CPUs        int        `json:"cpus"`
	Window      uint64     `json:"window"` // probes
	// Settings are the interface's; Governor is that of the CPUs' frequency, empty
	// where there is none.
	Settings loader.Settings `json:"settings"`
	Governor string          `json:"governor,omitempty"`
}

// Environment tells what the trials run on.
func (s *Session) Environment() Environment {
	e := Environment{
		Interface: s.route.Interface.Name, MTU: s.route.Interface.MTU, Source: s.route.Source, Transmitter: s.tx, Threads: s.config.Threads,
		XDP: s.mode.String(), Kernel: loader.KernelRelease(), Window: s.judge.Window(),
	}
	e.CPU, e.CPUs = processor()
	if d, err := loader.FindDevice(s.route.Interface.Index); err == nil {
		e.Driver, e.Queues = d.Driver, d.Queues.Transmit()
	}
	e.Settings, e.Governor = loader.ReadSettings(s.route.Interface.Index), loader.CPUGovernor()
	return e
}
