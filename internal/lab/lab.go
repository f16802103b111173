// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Lab is a running lab. Its methods may be used by several goroutines, but
// Close only once, after all others have returned.
type Lab struct {
	config Config
	row
	simnet    *simnet  // nil with the kernel responder
	delayer   *delayer // nil with all responders but delay
	killDelay time.Duration
}

// Start makes a lab. When it returns, all devices are up and the responder
// answers. It needs CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_BPF.
func Start(c Config) (*Lab, error) {
	if c.Hops > 0 {
		return launch(c, (*Lab).routed, c.Hops)
	}
	return launch(c, (*Lab).direct, 0)
}

// launch makes a lab with a number of namespaces between its ends, and lets
// wire make a network of them.
func launch(c Config, wire func(*Lab) error, hops int) (*Lab, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("start a lab: %w", err)
	}
	l := &Lab{config: c, killDelay: defaultKillDelay}
	if err := l.start(wire, hops); err != nil {
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

func (l *Lab) start(wire func(*Lab) error, hops int) error {
	queues := l.config.Queues
	if queues == 0 {
		queues = runtime.NumCPU()
	}
	if err := l.open(l.config.InPlace, hops); err != nil {
		return err
	}
	if err := l.join(queues, l.config.mtu()); err != nil {
		return err
	}
	if err := wire(l); err != nil {
		return err
	}
	if err := l.respond(); err != nil {
		return err
	}
	return l.waitUp()
}

// direct makes the two ends each other's only neighbour. Hops between them
// are not seen.
func (l *Lab) direct() error {
	if err := l.raise(false); err != nil {
		return err
	}
	if err := l.sender.configure(l.responder); err != nil {
		return err
	}
	if err := l.responder.configure(l.sender); err != nil {
		return err
	}
	if err := l.assignMore(); err != nil {
		return err
	}
	return l.sender.routeAll(GatewayAddr)
}

func (l *Lab) respond() error {
	if l.config.Responder == Kernel {
		if err := l.responder.answerAll(); err != nil {
			return err
		}
		return l.responder.limitEcho(l.config)
	}
	began, err := monotonic()
	if err != nil {
		return err
	}
	spec, err := simnetSpec(l.config, began)
	if err != nil {
		return err
	}
	if l.simnet, err = loadSimnet(spec); err != nil {
		return err
	}
	if l.config.Responder == Delay {
		if l.delayer, err = startDelayer(l.config, l.responder, l.sender.mac, l.simnet.epoch); err != nil {
			return err
		}
	}
	return l.simnet.attach(l.responder)
}

// Close takes the lab away.
func (l *Lab) Close() error {
	var errs []error
	if l.delayer != nil {
		errs = append(errs, l.delayer.close())
	}
	if l.simnet != nil {
		errs = append(errs, l.simnet.close())
	}
	errs = append(errs, l.row.close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close the lab: %w", err)
	}
	return nil
}

// Stats reads the counters of the responder and of the links.
func (l *Lab) Stats() (Stats, error) {
	var s Stats
	var err error
	if l.simnet != nil {
		if s, err = l.simnet.stats(); err != nil {
			return Stats{}, err
		}
	}
	if l.delayer != nil {
		if s.Delay, err = l.delayer.stats(); err != nil {
			return Stats{}, err
		}
	}
	for _, p := range l.pairs {
		requests, err := p.near.refused()
		if err != nil {
			return Stats{}, err
		}
		replies, err := p.far.refused()
		if err != nil {
			return Stats{}, err
		}
		s.RequestsRefused += requests
		s.RepliesRefused += replies
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
