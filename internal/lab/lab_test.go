// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"

	"xsweep/internal/lab/labtest"
	"xsweep/internal/testrand"
	"xsweep/sweep/target"
)

// Answers match the truth, address for address and reply for reply, whatever
// program sits at the sender's end.
func TestSimnetAnswers(t *testing.T) {
	r := testrand.New(t)
	for _, mode := range []string{"none", "native", "generic"} {
		for _, tc := range []struct {
			name   string
			config Config
			probes int
		}{
			{"all live", Config{Live: 1}, 1},
			{"none live", Config{Live: 0}, 1},
			{"one in ten live", Config{Live: 0.1}, 1},
			{"duplicates", Config{Live: 0.5, Duplicate: 0.3}, 1},
			{"loss", Config{Live: 0.5, Loss: 0.4}, 3},
			{"loss and duplicates", Config{Live: 0.8, Loss: 0.3, Duplicate: 0.5, Queues: 1}, 2},
		} {
			t.Run(mode+"/"+tc.name, func(t *testing.T) {
				c := tc.config
				c.InPlace, c.Seed = true, r.Uint64()
				l := start(t, c)
				attachPass(t, mode)
				set := span(0xf0000000+target.Addr(r.IntN(1<<20)), 4000)
				replies, s, _ := sweep(t, l, set, tc.probes)
				if s.RequestsRefused+s.RepliesRefused+s.StateFull > 0 {
					t.Errorf("frames were refused: %+v", s)
				}
				want := map[target.Addr]heard{}
				for a := range set.All() {
					if n := c.Replies(a, tc.probes); n > 0 {
						want[a] = heard{n, c.Host(a).TTL}
					}
				}
				if diff := cmp.Diff(want, replies, cmp.AllowUnexported(heard{})); diff != "" {
					t.Errorf("seed %d (-want +got):\n%s", c.Seed, diff)
				}
				if diff := cmp.Diff(slices.Collect(c.Truth(set, tc.probes)), slices.Sorted(maps.Keys(replies))); diff != "" {
					t.Errorf("seed %d: truth (-want +got):\n%s", c.Seed, diff)
				}
			})
		}
	}
}

// attachPass puts a program that passes everything on lab0.
func attachPass(t *testing.T, mode string) {
	t.Helper()
	flags, ok := map[string]link.XDPAttachFlags{"native": link.XDPDriverMode, "generic": link.XDPGenericMode}[mode]
	if !ok {
		return
	}
	pass, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:         ebpf.XDP,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer pass.Close()
	device, err := net.InterfaceByName(SenderDevice)
	if err != nil {
		t.Fatal(err)
	}
	attached, err := link.AttachXDP(link.XDPOptions{Program: pass, Interface: device.Index, Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { attached.Close() })
}

// As fast as one thread sends, every answer that a ring had room for arrives
// twice, and what it had not is counted.
func TestDuplicatesAtSpeed(t *testing.T) {
	for _, mode := range []string{"native", "generic"} {
		t.Run(mode, func(t *testing.T) {
			c := Config{Live: 1, Duplicate: 1, InPlace: true}
			l := start(t, c)
			attachPass(t, mode)
			set := span(0xf0000000, 100_000)
			replies, s, took := sweep(t, l, set, 1)
			if s.Duplicated != s.HostsAnswered || s.HostsAnswered+s.RequestsRefused != set.Len() {
				t.Errorf("not all answered twice: %+v", s)
			}
			once := 0
			for a, h := range replies {
				if h.replies > 2 {
					t.Fatalf("%v answered %d times", a, h.replies)
				}
				if h.replies == 1 {
					once++
				}
			}
			if uint64(once) > s.RepliesRefused {
				t.Errorf("%d addresses answered only once, but only %d replies found no room", once, s.RepliesRefused)
			}
			t.Logf("%.0f requests a second; %d requests and %d replies found no room in a ring",
				float64(set.Len())/took.Seconds(), s.RequestsRefused, s.RepliesRefused)
		})
	}
}

// Linux answers for its whole prefix, in order to be swept, and for no more.
func TestKernelAnswers(t *testing.T) {
	c := Config{Responder: Kernel, InPlace: true}
	start(t, c)
	first, last := kernelRange.First, kernelRange.Last
	set := target.NewSet(
		target.Range{First: GatewayAddr, Last: GatewayAddr},
		target.Range{First: linkBroadcast + 1, Last: first + 3000},
		target.Range{First: last - 1000, Last: last + 500},
	)
	truth := slices.Collect(c.Truth(set, 1))
	if want := 1 + 3000 - 3 + 1001; len(truth) != want {
		t.Fatalf("%d addresses should answer, not %d", want, len(truth))
	}
	// Frames keep their order, so once all have come none is behind them.
	var replies map[target.Addr]heard
	replies, _, err := exchange(set, 1, func() (int, bool) { return len(truth), true })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(truth, slices.Sorted(maps.Keys(replies))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for a, h := range replies {
		if want := (heard{1, c.Host(a).TTL}); h != want {
			t.Errorf("%v: got %+v, want %+v", a, h, want)
		}
	}
}

// A meter that drains one frame a second, while all come within less, counts
// them exactly but for the time that passed.
func TestMeter(t *testing.T) {
	for _, responder := range []Responder{Sink, Simnet} {
		t.Run(responder.String(), func(t *testing.T) {
			l := start(t, Config{Responder: responder, MeterRate: 1, InPlace: true})
			const n = 3000
			sweep(t, l, span(0xf0000000, n), 1)
			got, err := l.Meter()
			if err != nil {
				t.Fatal(err)
			}
			if s := stats(t, l); s.Sunk+s.Silent != n {
				t.Errorf("sunk or silent should be %d: %+v", n, s)
			}
			span := got.Last - got.First
			binned := uint64(0)
			for _, frames := range got.Seconds {
				binned += frames
			}
			if got.Frames != n || binned != n || span <= 0 || len(got.Seconds) != int(span/time.Second)+1 {
				t.Errorf("%d frames in %v, %d of them in %d bins; want %d", got.Frames, span, binned, len(got.Seconds), n)
			}
			if want := n - span.Seconds(); got.Burst < want-1e-6 || got.Burst > want+1e-6 {
				t.Errorf("burst %v after %v, want %v", got.Burst, span, want)
			}
		})
	}
}

// Frames fall into the second in which they arrive.
func TestMeterSeconds(t *testing.T) {
	s := load(t, Config{Responder: Sink, MeterRate: 1})
	frame := echoRequest(0xf0000000, 0)
	deadline := time.Now().Add(patience)
	for {
		for range 1000 {
			s.run(t, frame)
		}
		before, err := s.meter()
		if err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("no second ends: %+v", before)
		}
		if len(before.Seconds) < 2 {
			continue
		}
		s.run(t, frame)
		after, err := s.meter()
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(before.Seconds)
		want = append(want, make([]uint64, len(after.Seconds)-len(want))...)
		want[len(want)-1]++
		if diff := cmp.Diff(want, after.Seconds); diff != "" || want[0] < 1000 {
			t.Errorf("frames by second after one more (-want +got):\n%s", diff)
		}
		return
	}
}

// A meter faster than any sender never has more than the frame that comes.
func TestMeterDrains(t *testing.T) {
	l := start(t, Config{Responder: Sink, MeterRate: maxMeterRate, InPlace: true})
	sweep(t, l, span(0xf0000000, 1000), 1)
	got, err := l.Meter()
	if err != nil {
		t.Fatal(err)
	}
	if got.Frames != 1000 || got.Burst != 1 {
		t.Errorf("%d frames, burst %v, want 1000 and 1", got.Frames, got.Burst)
	}
}

func TestMeterLayout(t *testing.T) {
	s := load(t, Config{})
	var v meterValue
	if got, want := int(s.objects.Meter.ValueSize()), 4+4+6*8+len(v.Seconds)*8; got != want {
		t.Errorf("struct meter has %d bytes in C, %d in Go", got, want)
	}
}

// Two labs run side by side with the same names and addresses, and each has
// its own truth.
func TestTwoLabs(t *testing.T) {
	labtest.Kernel(t)
	set := span(0xf0000000, 2000)
	outputs := make([]bytes.Buffer, 2)
	errs := make(chan error, 2)
	configs := []Config{{Live: 0.5, Seed: 1}, {Live: 0.5, Seed: 2}}
	for k, c := range configs {
		l := start(t, c)
		go func() {
			argv := []string{"/proc/self/exe", set.Ranges()[0].String()}
			status, err := l.Exec(context.Background(), argv, helper("sweep"), nil, &outputs[k], &outputs[k])
			if err == nil && status != 0 {
				err = fmt.Errorf("status %d: %s", status, &outputs[k])
			}
			errs <- err
		}()
	}
	for range configs {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	for k, c := range configs {
		var want strings.Builder
		for a := range c.Truth(set, 1) {
			fmt.Fprintln(&want, a)
		}
		if diff := cmp.Diff(want.String(), outputs[k].String()); diff != "" {
			t.Errorf("seed %d (-want +got):\n%s", c.Seed, diff)
		}
	}
}

// A lab in place takes away what it brought, so that the next finds room, and
// a second beside it does not.
func TestInPlaceAgain(t *testing.T) {
	labtest.Kernel(t)
	for range 2 {
		l, err := Start(Config{InPlace: true})
		if err != nil {
			t.Fatal(err)
		}
		if second, err := Start(Config{InPlace: true}); err == nil {
			second.Close()
			t.Error("two labs in one place")
		} else if !strings.Contains(err.Error(), "only one lab") {
			t.Errorf("a second lab in place: %v", err)
		}
		if _, err := net.InterfaceByName(SenderDevice); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := net.InterfaceByName(SenderDevice); err == nil {
			t.Errorf("%s is left", SenderDevice)
		}
	}
}
