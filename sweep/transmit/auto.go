// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
)

// ErrRefused says that the device refused a frame in a trial.
var ErrRefused = errors.New("the device refuses frames")

// trialled is a transmitter that can be given up in a trial without the loss of
// a probe. xdp is one.
type trialled interface {
	Transmitter
	// try begins or ends a trial: in it, Send and Drain return ErrRefused once
	// the device has refused a frame for good.
	try(on bool)
	// giveBack ends sending and returns the probes taken that were neither
	// accepted nor refused, in their order.
	giveBack() []probe.Probe
}

// auto sends by packet, or by xdp if that turns out to be needed and faster.
// The probes of the trials are those of the sweep: nothing is sent besides, and
// what one way takes and cannot send goes the other way.
type auto struct {
	packet  Transmitter
	openXDP func() (trialled, error)
	contest *Contest
	waiter  *pace.Waiter

	xdp     atomic.Pointer[trialled] // nil until tried
	asked   atomic.Uint64            // the rate that SetRate asked for; 0: none
	current Transmitter
	taken   uint64
	round   int // rounds: the contest is over
	trial   stretch
}

// stretch measures a rate while there is something to send.
type stretch struct {
	began, until int64  // of what is measured now; began is 0 between two pieces
	from, to     uint64 // what was handed over by then
	took         int64  // by the pieces before
	handed       uint64 // in them
}

// begin begins a piece, unless one is under way.
func (s *stretch) begin(now int64, handed uint64) {
	if s.began == 0 {
		s.began, s.from = now, handed
		s.until, s.to = now, handed
	}
}

// reach takes a reading, and says how long was measured in all.
func (s *stretch) reach(now int64, handed uint64) int64 {
	s.until, s.to = now, handed
	return s.took + now - s.began
}

// pause ends a piece at its last reading.
func (s *stretch) pause() {
	s.took += s.until - s.began
	s.handed += s.to - s.from
	s.began, s.until, s.from, s.to = 0, 0, 0, 0
}

// rate is per second.
func (s *stretch) rate() float64 {
	return float64(s.handed+s.to-s.from) * float64(time.Second) / float64(s.took+s.until-s.began)
}

// NewAuto makes a transmitter that chooses, together with those of the other
// threads, between packet and xdp. openXDP is NewXDP for this thread; it is
// called only if packet does not reach the rate.
func NewAuto(c Config, contest *Contest, openXDP func() (Transmitter, error)) (Transmitter, error) {
	packet, err := NewPacket(c)
	if err != nil {
		return nil, err
	}
	return newAuto(packet, c.Waiter, contest, func() (trialled, error) {
		tx, err := openXDP()
		if err != nil {
			return nil, err
		}
		x, ok := tx.(trialled)
		if !ok {
			return nil, errors.Join(fmt.Errorf("transmitter %T cannot be tried", tx), tx.Close())
		}
		return x, nil
	}), nil
}

func newAuto(packet Transmitter, waiter *pace.Waiter, contest *Contest, openXDP func() (trialled, error)) *auto {
	return &auto{packet: packet, openXDP: openXDP, contest: contest, waiter: waiter, current: packet}
}

func (a *auto) Send(probes []probe.Probe) (int, error) {
	taken, err := a.send(probes)
	a.taken += uint64(taken)
	return taken, err
}

func (a *auto) send(probes []probe.Probe) (int, error) {
	if a.round < rounds {
		a.trial.begin(a.waiter.Now(), a.current.Handed())
	}
	taken, err := a.current.Send(probes)
	switch {
	case a.gaveUp(err):
		if err := a.givenUp(err); err != nil {
			return taken, err
		}
		more, err := a.packet.Send(probes[taken:])
		return taken + more, err
	case err == nil && a.round < rounds && a.trial.reach(a.waiter.Now(), a.current.Handed()) >= trialTime:
		return taken, a.next()
	}
	return taken, err
}

// gaveUp says whether err is one of xdp's that packet makes good: any of its
// trial, and a refusal that came in the last moment of it.
func (a *auto) gaveUp(err error) bool {
	return err != nil && (a.round == xdpRound && !errors.Is(err, ErrStopped) || errors.Is(err, ErrRefused))
}

// givenUp goes on with packet after such an error.
func (a *auto) givenUp(err error) error {
	if a.round == xdpRound {
		a.contest.report(xdpRound, 0, err)
	}
	return a.fallBack()
}

// next ends a round.
func (a *auto) next() error {
	a.contest.report(a.round, a.trial.rate(), nil)
	for {
		choice, second := a.contest.outcome()
		switch {
		case choice != nil:
			return a.settle(choice)
		case second && a.round == packetRound:
			return a.tryXDP()
		}
		// Other threads are not through with theirs.
		if !a.waiter.Until(a.waiter.Now() + int64(100*time.Microsecond)) {
			return ErrStopped
		}
	}
}

// tryXDP begins the second round.
func (a *auto) tryXDP() error {
	x, err := a.openXDP()
	if errors.Is(err, ErrStopped) {
		return err
	}
	if err != nil {
		a.contest.report(xdpRound, 0, err)
		return a.fallBack()
	}
	x.try(true)
	a.xdp.Store(&x)
	a.contest.opened()
	if rate := a.asked.Load(); rate != 0 {
		if err := x.SetRate(pace.Rate(rate)); err != nil {
			return err
		}
	}
	a.current, a.round, a.trial = x, xdpRound, stretch{}
	return nil
}

// settle goes on with the way that was chosen.
func (a *auto) settle(choice *Choice) error {
	x := a.xdp.Load()
	if x != nil && choice.Way == "xdp" {
		(*x).try(false)
		(*x).Idle() // the others were waited for
		a.round = rounds
		return nil
	}
	return a.fallBack()
}

// fallBack goes on with packet, which sends first what xdp has left.
func (a *auto) fallBack() error {
	a.current, a.round = a.packet, rounds
	a.packet.Idle()
	x := a.xdp.Load()
	if x == nil {
		return nil
	}
	left := (*x).giveBack()
	for len(left) > 0 {
		n := min(a.packet.Batch(), len(left))
		if _, err := a.packet.Send(left[:n]); err != nil {
			return err
		}
		left = left[n:]
	}
	return nil
}

func (a *auto) Drain() (left int, err error) {
	_, err = a.current.Drain()
	switch {
	case errors.Is(err, ErrRefused):
		err = a.givenUp(err)
	case a.round < rounds:
		a.contest.leave(a.round)
	}
	return int(a.taken - a.Handed()), err
}

func (a *auto) Batch() int { return a.current.Batch() }

func (a *auto) Idle() {
	if a.round < rounds {
		a.trial.pause() // waiting says nothing about a way to send
	}
	a.current.Idle()
}

// each calls f with each transmitter that was used.
func (a *auto) each(f func(Transmitter)) {
	f(a.packet)
	if x := a.xdp.Load(); x != nil {
		f(*x)
	}
}

func (a *auto) Handed() (n uint64) {
	a.each(func(t Transmitter) { n += t.Handed() })
	return n
}

func (a *auto) Counts() (c Counts) {
	a.each(func(t Transmitter) { c.Add(t.Counts()) })
	return c
}

func (a *auto) SetRate(rate pace.Rate) error {
	a.asked.Store(uint64(rate))
	var errs []error
	a.each(func(t Transmitter) { errs = append(errs, t.SetRate(rate)) })
	return errors.Join(errs...)
}

func (a *auto) Close() error {
	var errs []error
	a.each(func(t Transmitter) { errs = append(errs, t.Close()) })
	return errors.Join(errs...)
}
