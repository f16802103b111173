// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
)

// A ping on the same host, to targets of the sweep, gets all its answers while
// the sweep runs, and the sweep all of its own.
func TestPingDuringSweep(t *testing.T) {
	config := lab.Config{Live: 1}
	placeLab(t, config)
	const prefix = "198.18.0.0/16"
	c := begin(t, "--rate", "50k", "--cooldown", "300ms", "--quiet", prefix)
	first := nextLine(t, c.stdout)
	stop := make(chan struct{})
	pinged := make(chan error, 1)
	var answers uint64
	go func() {
		var err error
		answers, err = ping(net.IPv4(198, 18, 77, 1), stop)
		pinged <- err
	}()
	found := make(chan result, 1)
	go func() { found <- c.end(t) }()
	r := <-found
	close(stop)
	if err := <-pinged; err != nil {
		t.Errorf("after %d answers: %v", answers, err)
	}
	if r.status != 0 || r.stderr != "" {
		t.Errorf("status %d, stderr %q, want 0 and nothing", r.status, r.stderr)
	}
	if problem := compareSets(addresses(t, first+"\n"+r.stdout), truth(t, config, prefix)); problem != "" {
		t.Error(problem)
	}
	a := c.account(t, "packets.verdicts.foreign>9", "packets.verdicts.forged=0", "devices.lab0.unexplained>9")
	t.Logf("%d pings answered, %d of them seen by the filter", answers, a.count("packets.verdicts.foreign"))
}

// ping sends echo requests to addresses from first on, one after the other's
// answer, until stop is closed. One that is not answered is an error.
func ping(first net.IP, stop <-chan struct{}) (answers uint64, err error) {
	conn, err := net.ListenPacket("ip4:icmp", lab.SenderAddr.String())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	pace := time.NewTicker(2 * time.Millisecond)
	defer pace.Stop()
	buf := make([]byte, 1500)
	for seq := uint16(1); ; seq++ {
		select {
		case <-stop:
			return answers, nil
		case <-pace.C:
		}
		to := append(net.IP{}, first.To4()...)
		to[3] += byte(seq % 200)
		request := gopacket.NewSerializeBuffer()
		echo := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0), Id: 0x7069, Seq: seq}
		// As much data as ping sends.
		if err := gopacket.SerializeLayers(request, gopacket.SerializeOptions{ComputeChecksums: true}, echo, gopacket.Payload(make([]byte, 56))); err != nil {
			return answers, err
		}
		if _, err := conn.WriteTo(request.Bytes(), &net.IPAddr{IP: to}); err != nil {
			return answers, err
		}
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return answers, err
		}
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return answers, fmt.Errorf("ping %d to %v: %w", seq, to, err)
			}
			var reply layers.ICMPv4
			if err := reply.DecodeFromBytes(buf[:n], gopacket.NilDecodeFeedback); err != nil {
				return answers, err
			}
			if reply.TypeCode.Type() != layers.ICMPv4TypeEchoReply || reply.Id != echo.Id {
				return answers, fmt.Errorf("a reply of the sweep came through to others: %v from %v", reply.TypeCode, from)
			}
			if reply.Seq == seq && from.String() == to.String() {
				answers++
				break
			}
		}
	}
}

// A device takes one sweep at a time: the second one says who is there, and
// the first goes on.
func TestTwoSweepsOnOneDevice(t *testing.T) {
	placeLab(t, lab.Config{Live: 1})
	c := begin(t, "--rate", "1k", "--cooldown", "1h", "198.18.1.0/24")
	out := nextLine(t, c.stdout)
	for _, mode := range []string{"auto", "native", "generic"} {
		r := whole(t, command(t, "sweep", "--xdp", mode, "198.18.2.0/24"))
		if r.status != 2 || r.stdout != "" || strings.Count(r.stderr, "\n") != 1 ||
			!strings.HasPrefix(r.stderr, "xsweep: attach xdp to lab0: another XDP program is attached (id ") {
			t.Errorf("%s: status %d, output %q, stderr %q", mode, r.status, r.stdout, r.stderr)
		}
	}
	await(t, c.stderr, "(cooldown, ")
	c.signal(t, unix.SIGINT)
	await(t, c.stderr, "interrupted")
	c.signal(t, unix.SIGINT)
	r := c.end(t)
	if n := len(addresses(t, out+"\n"+r.stdout)); r.status != 130 || n != 256 {
		t.Errorf("the first sweep: status %d, %d addresses, want 130 and 256", r.status, n)
	}
	c.account(t, "probes.accepted=256", "interrupted=true")
}

// A device that is down at the start is bad input.
func TestDeviceIsDown(t *testing.T) {
	placeLab(t, lab.Config{Live: 1})
	if err := netlink.LinkSetDown(device(t)); err != nil {
		t.Fatal(err)
	}
	r := whole(t, command(t, "sweep", "-i", lab.SenderDevice, "198.18.2.0/24"))
	const want = "xsweep: interface lab0 is down: ip link set lab0 up\n"
	if r.status != 2 || r.stdout != "" || r.stderr != want {
		t.Errorf("status %d, output %q, stderr %q, want 2 and %q", r.status, r.stdout, r.stderr, want)
	}
}

// A device that takes no frames from programs is bad input where they are to
// send.
func TestDeviceTakesNoFrames(t *testing.T) {
	l := placeLab(t, lab.Config{Responder: lab.Kernel})
	if err := l.AtResponder(func() error { return lab.SetGRO(lab.ResponderDevice, false) }); err != nil {
		t.Fatal(err)
	}
	r := whole(t, command(t, "sweep", "--tx", "xdp", "198.18.2.0/24"))
	const want = "xsweep: transmitter xdp: lab0 takes no frames from XDP programs"
	if r.status != 2 || r.stdout != "" || strings.Count(r.stderr, "\n") != 1 ||
		!strings.HasPrefix(r.stderr, want) || !strings.HasSuffix(r.stderr, ": use --tx packet\n") {
		t.Errorf("status %d, output %q, stderr %q, want 2 and %s...", r.status, r.stdout, r.stderr, want)
	}
}

// The whole of a /16 of loopback addresses answers.
func TestLoopback(t *testing.T) {
	labtest.Kernel(t)
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := begin(t, "--rate", "50k", "--cooldown", "500ms", "--quiet", "127.0.0.0/16")
	r := c.end(t)
	if r.status != 0 || r.stderr != "" {
		t.Errorf("status %d, stderr %s", r.status, r.stderr)
	}
	seen := map[string]bool{}
	for _, a := range addresses(t, r.stdout) {
		if !strings.HasPrefix(a, "127.0.") || seen[a] {
			t.Errorf("%s is no target, or there twice", a)
		}
		seen[a] = true
	}
	if len(seen) != 65536 {
		t.Errorf("%d addresses, want 65536", len(seen))
	}
	c.account(t, "targets.answered=65536", "probes.accepted=65536")
}

// Each failed start of a sweep leaves the files as they were.
func TestFailedStartLeavesFiles(t *testing.T) {
	placeLab(t, lab.Config{Live: 1})
	if err := netlink.LinkSetDown(device(t)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	const text = "keep me\n"
	for _, name := range []string{"list", "run.json"} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"-o", dir + "/list", "--summary", dir + "/run.json"},
		{"-o", dir + "/new", "--summary", dir + "/new.json"},
	} {
		if r := whole(t, command(t, append([]string{"sweep"}, append(args, "-i", "lab0", "198.18.2.0/24")...)...)); r.status != 2 {
			t.Errorf("status %d, stderr %q", r.status, r.stderr)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("files %v, %v, want list and run.json alone", entries, err)
	}
	for _, e := range entries {
		got, err1 := os.ReadFile(dir + "/" + e.Name())
		info, err2 := e.Info()
		if err := errors.Join(err1, err2); err != nil || string(got) != text || info.Mode().Perm() != 0o640 {
			t.Errorf("%s holds %q, %v, mode %v", e.Name(), got, err, info.Mode())
		}
	}
}
