// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
	"xsweep/sweep/pace"
	"xsweep/sweep/target"
)

// Two threads that share a queue as fast as they can find the truth: what it had
// no room for is sent again, nothing twice. (That it has no room is forced in
// package transmit.)
func TestXDPOneQueue(t *testing.T) {
	targets := named(t, "240.16.0.0/16")
	world := lab.Config{Live: 0.1, Queues: 1, Seed: 4}
	var truth []netip.Addr
	for a := range world.Truth(target.SetOf(targets), 1) {
		truth = append(truth, a.Netip())
	}
	l := startLab(t, world)
	s, records := undisturbed(t, l, Config{Targets: targets, Tx: TxXDP, Threads: 2, Rate: pace.Max, RecordAll: true})
	var found []netip.Addr
	for _, r := range records {
		found = append(found, r.Addr)
	}
	if !slices.Equal(sorted(found), truth) {
		t.Errorf("%d found, want %d", len(found), len(truth))
	}
	verdicts(t, &s, map[string]uint64{"first": uint64(len(truth))})
	if s.Probes.Accepted != s.Probes.Due || len(s.Losses()) > 0 || s.Probes.Unconfirmed > 0 {
		t.Errorf("probes %+v, losses %q", s.Probes, s.Losses())
	}
	t.Logf("%.0f a second, %d tried again", s.Rate.Mean, s.Probes.Retries)
}

// detach takes whatever program is on a device off it, as `bpftool link detach`
// does.
func detach(device netlink.Link) error {
	xdp := device.Attrs().Xdp
	if xdp == nil || !xdp.Attached {
		return fmt.Errorf("no program on %s", device.Attrs().Name)
	}
	var links link.Iterator
	defer links.Close()
	for links.Next() {
		// (Another namespace's device may have the same index, but not the program.)
		if info, err := links.Link.Info(); err == nil && info.XDP() != nil && uint32(info.Program) == xdp.ProgId {
			return links.Link.Detach()
		}
	}
	return errors.Join(fmt.Errorf("no link of program %d", xdp.ProgId), links.Err())
}

// A device that takes no frames from programs is refused before anything is
// sent, with words that say what would help.
func TestXDPDeviceTakesNoFrames(t *testing.T) {
	l := startLab(t, lab.Config{Responder: lab.Kernel})
	if err := l.AtResponder(func() error { return lab.SetGRO(lab.ResponderDevice, false) }); err != nil {
		t.Fatal(err)
	}
	before := txFrames(t)
	for _, want := range []string{lab.SenderDevice, "takes no frames from XDP programs", "use --tx packet"} {
		failedStart{want: want}.check(t, brief(Config{Targets: named(t, "198.18.64.0/24"), Tx: TxXDP}))
	}
	if got := txFrames(t); got != before {
		t.Errorf("%d frames were sent", got-before)
	}
}

func txFrames(t *testing.T) uint64 {
	t.Helper()
	link, err := netlink.LinkByName(lab.SenderDevice)
	if err != nil {
		t.Fatal(err)
	}
	return link.Attrs().Statistics.TxPackets
}

// When the far end does not take frames any more because somebody took its
// program off, each probe from then on is refused for what the driver says, at
// the sweep's pace, and the sweep goes on to its end.
func TestXDPPeerDetached(t *testing.T) {
	// More than a second thread needs to start: a thread whose very first frame is
	// refused says that the device takes none, which ends the sweep.
	const sent = 70_000
	for _, threads := range []int{1, 2} {
		t.Run(fmt.Sprint(threads), func(t *testing.T) {
			l := startLab(t, lab.Config{Live: 1})
			c := brief(Config{Targets: named(t, "240.16.0.0/15"), Rate: 100_000, Tx: TxXDP, Threads: threads, Monitor: new(Monitor)})
			done := once(c.Monitor, sent, func() error {
				return l.AtResponder(func() error {
					return errors.Join(lab.SetGRO(lab.ResponderDevice, false), withLink(lab.ResponderDevice, detach))
				})
			})
			var kept keeper
			s, err := Run(t.Context(), c, &kept)
			if err := errors.Join(err, <-done); err != nil {
				t.Fatal(err)
			}
			checkAccount(t, &s, &kept)
			p := s.Probes
			t.Logf("%+v", p)
			if p.Handed != p.Due || p.Accepted < sent || len(p.Unsent) != 0 || len(p.Refused) != 1 ||
				p.Refused[errnoName(unix.ENXIO)]+p.Refused[errnoName(unix.EOPNOTSUPP)] != p.Due-p.Accepted || p.Accepted == p.Due || p.Unconfirmed != 0 {
				t.Errorf("probes %+v, want the first accepted and the others refused", p)
			}
			if len(s.Losses()) == 0 || s.Targets.Answered > p.Accepted {
				t.Errorf("losses %q, targets %+v", s.Losses(), s.Targets)
			}
		})
	}
}
