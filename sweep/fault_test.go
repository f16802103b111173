// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"xsweep/internal/lab"
	"xsweep/loader"
	"xsweep/sweep/transmit"
)

// once runs f as soon as a sweep has had so many probes accepted.
func once(m *Monitor, accepted uint64, f func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		for deadline := time.Now().Add(within); m.Progress().Accepted < accepted; runtime.Gosched() {
			if time.Now().After(deadline) {
				done <- errors.New("nothing is sent")
				return
			}
		}
		done <- f()
	}()
	return done
}

// cut checks a sweep that was to end early: part was sent, the rest is unsent
// for one reason, and nothing is lost from the account.
func cut(t *testing.T, s *Summary, kept *keeper, reason string) {
	t.Helper()
	checkAccount(t, s, kept)
	p := s.Probes
	if p.Handed == 0 || p.Handed >= p.Due || p.Unsent[reason] != p.Due-p.Handed || len(p.Unsent) != 1 {
		t.Errorf("probes %+v, want some unsent: %s", p, reason)
	}
	if s.Targets.Swept != p.Handed || s.Targets.Unprobed != p.Due-p.Handed {
		t.Errorf("targets %+v", s.Targets)
	}
}

// long is a sweep that takes ten seconds if nothing ends it.
func long(t *testing.T) Config {
	t.Helper()
	return brief(Config{Targets: named(t, "240.7.0.0/16"), Rate: 6500, Monitor: new(Monitor)})
}

func TestMaxRuntime(t *testing.T) {
	startLab(t, lab.Config{Live: 1})
	c := long(t)
	c.MaxRuntime = 200 * time.Millisecond
	var kept keeper
	s, err := Run(t.Context(), c, &kept)
	if err != nil {
		t.Fatal(err)
	}
	cut(t, &s, &kept, "stopped")
	checkDevice(t, &s)
	if s.Interrupted || s.Error != "" {
		t.Errorf("interrupted %v, error %q", s.Interrupted, s.Error)
	}
	if got := s.Ended.Sub(s.Started); got < c.MaxRuntime+c.Cooldown {
		t.Errorf("it ended after %v, before runtime and cooldown were over", got)
	}
}

func TestMaxResults(t *testing.T) {
	startLab(t, lab.Config{Live: 1})
	c := long(t)
	c.MaxResults = 100
	var kept keeper
	s, err := Run(t.Context(), c, &kept)
	if err != nil {
		t.Fatal(err)
	}
	cut(t, &s, &kept, "stopped")
	checkDevice(t, &s)
	if len(kept.records) < 100 || s.Interrupted {
		t.Errorf("%d results, interrupted %v", len(kept.records), s.Interrupted)
	}
}

// The end of the context stops sending, and replies are still waited for.
func TestInterrupt(t *testing.T) {
	startLab(t, lab.Config{Live: 1})
	c := long(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stopped time.Time
	done := once(c.Monitor, 100, func() error { stopped = time.Now(); cancel(); return nil })
	var kept keeper
	s, err := Run(ctx, c, &kept)
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	cut(t, &s, &kept, "stopped")
	checkDevice(t, &s)
	if !s.Interrupted {
		t.Error("the summary does not say that it was interrupted")
	}
	if got := s.Ended.Sub(stopped.UTC()); got < c.Cooldown {
		t.Errorf("it ended %v after the interrupt, before the cooldown of %v", got, c.Cooldown)
	}
}

// Who does not want to wait for the cooldown need not; an interrupt in the
// cooldown is one too, though nothing is unsent.
func TestSkipCooldown(t *testing.T) {
	startLab(t, lab.Config{Live: 1})
	skip := make(chan struct{})
	c := Config{Targets: named(t, "240.8.0.0/26"), Cooldown: time.Hour, SkipCooldown: skip, Monitor: new(Monitor)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := once(c.Monitor, 64, func() error {
		for deadline := time.Now().Add(within); c.Monitor.Progress().Phase != CoolingDown; runtime.Gosched() {
			if time.Now().After(deadline) {
				return errors.New("no cooldown")
			}
		}
		cancel()
		close(skip)
		return nil
	})
	var kept keeper
	s, err := Run(ctx, c, &kept)
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	checkAccount(t, &s, &kept)
	checkDevice(t, &s)
	if s.Probes.Accepted != 64 {
		t.Errorf("probes %+v", s.Probes)
	}
}

// withLink does something to a device.
func withLink(name string, do func(netlink.Link) error) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return do(link)
}

// A device that is lost in mid-sweep ends it with an error that names it, and
// the account is complete.
func TestDeviceLost(t *testing.T) {
	for _, tx := range []Tx{TxPacket, TxRaw, TxXDP} {
		t.Run(string(tx), func(t *testing.T) {
			for _, tc := range []struct {
				name    string
				lose    func(l *lab.Lab) error
				removed bool
			}{
				{"down", func(*lab.Lab) error { return withLink(lab.SenderDevice, netlink.LinkSetDown) }, false},
				{"no carrier", func(l *lab.Lab) error {
					return l.AtResponder(func() error { return withLink(lab.ResponderDevice, netlink.LinkSetDown) })
				}, false},
				{"removed", func(*lab.Lab) error { return withLink(lab.SenderDevice, netlink.LinkDel) }, true},
			} {
				t.Run(tc.name, func(t *testing.T) {
					l := openLab(t, lab.Config{Live: 1})
					c := long(t)
					c.Tx = tx
					c.Cooldown = time.Hour // ended by the error
					done := once(c.Monitor, 200, func() error { return tc.lose(l) })
					var kept keeper
					s, err := Run(t.Context(), c, &kept)
					if lost := <-done; lost != nil {
						t.Fatal(lost)
					}
					if !errors.Is(err, ErrLink) && !errors.Is(err, transmit.ErrDevice) {
						t.Fatalf("error %v", err)
					}
					var start *StartError
					if errors.As(err, &start) || !strings.Contains(err.Error(), lab.SenderDevice) || s.Error != err.Error() {
						t.Errorf("error %q, summary %q", err, s.Error)
					}
					if len(s.Probes.Unsent) != 1 {
						t.Errorf("unsent %v", s.Probes.Unsent)
					}
					for reason := range s.Probes.Unsent { // stopped, or the device's errno
						cut(t, &s, &kept, reason)
					}
					if _, ok := s.Devices[lab.SenderDevice]; ok == tc.removed {
						t.Errorf("devices %+v", s.Devices)
					}
					if err := l.Close(); err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}

// A sink that fails ends the sweep: no probe is sent for results that nobody
// gets. Every record is accounted for.
func TestSinkFails(t *testing.T) {
	startLab(t, lab.Config{Live: 1})
	full := errors.New("no room left")
	kept := keeper{fail: full}
	s, err := Run(t.Context(), long(t), &kept)
	if !errors.Is(err, full) {
		t.Fatalf("error %v", err)
	}
	cut(t, &s, &kept, "stopped")
	checkDevice(t, &s)
	if len(s.Losses()) != 1 || s.Records.Sinks[0].Failed != s.Records.Emitted || s.Records.Emitted == 0 {
		t.Errorf("losses %q, records %+v", s.Losses(), s.Records)
	}
}

// What is wrong before the first probe is a StartError, and nothing was sent.
func TestStartErrors(t *testing.T) {
	startLab(t, lab.Config{Live: 1})
	for name, tc := range failedStarts(t) {
		t.Run(name, func(t *testing.T) {
			tc.check(t, tc.config(t))
			if found, ok := loader.FindXDP(labIndex(t)); ok != tc.occupied {
				t.Errorf("program on the device: %v, %v", found, ok)
			}
		})
	}
}

// failedStart is a sweep that cannot begin.
type failedStart struct {
	config   func(*testing.T) Config
	want     string
	occupied bool // another program is on the device
}

func failedStarts(t *testing.T) map[string]failedStart {
	plain := func(change func(*Config)) func(*testing.T) Config {
		return func(t *testing.T) Config {
			c := brief(Config{Targets: named(t, "240.9.0.0/28")})
			change(&c)
			return c
		}
	}
	return map[string]failedStart{
		"no targets":           {config: plain(func(c *Config) { c.Targets = nil }), want: "no targets"},
		"no such interface":    {config: plain(func(c *Config) { c.Interface = "none9" }), want: "none9"},
		"own address":          {config: plain(func(c *Config) { c.Targets, c.Interface = named(t, "198.18.0.1"), lab.SenderDevice }), want: "198.18.0.1"},
		"interface is down":    {config: plain(func(c *Config) { c.Interface = downDevice(t) }), want: "down"},
		"no results wanted":    {config: plain(func(c *Config) { c.MaxRuntime = -1 }), want: "max runtime"},
		"another XDP program":  {config: func(t *testing.T) Config { occupy(t); return plain(func(*Config) {})(t) }, want: "another XDP program", occupied: true},
		"foreign loop address": {config: plain(func(c *Config) { c.Source = named(t, "127.0.0.1")[0].Range.First.Netip() }), want: "127.0.0.1"},
	}
}

// check runs the sweep, which must fail before anything is sent.
func (f failedStart) check(t *testing.T, c Config) {
	t.Helper()
	var kept keeper
	s, err := Run(t.Context(), c, &kept)
	var start *StartError
	if !errors.As(err, &start) || !strings.Contains(err.Error(), f.want) {
		t.Errorf("error %v: should be a StartError that says %q", err, f.want)
	}
	if s.Probes.Due != 0 || len(kept.records) != 0 {
		t.Errorf("summary %+v", s)
	}
}

// downDevice makes a device that stays down, and returns its name.
func downDevice(t *testing.T) string {
	t.Helper()
	const name = "down9"
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	device := netlink.NewVeth(attrs)
	device.PeerName = "down8"
	if err := netlink.LinkAdd(device); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netlink.LinkDel(device); err != nil {
			t.Error(err)
		}
	})
	return name
}

// occupy attaches a program to lab0 until the test ends.
func occupy(t *testing.T) {
	t.Helper()
	filter, err := loader.LoadReply(loader.ReplyConfig{
		Source: lab.SenderAddr.Netip(), Attempts: 1, Probes: []loader.ProbeShape{{Request: 8, MessageLen: 28}},
		Targets: func(yield func(first, last uint32) bool) { yield(0xf0000000, 0xf0000000) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := filter.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := filter.Attach(lab.SenderDevice, labIndex(t), loader.Native); err != nil {
		t.Fatal(err)
	}
}
