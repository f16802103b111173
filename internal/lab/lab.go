// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Lab is a running lab. Its methods may be used by several goroutines, but
// Close only once, after all others have returned.
type Lab struct {
	config            Config
	sender, responder *end
	simnet            *simnet // nil with the kernel responder
	connected         bool
	killDelay         time.Duration
}

// Start makes a lab. When it returns, both devices are up and the responder
// answers. It needs CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_BPF.
func Start(c Config) (*Lab, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("start a lab: %w", err)
	}
	l := &Lab{config: c, killDelay: defaultKillDelay}
	if err := l.start(); err != nil {
		err = fmt.Errorf("start a lab: %w", errors.Join(err, l.Close()))
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w: needs CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_BPF: run with sudo", err)
		}
		return nil, err
	}
	return l, nil
}

// AtResponder runs f on a thread in the responder's network namespace, which
// ends afterwards.
func (l *Lab) AtResponder(f func() error) error { return inNamespace(l.responder.ns, f) }

func (l *Lab) start() error {
	queues := l.config.Queues
	if queues == 0 {
		queues = runtime.NumCPU()
	}
	open := newNamespace
	if l.config.InPlace {
		open = currentNamespace
	}
	var err error
	if l.sender, err = openEnd(open, SenderDevice, !l.config.InPlace); err != nil {
		return err
	}
	if l.responder, err = openEnd(newNamespace, ResponderDevice, true); err != nil {
		return err
	}
	if err := connect(l.sender, l.responder, queues); err != nil {
		return err
	}
	l.connected = true
	if err := l.sender.configure(l.responder); err != nil {
		return err
	}
	if err := l.responder.configure(l.sender); err != nil {
		return err
	}
	if err := l.sender.routeAll(GatewayAddr); err != nil {
		return err
	}
	if err := l.respond(); err != nil {
		return err
	}
	return errors.Join(l.sender.waitUp(), l.responder.waitUp())
}

// openEnd makes one end in the namespace that open gives.
func openEnd(open func() (netns.NsHandle, error), device string, own bool) (*end, error) {
	ns, err := open()
	if err != nil {
		return nil, err
	}
	if device == SenderDevice {
		return newEnd(ns, device, SenderAddr, SenderMAC, own)
	}
	return newEnd(ns, device, GatewayAddr, ResponderMAC, own)
}

func (l *Lab) respond() error {
	if l.config.Responder == Kernel {
		return l.responder.answerAll()
	}
	spec, err := simnetSpec(l.config)
	if err != nil {
		return err
	}
	if l.simnet, err = loadSimnet(spec); err != nil {
		return err
	}
	return l.simnet.attach(l.responder)
}

// Close takes the lab away.
func (l *Lab) Close() error {
	var errs []error
	if l.simnet != nil {
		errs = append(errs, l.simnet.close())
	}
	if l.connected {
		errs = append(errs, l.sender.remove())
	}
	for _, e := range []*end{l.sender, l.responder} {
		if e != nil {
			errs = append(errs, e.close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close the lab: %w", err)
	}
	return nil
}

// Stats reads the counters of the responder's end.
func (l *Lab) Stats() (Stats, error) {
	var s Stats
	var err error
	if l.simnet != nil {
		if s, err = l.simnet.stats(); err != nil {
			return Stats{}, err
		}
	}
	if s.RequestsRefused, err = l.sender.refused(); err != nil {
		return Stats{}, err
	}
	if s.RepliesRefused, err = l.responder.refused(); err != nil {
		return Stats{}, err
	}
	return s, nil
}

// Meter reads the meter, which [Config.MeterRate] turns on.
func (l *Lab) Meter() (MeterReading, error) {
	if l.config.MeterRate == 0 {
		return MeterReading{}, errors.New("read the meter: the lab has none: set a meter rate")
	}
	return l.simnet.meter()
}
