// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"time"

	"xsweep/internal/route"
	"xsweep/loader"
	"xsweep/sweep/checkpoint"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
	"xsweep/sweep/sink"
	"xsweep/sweep/target"
	"xsweep/sweep/transmit"
)

// prepare does all that comes before the first probe, what may fail most
// cheaply first.
func (r *run) prepare(ctx context.Context, sinks []sink.Sink) error {
	if err := loader.CheckPrivileges(); err != nil {
		return err
	}
	var err error
	r.route, err = route.Resolve(ctx, route.Request{
		Targets:     r.config.Targets,
		Set:         r.plan.selection.Set,
		Interface:   r.config.Interface,
		Source:      r.config.Source,
		GatewayMAC:  r.config.GatewayMAC,
		Raw:         r.config.Tx == TxRaw,
		Packet:      r.config.Tx == TxPacket || r.config.Tx == TxXDP,
		Transmitter: string(r.config.Tx),
	})
	if err != nil {
		return err
	}
	if n := r.route.Many; n > 0 && !r.config.Many {
		if n < r.route.Sweepable {
			return fmt.Errorf("%d of the targets stand for many hosts (broadcast or multicast addresses), the others for themselves: "+
				"sweep them apart, or take answers from any address for all of them with --many", n)
		}
		r.config.Many, r.plan.config.Many = true, true
		if err := r.config.checkMany(); err != nil {
			return err
		}
		r.config.Log.Warn(fmt.Sprintf("targets that stand for many hosts: %d: answers are taken from any address (--many)", n), "many", n)
	}
	for _, note := range r.route.Notes {
		r.config.Log.Warn(note)
	}
	device := r.route.Interface
	r.config.Log.Info(fmt.Sprintf("interface %s, source %v", device.Name, r.route.Source), "interface", device.Name, "source", r.route.Source)
	r.config.Log.Debug("route", "interface", device.Name, "type", device.Type.String(), "mtu", device.MTU, "source", r.route.Source,
		"gateway", r.route.Gateway, "next_hop", r.route.NextHop.String(), "method", r.route.Method.String(), "why", r.route.Why,
		"sweepable", r.route.Sweepable)
	if n := r.route.OnLink; n > 0 {
		r.config.Log.Warn(fmt.Sprintf("%d targets are on the local link: the kernel finds their Ethernet addresses, and takes probes also for those that nobody has", n), "on_link", n)
	}
	if batch := r.config.pace().EffectiveBatch(); r.config.Batch > batch {
		r.config.Log.Warn(fmt.Sprintf("batches of %d frames leave no room to keep the rate: using %d", r.config.Batch, batch), "batch", batch)
	}
	r.clock = pace.NewClock()
	r.utOffset = r.clock.WallOffset() // 1970 began at midnight
	if r.stop, err = pace.NewStop(); err != nil {
		return err
	}
	var key [16]byte
	rand.Read(key[:]) // never fails: it ends the program instead
	if r.config.Checkpoint != nil {
		if key, err = r.resume(key); err != nil {
			return err
		}
	}
	template, err := r.template(key)
	if err != nil {
		return err
	}
	if err := r.attach(ctx, key, template); err != nil {
		return err
	}
	if err := r.choose(key, template); err != nil {
		return err
	}
	if err := r.openSenders(template); err != nil {
		return err
	}
	r.collector = &collector{
		clock: r.clock, limit: r.config.MaxResults, full: r.enough, kept: r.before.Kept,
		where: r.config.Where, goOn: r.config.OnSinkError == ContinueOnSinkError,
		log: r.config.Log, fail: r.fail, wanted: r.config.wanted,
	}
	for _, s := range sinks {
		r.collector.outlets = append(r.collector.outlets, &outlet{sink: s})
	}
	if r.saver != nil {
		r.collector.found = new(checkpoint.Found)
	}
	if r.config.Many {
		r.collector.target = func(index uint64) netip.Addr { return r.plan.order.At(index).Netip() }
	}
	r.collector.start(r.filter.Rings(), r.config.Rate)
	if r.counters, err = route.ReadCounters(r.route.Interface.Index); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil || r.saver == nil {
		return err
	}
	return r.saver.first()
}

func (r *run) template(key [16]byte) (*probe.Template, error) {
	if largest, mtu := r.config.packetLen(), r.route.Interface.MTU; largest > mtu {
		return nil, fmt.Errorf("size %d: packets of %d bytes do not fit into the MTU of %s, which is %d: use at most %d",
			r.config.Size, largest, r.route.Interface.Name, mtu, max(mtu-probe.HeaderLen, 0))
	}
	c := probe.TemplateConfig{
		Key: key, Source: r.route.Source, Kinds: r.config.Kinds, DataLen: r.config.Size, Pattern: r.config.Pattern,
		TOS: r.config.TOS, DontFragment: r.config.DontFragment, UTOffset: r.utOffset,
	}
	if r.route.Method == route.Packet {
		c.SourceMAC, c.NextHop = r.route.Interface.MAC, r.route.NextHop
	}
	return probe.NewTemplate(c)
}

// attach loads the filter, puts it on the device, and waits until the device
// can send again.
func (r *run) attach(ctx context.Context, key [16]byte, template *probe.Template) error {
	device := r.route.Interface
	c := loader.ReplyConfig{
		Key:          key,
		Source:       r.route.Source,
		Targets:      ranges(r.plan.selection.Set),
		Attempts:     r.config.Probes,
		UTOffset:     r.utOffset,
		BareIP:       device.Type == route.BareIP,
		RecordFirst:  r.config.recordsFirst() || r.saver != nil,
		RecordErrors: r.config.recordsErrors() || r.saver != nil,
		RecordAll:    r.config.RecordAll,
		Many:         r.config.Many,
	}
	for _, k := range r.config.Kinds {
		c.Probes = append(c.Probes, loader.ProbeShape{Request: k.Type(), MessageLen: template.MessageLen(k)})
	}
	var err error
	longest := r.config.packetLen() - probe.HeaderLen + 8 // of ICMP messages
	if c.Pieces, err = needPieces(longest, device.MTU, loader.HavePieces); err != nil {
		return err
	}
	if r.saver != nil {
		c.FirstRun = r.saver.base.FirstRun
	}
	if r.filter, err = loader.LoadReply(c); err != nil {
		return err
	}
	if r.saver != nil {
		if err := r.restore(); err != nil {
			return err
		}
	}
	mode, err := r.filter.Attach(device.Name, device.Index, r.config.XDP)
	if err != nil {
		return err
	}
	r.config.Log.Info(fmt.Sprintf("reply filter: %v mode", mode), "interface", device.Name, "mode", mode.String())
	for cpu, ring := range r.filter.Rings() {
		r.config.Log.Debug("record ring", "number", cpu, "bytes", ring.BufferSize())
	}
	if r.config.XDP == loader.Auto && mode == loader.Generic && device.Type == route.Ethernet {
		r.config.Log.Warn(fmt.Sprintf("%s has no native XDP: the reply filter runs in generic mode, which is slower", device.Name), "interface", device.Name)
	}
	waiting := time.Now()
	if err := route.WaitCarrier(ctx, device.Index, CarrierTimeout); err != nil {
		return fmt.Errorf("%s: after attaching the reply filter: %w", device.Name, err)
	}
	r.config.Log.Debug("the device has its carrier", "interface", device.Name, "waited", time.Since(waiting))
	watch, unwatch := context.WithCancel(context.Background())
	r.unwatch = unwatch
	r.link, err = route.WatchLink(watch, device.Index)
	return err
}

// needPieces says whether the filter must take packets in several pieces: for
// messages that are too long for one, and for devices with an MTU that is. Where
// the kernel cannot, generic mode may still serve such a device.
func needPieces(longest, mtu int, have func() bool) (bool, error) {
	switch {
	case longest <= loader.MaxMessageLen && mtu <= loader.MaxOnePieceMTU:
		return false, nil
	case have():
		return true, nil
	case longest > loader.MaxMessageLen:
		return false, fmt.Errorf("ICMP messages of %d bytes: over %d take Linux 5.18 or later: use a smaller --size", longest, loader.MaxMessageLen)
	}
	return false, nil
}

func ranges(set target.Set) func(yield func(first, last uint32) bool) {
	return func(yield func(first, last uint32) bool) {
		for _, r := range set.Ranges() {
			if !yield(uint32(r.First), uint32(r.Last)) {
				return
			}
		}
	}
}

// openSenders starts the sending threads, which open their transmitters and
// wait at the gate.
func (r *run) openSenders(template *probe.Template) error {
	r.gate.begin = make(chan struct{})
	start, previous, number := uint64(0), spans(nil), uint16(0)
	if r.saver != nil {
		start, previous, number = r.saver.base.Low, r.saver.base.Done, r.saver.base.Run
	}
	parts := newParts(r.plan, uint64(r.config.pace().EffectiveBatch()), start, r.clock.Now())
	r.ledger = &ledger{cooldown: int64(r.config.Cooldown), done: spans(nil).add(span{0, start}), low: start}
	for thread := range r.config.Threads {
		s := &sender{plan: r.plan, parts: parts, skips: &r.route.Skips, ledger: r.ledger, run: number, fail: r.fail}
		s.progress.previous = previous
		if r.config.Backpressure {
			r.pressure.watch(r.filter.Rings(), r.config.Threads)
			s.holds = append(s.holds, &r.pressure)
		}
		if r.saver != nil {
			s.holds = append(s.holds, &r.allowance)
		}
		r.senders = append(r.senders, s)
		r.gate.ready.Add(1)
		r.gate.done.Add(1)
		go s.work(&r.gate, func(w *pace.Waiter) (transmit.Transmitter, error) { return r.openTransmitter(template, thread, w) }, r.clock, r.stop)
	}
	r.ledger.senders = r.senders
	r.gate.ready.Wait()
	for _, s := range r.senders {
		if s.err != nil {
			return s.err
		}
	}
	return nil
}
