// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"xsweep/internal/testrand"
	"xsweep/sweep/reply"
	"xsweep/sweep/target"
)

// Every answer reaches lab0, whether a socket sends the probes, whose frames the
// veth driver copies for the program, or the kernel's live frames, which leave
// little room in front. Errors with extension objects about short probes need
// the most.
func TestAnswersOnTheWire(t *testing.T) {
	r := testrand.New(t)
	weights := everyBehaviour()
	weights[Broken] = 0 // those cannot be told by their addresses
	for _, tc := range []struct {
		name string
		send func(t *testing.T) func(frame []byte) error
		n    int
	}{
		{"socket", sendBySocket, 3000},
		{"live frames", sendLive, 150},
	} {
		for _, kind := range everyKind {
			t.Run(fmt.Sprintf("%s/%v", tc.name, kind), func(t *testing.T) {
				c := Config{Live: 1, Duplicate: 0.1, Seed: r.Uint64(), InPlace: true, Behaviours: weights}
				l := start(t, c)
				attachPass(t, "native")
				s := Sweep{HopLimit: 8, Size: r.IntN(1473), DF: true}
				q, w := s.question(kind), newWorld(c)
				send := tc.send(t)
				in, err := packetSocket(unix.ETH_P_IP)
				if err != nil {
					t.Fatal(err)
				}
				defer unix.Close(in)

				sent := map[target.Addr][]byte{}
				want, got := map[target.Addr][]reply.Record{}, map[target.Addr][]reply.Record{}
				total := 0
				for a := range span(0xf0000000, tc.n).All() {
					sent[a] = request(a, q, r.Uint32(), 0)
					if err := send(sent[a]); err != nil {
						t.Fatal(err)
					}
					r, copies := w.answer(a, 0, q)
					for range copies {
						want[a] = append(want[a], r.record(a))
						total++
					}
				}
				buf := make([]byte, 4096)
				for deadline := time.Now().Add(patience); total > 0; total-- {
					n, _, err := unix.Recvfrom(in, buf, 0)
					for errors.Is(err, unix.EAGAIN) && time.Now().Before(deadline) {
						n, _, err = unix.Recvfrom(in, buf, 0)
					}
					if err != nil {
						t.Fatalf("%d answers are missing: %v; lab: %+v", total, err, stats(t, l))
					}
					a := target.Addr(binary.BigEndian.Uint32(buf[26:]))
					if k, ok := reply.KindOf(buf[14+int(buf[14]&15)*4]); ok && k.IsError() {
						a = target.Addr(binary.BigEndian.Uint32(buf[14+int(buf[14]&15)*4+24:]))
					}
					if sent[a] == nil {
						t.Fatalf("an answer about %v: % x", a, buf[:min(n, 100)])
					}
					d, err := decode(sent[a], buf[:n])
					if err != nil || len(d.faults) > 0 {
						t.Fatalf("the answer about %v: %v, %v: % x", a, err, d.faults, buf[:min(n, 100)])
					}
					got[a] = append(got[a], d.record)
				}
				if diff := cmp.Diff(want, got, equalAddrs); diff != "" {
					t.Errorf("%+v: (-want +got):\n%s", q, diff)
				}
				if st := stats(t, l); st.Failed != 0 || st.Requests() != uint64(tc.n) || st.TimeExceeded == 0 {
					t.Errorf("lab: %+v", st)
				}
			})
		}
	}
}

func sendBySocket(t *testing.T) func(frame []byte) error {
	out, err := packetSocket(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(out) })
	return func(frame []byte) error {
		_, err := unix.Write(out, frame)
		return err
	}
}

// sendLive sends as the transmitter in the kernel does: by BPF_PROG_RUN with
// frames that a program redirects to lab0.
func sendLive(t *testing.T) func(frame []byte) error {
	device, err := net.InterfaceByName(SenderDevice)
	if err != nil {
		t.Fatal(err)
	}
	redirect, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP,
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R1, int32(device.Index)), asm.Mov.Imm(asm.R2, 0),
			asm.FnRedirect.Call(), asm.Return(),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { redirect.Close() })
	return func(frame []byte) error {
		_, err := redirect.Run(&ebpf.RunOptions{Data: frame, Repeat: 1, Flags: unix.BPF_F_TEST_XDP_LIVE_FRAMES})
		return err
	}
}
