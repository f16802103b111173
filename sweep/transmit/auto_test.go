// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
	"xsweep/loader"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
)

// scripted is a transmitter of a fixed speed that can be tried. It hands over
// what it takes at once, until it refuses.
type scripted struct {
	waiter   *pace.Waiter
	each     int64 // ns that a probe takes
	refuseAt int   // probes after which the device refuses; -1: never
	fail     error // what Send returns from refuseAt on in place of a refusal

	sent           *[]uint64 // indexes handed over, by all transmitters of a test
	handed         uint64
	refused        uint64
	held           []probe.Probe // taken and not handed over
	trial, drained bool
	closed         bool
	rate           pace.Rate
}

func (s *scripted) Batch() int                   { return 16 }
func (s *scripted) Handed() uint64               { return s.handed }
func (s *scripted) Idle()                        {}
func (s *scripted) SetRate(rate pace.Rate) error { s.rate = rate; return nil }
func (s *scripted) Counts() Counts {
	c := Counts{Accepted: s.handed - s.refused}
	if s.refused > 0 {
		c.Refused = map[unix.Errno]uint64{unix.ENXIO: s.refused}
	}
	return c
}
func (s *scripted) Close() error { s.closed = true; return nil }
func (s *scripted) try(on bool)  { s.trial = on }

func (s *scripted) giveBack() []probe.Probe {
	s.drained = true
	return s.held
}

func (s *scripted) Drain() (int, error) {
	s.drained = true
	if s.trial && len(s.held) > 0 {
		return len(s.held), ErrRefused
	}
	return len(s.held), nil
}

func (s *scripted) Send(probes []probe.Probe) (int, error) {
	if s.drained {
		return 0, errors.New("sent after it was drained")
	}
	if !s.waiter.Until(s.waiter.Now() + s.each*int64(len(probes))) {
		return 0, ErrStopped
	}
	for i, p := range probes {
		switch {
		case s.refuseAt < 0 || int(s.handed) < s.refuseAt:
			s.handed++
			*s.sent = append(*s.sent, p.Index)
		case s.trial: // two are under way before that shows
			if s.held = append(s.held, p); len(s.held) == 2 {
				if s.fail != nil {
					return i + 1, s.fail
				}
				return i + 1, ErrRefused
			}
		default:
			s.handed++
			s.refused++
		}
	}
	return len(probes), nil
}

// What is chosen, and that every probe is sent exactly once whatever happens in
// the trials.
func TestAuto(t *testing.T) {
	const many = 40_000
	noSuch := errors.New("no such program")
	for _, tc := range []struct {
		name        string
		rate        pace.Rate
		packet, xdp scripted
		open        error // of xdp
		probes      int
		want        string
	}{
		{"packet reaches the rate", 100_000, scripted{each: 10000}, scripted{}, nil, many, "packet"},
		{"xdp is faster", pace.Max, scripted{each: 10000}, scripted{each: 4000, refuseAt: -1}, nil, many, "xdp"},
		{"xdp is slower", pace.Max, scripted{each: 5000}, scripted{each: 15000, refuseAt: -1}, nil, many, "packet"},
		{"xdp cannot be opened", pace.Max, scripted{each: 10000}, scripted{}, noSuch, many, "packet"},
		{"the device refuses the first frame", pace.Max, scripted{each: 10000}, scripted{each: 4000}, nil, many, "packet"},
		{"the device refuses a later frame", pace.Max, scripted{each: 10000}, scripted{each: 4000, refuseAt: 1001}, nil, many, "packet"},
		{"the run fails", pace.Max, scripted{each: 10000}, scripted{each: 4000, refuseAt: 5, fail: ErrDevice}, nil, many, "packet"},
		{"it ends in the first trial", pace.Max, scripted{each: 4000}, scripted{}, nil, 160, "packet"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			th := newThread(t)
			var sent []uint64
			packet, xdp := tc.packet, tc.xdp
			packet.waiter, packet.sent, packet.refuseAt = th.waiter, &sent, -1
			xdp.waiter, xdp.sent = th.waiter, &sent
			var told []Choice
			a := newAuto(&packet, th.waiter, NewContest(1, tc.rate, func(c Choice) { told = append(told, c) }), func() (trialled, error) {
				return &xdp, tc.open
			})
			probes := numbered(0, tc.probes)
			if handed, err := send(a, probes); err != nil || handed != len(probes) {
				t.Fatalf("%d of %d handed, %v", handed, len(probes), err)
			}
			if c := a.Counts(); c.Accepted != uint64(len(probes)) || c.Refused != nil || a.Handed() != uint64(len(probes)) {
				t.Errorf("counted %+v, handed %d", c, a.Handed())
			}
			if len(told) != 1 || told[0].Way != tc.want {
				t.Errorf("chosen %+v, want %s", told, tc.want)
			}
			slices.Sort(sent)
			if diff := cmp.Diff(sequence(0, uint64(tc.probes)), sent); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
			if xdp.trial && tc.want == "xdp" {
				t.Error("the trial goes on")
			}
			if err := a.Close(); err != nil || !packet.closed {
				t.Errorf("closed %v, %v", packet.closed, err)
			}
		})
	}
}

// A stop in a trial leaves the rest unsent, and says how many that is.
func TestAutoStopped(t *testing.T) {
	th := newThread(t)
	var sent []uint64
	packet := &scripted{waiter: th.waiter, sent: &sent, refuseAt: -1, each: 4000}
	a := newAuto(packet, th.waiter, NewContest(1, pace.Max, func(Choice) {}), nil)
	if n, err := a.Send(numbered(0, 100)); n != 100 || err != nil {
		t.Fatal(n, err)
	}
	th.stop.Set()
	if n, err := a.Send(numbered(100, 100)); n != 0 || !errors.Is(err, ErrStopped) {
		t.Errorf("%d taken, %v", n, err)
	}
	if left, err := a.Drain(); left != 0 || err != nil || a.Handed() != 100 {
		t.Errorf("%d left, %v, %d handed", left, err, a.Handed())
	}
}

// A rate that is changed before the second trial holds in it too.
func TestAutoSetRate(t *testing.T) {
	th := newThread(t)
	var sent []uint64
	packet := &scripted{waiter: th.waiter, sent: &sent, refuseAt: -1, each: 10000}
	xdp := &scripted{waiter: th.waiter, sent: &sent, refuseAt: -1, each: 4000}
	a := newAuto(packet, th.waiter, NewContest(1, pace.Max, func(Choice) {}), func() (trialled, error) { return xdp, nil })
	if err := a.SetRate(1234); err != nil {
		t.Fatal(err)
	}
	if _, err := send(a, numbered(0, 40_000)); err != nil {
		t.Fatal(err)
	}
	if packet.rate != 1234 || xdp.rate != 1234 {
		t.Errorf("rates %v and %v", packet.rate, xdp.rate)
	}
}

// Two threads end up on the same way, with all sent.
func TestAutoTogether(t *testing.T) {
	var told []Choice
	contest := NewContest(2, pace.Max, func(c Choice) { told = append(told, c) })
	var threads sync.WaitGroup
	for k := range 2 {
		threads.Go(func() {
			th := newThread(t)
			var sent []uint64
			packet := &scripted{waiter: th.waiter, sent: &sent, refuseAt: -1, each: 10000}
			xdp := &scripted{waiter: th.waiter, sent: &sent, refuseAt: -1, each: 4000}
			if k == 1 {
				xdp.refuseAt = 700
			}
			a := newAuto(packet, th.waiter, contest, func() (trialled, error) { return xdp, nil })
			if handed, err := send(a, numbered(0, 40_000)); err != nil || handed != 40_000 {
				t.Errorf("thread %d: %d handed, %v", k, handed, err)
			}
			if a.current != Transmitter(packet) {
				t.Errorf("thread %d goes on with another way", k)
			}
		})
	}
	threads.Wait()
	if len(told) != 1 || told[0].Way != "packet" {
		t.Errorf("chosen %+v", told)
	}
}

// A device that takes frames from sockets and refuses those from programs,
// whatever its driver says: nothing is lost, nothing sent twice.
func TestAutoFallsBackOnRealDevices(t *testing.T) {
	labtest.Kernel(t)
	startUnableLab(t)
	th := newThread(t)
	c := Config{
		Device: lab.SenderDevice, Index: deviceIndex(t), BindToDevice: true,
		Template: newTemplate(t, lab.SenderAddr.Netip(), true, probe.PayloadLen),
		Pace:     pace.Config{Rate: 300_000}, Waiter: th.waiter,
	}
	cpus, err := loader.UsableCPUs()
	if err != nil {
		t.Fatal(err)
	}
	kernel, err := loader.LoadTransmit(loader.TransmitConfig{
		Key: testKey, Device: c.Index, Flows: KernelFlows(c.Template), Shapes: KernelShapes(c.Template), Tagged: c.Template.Tagged(), UTOffset: c.Template.UTOffset(),
		CPUs: cpus[:1],
	})
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	var told []Choice
	// Twice the rate is asked for, so that packet cannot reach it.
	tx, err := NewAuto(c, NewContest(1, 600_000, func(c Choice) { told = append(told, c) }), func() (Transmitter, error) {
		return NewXDP(c, kernel, cpus[0])
	})
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	before := txPackets(t)
	probes := numbered(0, 60_000)
	mustSendAll(t, tx, probes)
	if len(told) != 1 || told[0].Way != "packet" || told[0].XDP != 0 {
		t.Errorf("chosen %+v, want packet since xdp failed", told)
	}
	if got := txPackets(t) - before; got != uint64(len(probes)) {
		t.Errorf("the device has sent %d of %d", got, len(probes))
	}
}

// What is measured is sending: not the time in which there was nothing to send.
func TestAutoIdle(t *testing.T) {
	th := newThread(t)
	var sent []uint64
	packet := &scripted{waiter: th.waiter, sent: &sent, refuseAt: -1, each: 10_000} // 100k a second
	var told []Choice
	a := newAuto(packet, th.waiter, NewContest(1, 20_000, func(c Choice) { told = append(told, c) }), nil)
	for n := 0; told == nil; n += 160 {
		if taken, err := sendOn(a, numbered(n, 160)); taken != 160 || err != nil {
			t.Fatal(taken, err)
		}
		th.waiter.Until(th.waiter.Now() + int64(20*time.Millisecond)) // 8k a second with it
		a.Idle()
	}
	if told[0].Way != "packet" || told[0].Packet < 20_000 {
		t.Errorf("%+v", told[0])
	}
}

func TestStretch(t *testing.T) {
	var s stretch
	s.begin(1000, 50)
	s.begin(2000, 60) // it is under way
	if took := s.reach(3000, 70); took != 2000 {
		t.Errorf("took %d", took)
	}
	s.pause()
	s.pause()
	s.begin(9000, 100)
	if took := s.reach(10_000, 130); took != 3000 {
		t.Errorf("took %d", took)
	}
	if want := 50.0 / 3000e-9; s.rate() != want {
		t.Errorf("rate %v, want %v", s.rate(), want)
	}
}
