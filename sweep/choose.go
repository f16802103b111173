// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"errors"
	"fmt"

	"xsweep/internal/route"
	"xsweep/loader"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
	"xsweep/sweep/transmit"
)

// TransmitterChoice is which way a sweep sent its probes, and why.
type TransmitterChoice struct {
	Used    Tx     `json:"used"`
	Why     string `json:"why"`
	Threads int    `json:"threads"`
	// Measured are the probes a second of all threads together in the trials of
	// the automatic choice, by way; empty where none was needed.
	Measured map[Tx]uint64 `json:"measured"`
}

const (
	// PacketEnough is a rate that packet reaches on any machine: nothing is
	// measured up to it.
	PacketEnough = pace.Rate(100_000)
	// trialWorth is how many probes a sweep has at least for which it is worth
	// its while to set up and measure a second way, which takes some tenths of a
	// second.
	trialWorth = 200_000
	// Rates that a thread reaches on ordinary devices, for how many there are by
	// default.
	packetThread = pace.Rate(250_000)
	xdpThread    = pace.Rate(1_000_000)
)

// choose decides by which transmitters the sweep sends: one, or packet and xdp
// for the threads to choose between while they send. It puts xdp's program into
// the kernel if that may be used. An error is one of what was asked for.
func (r *run) choose(key [16]byte, template *probe.Template) error {
	device, err := loader.FindDevice(r.route.Interface.Index)
	if err != nil {
		return err
	}
	queues, asked := device.Queues.Transmit(), r.config.Threads
	r.config.Log.Debug("transmitter wanted", "tx", r.config.Tx, "rate", r.config.Rate.String(), "transmit_queues", queues)
	switch {
	case r.config.Tx == TxXDP:
		err := r.loadTransmitter(&device, key, template, queues)
		switch {
		case errors.Is(err, errTooFewCPUs):
			return fmt.Errorf("transmitter xdp: %w: use fewer threads, or --tx packet", err)
		case err != nil:
			return fmt.Errorf("transmitter xdp: %w: use --tx packet", err)
		}
		r.chose(TxXDP, "it was asked for")
		return nil
	case r.route.Method == route.Raw:
		r.setThreads(packetThread, queues)
		r.chose(TxRaw, r.route.Why)
		return nil
	}
	why := ""
	switch {
	case r.config.Tx == TxPacket:
		why = "it was asked for"
	case r.config.Rate <= PacketEnough:
		why = fmt.Sprintf("any device takes %v packets a second", PacketEnough)
	case r.plan.Len()*uint64(r.config.passes()) < trialWorth:
		why = fmt.Sprintf("fewer than %d probes are sent before the setting up of xdp pays", trialWorth)
	default:
		if err := r.loadTransmitter(&device, key, template, queues); err != nil {
			why = fmt.Sprintf("xdp cannot be used: %v", err)
			r.config.Threads = asked // packet needs more of them
			break
		}
		if !r.kernel.Traced() {
			why = "xdp cannot be relied on: the kernel lacks the tracepoints that tell what became of its frames"
			r.config.Threads = asked
			err := r.kernel.Close()
			r.kernel = nil
			if err != nil {
				return err
			}
			break
		}
		r.config.Log.Debug("packet and xdp are measured while they send", "rate", r.config.Rate.String(), "threads", r.config.Threads)
		r.contest = transmit.NewContest(r.config.Threads, r.config.Rate, func(c transmit.Choice) {
			measured := map[Tx]uint64{}
			for tx, rate := range map[Tx]float64{TxPacket: c.Packet, TxXDP: c.XDP} {
				if rate > 0 {
					measured[tx] = uint64(rate)
				}
			}
			r.decide(TransmitterChoice{Used: Tx(c.Way), Why: c.Why, Measured: measured})
		})
		return nil
	}
	r.setThreads(packetThread, queues)
	r.chose(TxPacket, why)
	return nil
}

// chose notes a choice that needed no trial.
func (r *run) chose(tx Tx, why string) {
	r.decide(TransmitterChoice{Used: tx, Why: why, Measured: map[Tx]uint64{}})
}

// decide notes the choice and tells it. It may come from a sending thread.
func (r *run) decide(c TransmitterChoice) {
	c.Threads = r.config.Threads
	r.choiceLock.Lock()
	r.choice = c
	r.choiceLock.Unlock()
	threads := "1 thread"
	if c.Threads > 1 {
		threads = fmt.Sprintf("%d threads", c.Threads)
	}
	r.config.Log.Info(fmt.Sprintf("transmitter %s, %s: %s", c.Used, threads, c.Why),
		"transmitter", c.Used, "threads", c.Threads, "measured", c.Measured)
}

// setThreads decides how many threads send if that was left open: as many as
// the rate needs at perThread each, one a transmit queue at most, and one CPU is
// left to receive.
func (r *run) setThreads(perThread pace.Rate, queues int) {
	if r.config.Threads == 0 {
		cpus, err := loader.UsableCPUs()
		if err != nil {
			cpus = nil // one thread serves
		}
		r.config.Threads = defaultThreads(r.config.Rate, perThread, queues, len(cpus))
	}
	r.plan.config.Threads = r.config.Threads
}

// MostThreads is how many threads send at most by default.
func MostThreads(queues, cpus int) int { return max(min(queues, cpus-1, pace.MaxThreads), 1) }

func defaultThreads(rate, perThread pace.Rate, queues, cpus int) int {
	most := MostThreads(queues, cpus)
	if rate == pace.Max {
		return most
	}
	return int(min((rate+perThread-1)/perThread, pace.Rate(most)))
}

var errTooFewCPUs = errors.New("each thread needs a CPU of its own")

// loadTransmitter puts the transmitter xdp into the kernel, for as many CPUs
// as there are threads.
func (r *run) loadTransmitter(device *loader.Device, key [16]byte, template *probe.Template, queues int) error {
	if err := device.TakesFrames(); err != nil {
		return err
	}
	if err := loader.CheckLiveFrame(template.MaxLen()); err != nil {
		return err
	}
	cpus, err := loader.UsableCPUs()
	if err != nil {
		return err
	}
	r.setThreads(xdpThread, queues)
	if r.config.Threads > len(cpus) {
		return fmt.Errorf("%d threads, %d CPUs: %w", r.config.Threads, len(cpus), errTooFewCPUs)
	}
	r.cpus = loader.SpreadCPUs(cpus, queues, r.config.Threads)
	r.config.Log.Debug("threads of xdp", "threads", r.config.Threads, "cpus", r.cpus)
	r.kernel, err = loader.LoadTransmit(loader.TransmitConfig{
		Key: key, Device: device.Index, Flows: transmit.KernelFlows(template), Shapes: transmit.KernelShapes(template),
		Tagged: template.Tagged(), UTOffset: template.UTOffset(), CPUs: r.cpus, Untraced: r.config.untraced,
	})
	return err
}

// openTransmitter makes a thread's transmitter.
func (r *run) openTransmitter(template *probe.Template, thread int, w *pace.Waiter) (transmit.Transmitter, error) {
	device := r.route.Interface
	c := transmit.Config{
		Device: device.Name, Index: device.Index, BindToDevice: device.Type != route.Loopback,
		Template: template, Pace: r.config.pace(), Waiter: w,
	}
	openXDP := func() (transmit.Transmitter, error) { return transmit.NewXDP(c, r.kernel, r.cpus[thread]) }
	switch {
	case r.contest != nil:
		return transmit.NewAuto(c, r.contest, openXDP)
	case r.kernel != nil:
		return openXDP()
	case r.route.Method == route.Packet:
		return transmit.NewPacket(c)
	}
	return transmit.NewRaw(c)
}
