// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"xsweep/internal/lab/labtest"
	"xsweep/sweep/target"
)

// startChain starts a chain in place that ends with the test.
func startChain(t testing.TB, c Config) *Chain {
	t.Helper()
	labtest.Kernel(t)
	c.InPlace = true
	chain, err := StartChain(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := chain.Close(); err != nil {
			t.Error(err)
		}
	})
	return chain
}

// forwardAll makes a device of the hop hand all that arrives to the other.
func forwardAll(t *testing.T, from, to int) error {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP,
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R1, int32(to)), asm.Mov.Imm(asm.R2, 0), asm.FnRedirect.Call(), asm.Return(),
		},
	})
	if err != nil {
		return err
	}
	defer p.Close()
	l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: from, Flags: link.XDPDriverMode})
	if err == nil {
		t.Cleanup(func() { l.Close() })
	}
	return err
}

// Through a hop that forwards, a network is what it is without one; through
// one that does not, nothing passes.
func TestChain(t *testing.T) {
	c := Config{Live: 0.5, Seed: 3}
	chain := startChain(t, c)
	set := span(0xf0000000, 500)
	send := func(wait int) map[target.Addr]heard {
		replies, _, err := exchange(set, 1, func() (int, bool) {
			s := stats(t, chain.Lab)
			return int(s.Answered), int(s.EchoRequests) >= wait
		})
		if err != nil {
			t.Fatal(err)
		}
		return replies
	}
	if replies := send(0); len(replies) > 0 || stats(t, chain.Lab).Seen > 0 {
		t.Errorf("%d replies through a hop without programs", len(replies))
	}
	err := chain.AtHop(func(toSender, toResponder int) error {
		if err := forwardAll(t, toSender, toResponder); err != nil {
			return fmt.Errorf("towards the responder: %w", err)
		}
		return forwardAll(t, toResponder, toSender)
	})
	if err != nil {
		t.Fatal(err)
	}
	replies := send(500)
	for a := range set.All() {
		if got, want := replies[a].replies, c.Replies(a, 1); got != want {
			t.Errorf("%v: %d replies, want %d", a, got, want)
		}
	}
}

// A chain takes away what it brought: devices and descriptors.
func TestChainLeavesNothing(t *testing.T) {
	labtest.Kernel(t)
	once := func() int {
		chain, err := StartChain(Config{InPlace: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := StartChain(Config{InPlace: true}); err == nil {
			t.Error("two chains in one place")
		}
		if _, err := net.InterfaceByName(SenderDevice); err != nil {
			t.Error(err)
		}
		if err := chain.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := net.InterfaceByName(SenderDevice); err == nil {
			t.Errorf("%s is left", SenderDevice)
		}
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(open)
	}
	first := once() // which opens what the runtime keeps
	for range 3 {
		if now := once(); now > first {
			t.Errorf("%d descriptors are open after a chain, %d after the one before", now, first)
		}
	}
}

func TestChainRefusesWhatALabRefuses(t *testing.T) {
	if _, err := StartChain(Config{Live: 2}); err == nil {
		t.Error("more than everybody lives")
	}
}
