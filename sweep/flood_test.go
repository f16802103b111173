// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
	"xsweep/internal/testrand"
	"xsweep/sweep/pace"
	"xsweep/sweep/target"
)

// forge makes an echo reply of the shape that a probe's has, from a target of
// the sweep, but with the cookie of somebody who does not know the key.
func forge(t *testing.T, r *rand.Rand, from target.Addr) []byte {
	t.Helper()
	data := make([]byte, DefaultSize)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	buffer := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{SrcMAC: lab.ResponderMAC, DstMAC: lab.SenderMAC, EthernetType: layers.EthernetTypeIPv4},
		&layers.IPv4{Version: 4, TTL: 57, Protocol: layers.IPProtocolICMPv4, SrcIP: from.Netip().AsSlice(), DstIP: lab.SenderAddr.Netip().AsSlice()},
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoReply, 0), Id: uint16(r.Uint32()), Seq: uint16(r.Uint32())},
		gopacket.Payload(data))
	if err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// A flood of replies with wrong cookies, in the middle of a sweep, yields not
// one record: each is counted as forged, and the sweep finds who there is.
func TestForgedFlood(t *testing.T) {
	const flood = 5000
	r := testrand.New(t)
	targets := named(t, "240.10.0.0/20")
	world := lab.Config{Live: 0.1, Seed: 4}
	l := startLab(t, world)
	truth := map[target.Addr]bool{}
	for a := range world.Truth(target.SetOf(targets), 1) {
		truth[a] = true
	}
	frames := make([][]byte, flood)
	for i := range frames {
		frames[i] = forge(t, r, targets[0].Range.First+target.Addr(r.IntN(1<<12)))
	}
	fd := responderSocket(t, l)
	skip := make(chan struct{})
	c := Config{Targets: targets, Rate: 20_000, Cooldown: within, SkipCooldown: skip, RecordAll: true, Monitor: new(Monitor)}
	before := labStats(t, l)
	refused := uint64(0) // by the veth pair's ring, and sent again
	done := once(c.Monitor, 1, func() error {
		defer close(skip)
		var err error
		refused, err = sendFlood(fd, frames)
		if err != nil {
			return err
		}
		// All is over when all that was sent has been judged.
		for deadline := time.Now().Add(within / 2); ; runtime.Gosched() {
			p := c.Monitor.Progress()
			s, err := l.Stats()
			if err != nil {
				return err
			}
			if p.Phase == CoolingDown && p.Judged >= flood+s.Answered-before.Answered-(s.RepliesRefused-before.RepliesRefused-refused) {
				return nil
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%+v, lab %+v", p, s)
			}
		}
	})
	var kept keeper
	s, err := Run(t.Context(), c, &kept)
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	checkAccount(t, &s, &kept)
	checkDevice(t, &s)
	after := labStats(t, l)
	lost := after.RepliesRefused - before.RepliesRefused - refused
	verdicts(t, &s, map[string]uint64{"forged": flood, "first": uint64(len(truth)) - lost})
	for _, record := range kept.records {
		if a, _ := target.AddrFrom(record.Addr); !truth[a] || record.TTL != world.Host(a).TTL {
			t.Errorf("a forged record: %+v", record)
		}
	}
	if got := uint64(len(kept.records)); got != s.Packets.Verdicts["first"] {
		t.Errorf("%d records, but %d first replies", got, s.Packets.Verdicts["first"])
	}
}

// sendFlood sends frames, paced, and each until it has gone. It returns how
// many times one was refused.
func sendFlood(fd int, frames [][]byte) (refused uint64, err error) {
	runtime.LockOSThread() // and not unlocked: the waiter changes its timers
	stop, err := pace.NewStop()
	if err != nil {
		return 0, err
	}
	defer stop.Close()
	pacer, err := pace.New(pace.Config{Rate: 25_000})
	if err != nil {
		return 0, err
	}
	waiter := pace.NewWaiter(pace.NewClock(), stop)
	deadline := time.Now().Add(within / 2)
	for i := 0; i < len(frames); {
		if now := waiter.Now(); pacer.Next(now) > now {
			waiter.Until(pacer.Next(now))
			continue
		}
		_, err := unix.Write(fd, frames[i])
		switch {
		case err == nil:
			i++
		case errors.Is(err, unix.ENOBUFS) && time.Now().Before(deadline):
			refused++
		default:
			return refused, err
		}
		pacer.Sent(1)
	}
	return refused, nil
}
