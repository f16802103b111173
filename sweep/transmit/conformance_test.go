// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
	"xsweep/internal/testrand"
	"xsweep/loader"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
	"xsweep/sweep/target"
)

// ways are the transmitters. Every one must keep the same promises: a new one
// needs a line here.
var ways = []struct {
	name     string
	ethernet bool // its frames have an Ethernet header
	open     func(Config) (Transmitter, error)
}{
	{"packet", true, NewPacket},
	{"raw", false, NewRaw},
	{"xdp", true, openXDP},
}

// openXDP loads the program that NewXDP needs, for one thread.
func openXDP(c Config) (Transmitter, error) {
	if c.Template == nil || c.Waiter == nil || c.Pace.Rate == 0 {
		return NewXDP(c, nil, 0) // which refuses it
	}
	cpus, err := loader.UsableCPUs()
	if err != nil {
		return nil, err
	}
	kernel, err := loader.LoadTransmit(loader.TransmitConfig{
		Key: testKey, Device: c.Index, Flows: KernelFlows(c.Template), Shapes: KernelShapes(c.Template), Tagged: c.Template.Tagged(), UTOffset: c.Template.UTOffset(),
		CPUs: cpus[:1],
	})
	if err != nil {
		return nil, err
	}
	tx, err := NewXDP(c, kernel, cpus[0])
	if err != nil {
		return nil, errors.Join(err, kernel.Close())
	}
	return withKernel{tx, kernel}, nil
}

// passAtPeer puts a program on lab1 that passes everything, unless there is one:
// a veth device takes frames from programs only if its peer has one.
func passAtPeer(t *testing.T, l *lab.Lab) {
	t.Helper()
	found := false
	if err := l.AtResponder(func() error {
		device, err := net.InterfaceByName(lab.ResponderDevice)
		if err == nil {
			_, found = loader.FindXDP(device.Index)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if found {
		return
	}
	pass, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pass.Close() })
	err = l.AtResponder(func() error {
		device, err := net.InterfaceByName(lab.ResponderDevice)
		if err != nil {
			return err
		}
		attached, err := link.AttachXDP(link.XDPOptions{Program: pass, Interface: device.Index, Flags: link.XDPDriverMode})
		if err == nil {
			t.Cleanup(func() { attached.Close() })
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// withKernel ends the program with its only transmitter.
type withKernel struct {
	Transmitter
	kernel *loader.Transmit
}

func (w withKernel) Close() error { return errors.Join(w.Transmitter.Close(), w.kernel.Close()) }

// sendOn sends probes in batches, as a sweep does, and returns how many were
// taken.
func sendOn(tx Transmitter, probes []probe.Probe) (taken int, err error) {
	for taken < len(probes) && err == nil {
		var n int
		n, err = tx.Send(probes[taken:min(taken+tx.Batch(), len(probes))])
		taken += n
	}
	return taken, err
}

// send ends with probes, and returns how many were handed over in the end.
func send(tx Transmitter, probes []probe.Probe) (handed int, err error) {
	taken, err := sendOn(tx, probes)
	left, drained := tx.Drain()
	if err == nil {
		err = drained
	}
	return taken - left, err
}

// options are what a test wants of a transmitter; zero fields are defaults.
type options struct {
	rate    pace.Rate    // Max
	dataLen int          // probe.PayloadLen
	kinds   []probe.Kind // echo
}

// conform runs a test for each way over a lab.
func conform(t *testing.T, c lab.Config, test func(t *testing.T, l *lab.Lab, open func(options) (Transmitter, thread))) {
	labtest.Kernel(t)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			l := startLab(t, c)
			if way.name == "xdp" && c.Responder == lab.Kernel {
				passAtPeer(t, l)
			}
			test(t, l, func(o options) (Transmitter, thread) {
				t.Helper()
				if o.rate == 0 {
					o.rate = pace.Max
				}
				if o.dataLen == 0 {
					o.dataLen = probe.PayloadLen
				}
				th := newThread(t)
				tx, err := way.open(Config{
					Device: lab.SenderDevice, Index: deviceIndex(t), BindToDevice: true,
					Template: newTemplate(t, lab.SenderAddr.Netip(), way.ethernet, o.dataLen, o.kinds...),
					Pace:     pace.Config{Rate: o.rate}, Waiter: th.waiter,
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := tx.Close(); err != nil {
						t.Error(err)
					}
				})
				return tx, th
			})
		})
	}
}

func deviceIndex(t *testing.T) int {
	t.Helper()
	link, err := netlink.LinkByName(lab.SenderDevice)
	if err != nil {
		t.Fatal(err)
	}
	return link.Attrs().Index
}

func mustSendAll(t *testing.T, tx Transmitter, probes []probe.Probe) {
	t.Helper()
	if handed, err := send(tx, probes); handed != len(probes) || err != nil {
		t.Fatalf("%d of %d handed, %v; %+v", handed, len(probes), err, tx.Counts())
	}
	if c := tx.Counts(); c.Accepted != uint64(len(probes)) || c.Refused != nil {
		t.Fatalf("%d sent, but counted: %+v", len(probes), c)
	}
	handedExactly(t, tx, len(probes))
}

func wantArrival(p probe.Probe, dataLen int) arrival {
	return arrival{
		Ethernet: true, Source: lab.SenderAddr.String(), Target: target.Addr(p.Target).String(),
		HopLimit: p.HopLimit, DataLen: dataLen, Index: p.Index, Attempt: p.Attempt,
	}
}

// What arrives is what was to be sent, each probe once, in order, and with
// both checksums right. (The Kernel responder ignores 240.0.0.0/4.)
func TestConformExact(t *testing.T) {
	conform(t, lab.Config{Responder: lab.Kernel}, func(t *testing.T, l *lab.Lab, open func(options) (Transmitter, thread)) {
		tx, _ := open(options{rate: 50_000})
		heard := newCapture(t, l.AtResponder, lab.ResponderDevice)
		r := testrand.New(t)
		probes := make([]probe.Probe, 5000)
		want := make([]arrival, len(probes))
		for i := range probes {
			probes[i] = probe.Probe{
				Index: r.Uint64N(probe.MaxIndex + 1), Target: 0xf0000000 | r.Uint32N(0x0ffffff0),
				Attempt: uint8(1 + r.IntN(255)), HopLimit: uint8(1 + r.IntN(255)),
			}
			want[i] = wantArrival(probes[i], probe.PayloadLen)
		}
		mustSendAll(t, tx, probes)
		if diff := cmp.Diff(want, heard.take(t, len(want))); diff != "" {
			t.Errorf("frames (-want +got):\n%s", diff)
		}
	})
}

// The transmitter, the device that sends and the sink at the far end count the
// same.
func TestConformCounts(t *testing.T) {
	conform(t, lab.Config{Responder: lab.Sink}, func(t *testing.T, l *lab.Lab, open func(options) (Transmitter, thread)) {
		tx, _ := open(options{})
		before := txPackets(t)
		const n = 30_000
		mustSendAll(t, tx, numbered(0, n))
		settle(t, l, n)
		if got := txPackets(t) - before; got != n {
			t.Errorf("the device has sent %d frames, want %d", got, n)
		}
	})
}

func txPackets(t *testing.T) uint64 {
	t.Helper()
	link, err := netlink.LinkByName(lab.SenderDevice)
	if err != nil {
		t.Fatal(err)
	}
	return link.Attrs().Statistics.TxPackets
}

// settle waits until the sink has taken as many frames as were accepted; more
// must not come.
func settle(t *testing.T, l *lab.Lab, accepted uint64) {
	t.Helper()
	for deadline := time.Now().Add(within); ; runtime.Gosched() {
		s, err := l.Stats()
		if err != nil {
			t.Fatal(err)
		}
		if s.Sunk == accepted && s.Seen == accepted {
			return
		}
		if s.Seen > accepted || time.Now().After(deadline) {
			t.Fatalf("%d frames were accepted, but the far end has %+v", accepted, s)
		}
	}
}

// The pace, as the far end sees it. Its bound is proven with a fake clock in
// package pace; here the machine itself may hold frames up, so only gross
// violations count: four times the burst. Unpaced, all would come at once.
func TestConformPace(t *testing.T) {
	const rate, n = 2000, 800
	conform(t, lab.Config{Responder: lab.Sink, MeterRate: rate}, func(t *testing.T, l *lab.Lab, open func(options) (Transmitter, thread)) {
		tx, th := open(options{rate: rate})
		start := th.clock.Now()
		mustSendAll(t, tx, numbered(0, n))
		took := time.Duration(th.clock.Now() - start)
		settle(t, l, n)
		reading, err := l.Meter()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d frames in %v, at most %.1f ahead of the rate, %d stalls", n, took, reading.Burst, tx.Counts().Stalls)
		if reading.Frames != n || reading.Burst > 4*pace.Burst {
			t.Errorf("%d frames arrived, at most %.1f ahead of the rate", reading.Frames, reading.Burst)
		}
		if least := (n - pace.Burst) * time.Second / rate; took < least {
			t.Errorf("%d frames at %d a second took %v, less than %v", n, rate, took, least)
		}
	})
}

// watchAccepted runs f once so many frames have been accepted.
func watchAccepted(tx Transmitter, n uint64, f func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		for deadline := time.Now().Add(within); tx.Counts().Accepted < n; runtime.Gosched() {
			if time.Now().After(deadline) {
				done <- errors.New("nothing is sent")
				return
			}
		}
		done <- f()
	}()
	return done
}

// endless is more than is sent before any of these tests steps in: some seconds at
// their rate.
const endless = 500_000

// A stop ends sending after a batch at most, and what was handed is exactly
// what arrives.
func TestConformStop(t *testing.T) {
	conform(t, lab.Config{Responder: lab.Sink}, func(t *testing.T, l *lab.Lab, open func(options) (Transmitter, thread)) {
		tx, th := open(options{rate: 100_000})
		done := watchAccepted(tx, 1000, func() error { th.stop.Set(); return nil })
		handed, err := send(tx, numbered(0, endless))
		if err := errors.Join(<-done); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(err, ErrStopped) || handed < 1000 || handed >= endless {
			t.Errorf("%d handed, %v", handed, err)
		}
		handedExactly(t, tx, handed)
		settle(t, l, tx.Counts().Accepted)
	})
}

// A device that goes down, or whose far end does, ends sending with ErrDevice,
// soon, and what was handed is exact.
func TestConformDeviceLost(t *testing.T) {
	labtest.Kernel(t)
	for _, tc := range []struct {
		name   string
		device string
	}{
		{"down", lab.SenderDevice},
		{"no carrier", lab.ResponderDevice},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conform(t, lab.Config{Responder: lab.Sink}, func(t *testing.T, l *lab.Lab, open func(options) (Transmitter, thread)) {
				tx, _ := open(options{rate: 100_000})
				at := place(here)
				if tc.device == lab.ResponderDevice {
					at = l.AtResponder
				}
				done := watchAccepted(tx, 1000, func() error { return setLink(at, tc.device, false) })
				handed, err := send(tx, numbered(0, endless))
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if !errors.Is(err, ErrDevice) || handed < 1000 || handed >= endless {
					t.Errorf("%d handed, %v", handed, err)
				}
				handedExactly(t, tx, handed)
			})
		})
	}
}

// Probes of any size up to the device's MTU arrive whole; one byte more is
// refused, frame by frame, and ends nothing.
func TestConformSizes(t *testing.T) {
	const mtu, headers, vlanTag = 1500, 28, 4
	conform(t, lab.Config{Responder: lab.Kernel}, func(t *testing.T, l *lab.Lab, open func(options) (Transmitter, thread)) {
		heard := newCapture(t, l.AtResponder, lab.ResponderDevice)
		for _, dataLen := range []int{probe.PayloadLen, probe.PayloadLen + 1, 100, mtu - headers - 1, mtu - headers} {
			tx, _ := open(options{dataLen: dataLen, rate: 50_000})
			probes := numbered(0, 100)
			var want []arrival
			for _, p := range probes {
				want = append(want, wantArrival(p, dataLen))
			}
			mustSendAll(t, tx, probes)
			if diff := cmp.Diff(want, heard.take(t, len(want))); diff != "" {
				t.Errorf("%d bytes of data: frames (-want +got):\n%s", dataLen, diff)
			}
		}
		// (A device that takes frames from programs leaves room for a VLAN tag.)
		tx, _ := open(options{dataLen: mtu - headers + 1 + vlanTag})
		if handed, err := send(tx, numbered(0, 10)); handed != 10 || err != nil {
			t.Errorf("beyond the MTU: %d handed, %v", handed, err)
		}
		if diff := cmp.Diff(Counts{Refused: map[unix.Errno]uint64{unix.EMSGSIZE: 10}}, tx.Counts()); diff != "" {
			t.Errorf("beyond the MTU: counts (-want +got):\n%s", diff)
		}
	})
}

// Not every kernel tells beforehand that a device takes no frames from programs:
// the first frame does, and none is lost to it.
func TestXDPUnableDevice(t *testing.T) {
	labtest.Kernel(t)
	startUnableLab(t)
	th := newThread(t)
	tx, err := openXDP(Config{
		Device: lab.SenderDevice, Index: deviceIndex(t), Template: newTemplate(t, lab.SenderAddr.Netip(), true, probe.PayloadLen),
		Pace: pace.Config{Rate: pace.Max}, Waiter: th.waiter,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	handed, err := send(tx, numbered(0, 50_000))
	if handed != 0 || !errors.Is(err, ErrDevice) || !strings.Contains(err.Error(), "--tx packet") {
		t.Errorf("%d handed, %v", handed, err)
	}
	if diff := cmp.Diff(Counts{}, tx.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

// Probes of several kinds, in any order, arrive as what they are: with the length
// of their kind, and nothing of what a frame was before.
func TestConformKinds(t *testing.T) {
	conform(t, lab.Config{Live: 1}, func(t *testing.T, l *lab.Lab, open func(options) (Transmitter, thread)) {
		for _, dataLen := range []int{1, probe.PayloadLen, 900} {
			before, err := l.Stats()
			if err != nil {
				t.Fatal(err)
			}
			tx, _ := open(options{rate: 50_000, dataLen: dataLen, kinds: []probe.Kind{probe.Timestamp, probe.Echo, probe.Mask}})
			r := testrand.New(t)
			probes := numbered(0, 3000)
			var want [probe.NumKinds]uint64
			for i := range probes {
				probes[i].Kind = probe.Kind(r.IntN(int(probe.NumKinds)))
				want[probes[i].Kind]++
			}
			mustSendAll(t, tx, probes)
			after := settled(t, l, before.Requests()+uint64(len(probes)))
			got := [probe.NumKinds]uint64{
				after.EchoRequests - before.EchoRequests, after.TimestampRequests - before.TimestampRequests, after.MaskRequests - before.MaskRequests,
			}
			if got != want || after.HostsAnswered-before.HostsAnswered != uint64(len(probes)) || after.Malformed != before.Malformed {
				t.Errorf("%d bytes of data: requests %v, want %v; %+v", dataLen, got, want, after)
			}
		}
	})
}

// settled waits until so many requests have arrived.
func settled(t *testing.T, l *lab.Lab, requests uint64) lab.Stats {
	t.Helper()
	for deadline := time.Now().Add(within); ; runtime.Gosched() {
		s, err := l.Stats()
		if err != nil {
			t.Fatal(err)
		}
		if s.Requests() >= requests {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d requests have arrived", s.Requests(), requests)
		}
	}
}

// raw alone reaches what has no link layer: the loopback device.
func TestRawLoopback(t *testing.T) {
	labtest.Kernel(t)
	if err := setLink(here, "lo", true); err != nil {
		t.Fatal(err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	source := netip.MustParseAddr("127.0.0.1")
	th := newThread(t)
	tx, err := NewRaw(Config{
		Device: "lo", Index: lo.Attrs().Index, Template: newTemplate(t, source, false, probe.PayloadLen),
		Pace: pace.Config{Rate: 50_000}, Waiter: th.waiter,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	heard := newCapture(t, here, "lo")
	heard.mac = make([]byte, 6)
	probes := numbered(0, 1000)
	var want []arrival
	for i := range probes {
		probes[i].Target = 0x7f000000 + uint32(i)*61 // over all of 127.0.0.0/16
		if i == 0 {
			probes[i].Target = 0x7f000001 // 127.0.0.0 is nobody's
		}
		a := wantArrival(probes[i], probe.PayloadLen)
		a.Source = source.String()
		want = append(want, a)
	}
	mustSendAll(t, tx, probes)
	if diff := cmp.Diff(want, heard.take(t, len(want))); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
}

// A broadcast address is a target like any other to raw; the kernel would
// refuse it with EACCES if the socket were not allowed to.
func TestRawBroadcast(t *testing.T) {
	labtest.Kernel(t)
	l := startLab(t, lab.Config{Responder: lab.Sink})
	th := newThread(t)
	tx, err := NewRaw(Config{
		Device: lab.SenderDevice, Index: deviceIndex(t), BindToDevice: true,
		Template: newTemplate(t, lab.SenderAddr.Netip(), false, probe.PayloadLen),
		Pace:     pace.Config{Rate: pace.Max}, Waiter: th.waiter,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	probes := numbered(0, 2)
	probes[0].Target = 0xc6120003 // 198.18.0.3, of the lab's link
	probes[1].Target = 0xffffffff
	mustSendAll(t, tx, probes)
	settle(t, l, 2)
}

// A configuration that cannot work is refused before a socket is opened, and
// a device that is not there by name.
func TestConfigErrors(t *testing.T) {
	th := newThread(t)
	good := Config{
		Device: "none9", Index: 9999, Template: newTemplate(t, lab.SenderAddr.Netip(), true, probe.PayloadLen),
		Pace: pace.Config{Rate: 1}, Waiter: th.waiter,
	}
	for _, way := range ways {
		for name, change := range map[string]func(*Config){
			"no template": func(c *Config) { c.Template = nil },
			"no waiter":   func(c *Config) { c.Waiter = nil },
			"no rate":     func(c *Config) { c.Pace.Rate = 0 },
		} {
			c := good
			change(&c)
			if tx, err := way.open(c); err == nil || tx != nil {
				t.Errorf("%s: %s is taken", way.name, name)
			}
		}
	}
	labtest.Kernel(t)
	good.BindToDevice = true
	for _, way := range ways {
		tx, err := way.open(good)
		if !errors.Is(err, unix.ENODEV) || tx != nil {
			t.Errorf("%s: a device that is not there: %v", way.name, err)
		}
	}
}
