// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab/labtest"
	"xsweep/internal/route"
	"xsweep/loader"
	"xsweep/sweep"
	"xsweep/sweep/target"
)

// doctor runs the command and returns its status and what it printed.
func doctor(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(&environment{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}, append([]string{"doctor"}, args...))
	return status, out.String(), errs.String()
}

func decodeReport(t *testing.T, text string) doctorReport {
	t.Helper()
	var r doctorReport
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := errors.Join(d.Decode(&r)); err != nil || d.More() {
		t.Fatalf("not one JSON object: %v\n%s", err, text)
	}
	return r
}

// doctorVeth makes a device with the address 198.18.9.1/30 and its other end,
// both up, that go with the test.
func doctorVeth(t *testing.T, name, peerName string) netlink.Link {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.NumRxQueues, attrs.NumTxQueues = name, 1400, 2, 2
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: peerName, PeerNumRxQueues: 2, PeerNumTxQueues: 2}); err != nil {
		t.Fatal(err)
	}
	veth, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netlink.LinkDel(veth) })
	peer, err := netlink.LinkByName(peerName)
	if err != nil {
		t.Fatal(err)
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(198, 18, 9, 1), Mask: net.CIDRMask(30, 32)}}
	err = errors.Join(netlink.AddrAdd(veth, addr), netlink.LinkSetUp(veth), netlink.LinkSetUp(peer),
		route.WaitCarrier(t.Context(), veth.Attrs().Index, 20*time.Second),
		route.WaitCarrier(t.Context(), peer.Attrs().Index, 20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return veth
}

// wantRow checks that a line of text consists of these fields, but for a
// longer end.
func wantRow(t *testing.T, text string, fields ...string) {
	t.Helper()
	for line := range strings.Lines(text) {
		got := strings.Fields(line)
		if len(got) >= len(fields) && slices.Equal(got[:len(fields)], fields) {
			return
		}
	}
	t.Errorf("no line begins with %q in\n%s", fields, text)
}

func TestDoctorReady(t *testing.T) {
	labtest.Kernel(t)
	veth := doctorVeth(t, "doc0", "doc1")
	if err := netlink.LinkAddAltName(veth, "doctor-zero"); err != nil {
		t.Fatal(err)
	}
	before, err := loader.Devices()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"doc0", "doctor-zero"} {
		status, stdout, stderr := doctor("-i", name)
		if status != 0 || stderr != "" {
			t.Fatalf("status %d, standard error %q, standard output\n%s", status, stderr, stdout)
		}
		wantRow(t, stdout, "ok", "CAP_PERFMON")
		wantRow(t, stdout, "ok", "the", "reply", "filter", "loads")
		wantRow(t, stdout, "interface", "doc0")
		wantRow(t, stdout, "ok", "state", "up")
		wantRow(t, stdout, "ok", "link", "Ethernet", "(ether),", "MTU", "1400")
		wantRow(t, stdout, "driver", "veth")
		wantRow(t, stdout, "queues", "2", "rx,", "2", "tx")
		wantRow(t, stdout, "ok", "XDP", "program", "none")
		wantRow(t, stdout, "ok", "IPv4", "198.18.9.1/30")
		wantRow(t, stdout, "transmitter", "packet")
		wantRow(t, stdout, "ready:", "a", "sweep", "can", "run", "on", "doc0")
		if strings.Contains(stdout, "interface doc1") {
			t.Errorf("-i %s shows doc1 too:\n%s", name, stdout)
		}
	}
	after, err := loader.Devices()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("doctor changed a device (-before +after):\n%s", diff)
	}

	status, stdout, stderr := doctor() // doc1 has no address, but doc0 will do
	if status != 0 || stderr != "" {
		t.Errorf("for all: status %d, standard error %q", status, stderr)
	}
	wantRow(t, stdout, "interface", "lo")
	wantRow(t, stdout, "interface", "doc1")
	wantRow(t, stdout, "missing", "IPv4", "none")
	wantRow(t, stdout, "->", "no", "IPv4", "address:", "`sudo", "ip", "address", "add", "ADDRESS/LENGTH", "dev", "doc1`")
}

func TestDoctorJSON(t *testing.T) {
	labtest.Kernel(t)
	doctorVeth(t, "doc0", "doc1")
	status, stdout, stderr := doctor("-i", "doc0", "--json")
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, standard error %q, standard output\n%s", status, stderr, stdout)
	}
	r := decodeReport(t, stdout)
	if !r.Ready || r.Version == "" || r.Kernel.Release != loader.KernelRelease() || len(r.Capabilities) != 4 || len(r.Features) == 0 {
		t.Errorf("the report is\n%s", stdout)
	}
	if len(r.Interfaces) != 1 {
		t.Fatalf("%d interfaces, want doc0", len(r.Interfaces))
	}
	i := r.Interfaces[0]
	if i.XDP.FeaturesReason == "" && (i.XDP.Native != "yes" || !slices.Contains(i.XDP.Features, "redirect")) {
		t.Errorf("XDP of doc0 is %+v", i.XDP)
	}
	// Nothing at its peer would take the frames.
	if i.XDP.FeaturesReason == "" && (i.XDP.Transmit != "no" || !strings.Contains(i.XDP.TransmitReason, "ndo-xmit")) {
		t.Errorf("sending by xdp is %q, %q", i.XDP.Transmit, i.XDP.TransmitReason)
	}
	i.Index, i.XDP = 0, doctorXDP{}
	want := doctorInterface{
		Name: "doc0", Usable: true, State: "up", LinkType: "Ethernet", Encapsulation: "ether", MTU: 1400, Driver: "veth",
		Queues: doctorQueues{Rx: 2, Tx: 2}, IPv4: []netip.Prefix{netip.MustParsePrefix("198.18.9.1/30")},
		Transmitter: "packet", TxThreads: sweep.MostThreads(2, runtime.NumCPU()), Lacks: []doctorLack{},
	}
	if diff := cmp.Diff(want, i, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("doc0 (-want +got):\n%s", diff)
	}
}

func TestDoctorOccupied(t *testing.T) {
	labtest.Kernel(t)
	veth := doctorVeth(t, "doc0", "doc1")
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "neighbour", Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	l, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: veth.Attrs().Index, Flags: link.XDPGenericMode})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	status, stdout, stderr := doctor("-i", "doc0")
	if status != 1 || stderr != "" {
		t.Errorf("status %d, standard error %q", status, stderr)
	}
	info, err := program.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	wantRow(t, stdout, "missing", "XDP", "program", "id", fmt.Sprintf("%d,", id), "neighbour")
	wantRow(t, stdout, "->", "another", "XDP", "program", "is", "attached:", "end", "the", "program")
	wantRow(t, stdout, "not", "ready:", "no", "interface", "can", "be", "used")
}

func TestDoctorDown(t *testing.T) {
	labtest.Kernel(t)
	veth := doctorVeth(t, "doc0", "doc1")
	if err := netlink.LinkSetDown(veth); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := doctor("-i", "doc0")
	if status != 1 || stderr != "" {
		t.Errorf("status %d, standard error %q", status, stderr)
	}
	wantRow(t, stdout, "missing", "state", "down")
	wantRow(t, stdout, "->", "it", "is", "down:", "`sudo", "ip", "link", "set", "dev", "doc0", "up`")

	status, stdout, _ = doctor("-i", "doc0", "--json")
	r := decodeReport(t, stdout)
	want := []doctorLack{{"state", false, "it is down", "`sudo ip link set dev doc0 up`"}}
	if status != 1 || r.Ready || len(r.Interfaces) != 1 || !cmp.Equal(want, r.Interfaces[0].Lacks) {
		t.Errorf("status %d\n%s", status, stdout)
	}
}

func TestDoctorUsage(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown interface", []string{"-i", "nosuch7"}, "interface nosuch7 does not exist: there are lo"},
		{"empty interface", []string{"-i", ""}, "--interface: empty"},
		{"argument", []string{"eth0"}, `unexpected argument "eth0"`},
		{"unknown flag", []string{"--yaml"}, "unknown flag: --yaml"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, stdout, stderr := doctor(tc.args...)
			if status != exitUsage || stdout != "" || !strings.Contains(stderr, tc.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("status %d, standard output %q, standard error %q, want %q", status, stdout, stderr, tc.want)
			}
		})
	}
	var many []loader.Device
	for n := range 40 {
		many = append(many, loader.Device{Name: fmt.Sprintf("eth%d", n)})
	}
	if _, err := selectDevice(many, "x"); err == nil || !strings.HasSuffix(err.Error(), "eth15, 24 more") {
		t.Errorf("of 40 interfaces none is x: got %v", err)
	}
}

// As any user, with the capabilities that are left to it.
func TestDoctorCapabilities(t *testing.T) {
	labtest.Kernel(t)
	doctorVeth(t, "doc0", "doc1")
	command, err := exec.LookPath("xsweep")
	if err != nil {
		t.Fatal(err)
	}
	all := []uintptr{unix.CAP_NET_RAW, unix.CAP_NET_ADMIN, unix.CAP_BPF, unix.CAP_PERFMON}
	for _, tc := range []struct {
		name    string
		kept    []uintptr
		missing []string
		ready   bool
	}{
		{"none", nil, []string{"CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_BPF", "CAP_PERFMON"}, false},
		{"network only", all[:2], []string{"CAP_BPF", "CAP_PERFMON"}, false},
		{"all but one", all[1:], []string{"CAP_NET_RAW"}, false},
		{"all four", all, nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			runAs := func(args ...string) (status int, stdout, stderr string) {
				var out, errs bytes.Buffer
				cmd := exec.Command(command, append([]string{"doctor", "-i", "doc0"}, args...)...)
				cmd.Dir, cmd.Stdout, cmd.Stderr = "/", &out, &errs
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: tc.kept}
				if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
					t.Fatal(err)
				}
				return cmd.ProcessState.ExitCode(), out.String(), errs.String()
			}
			wantStatus := exitFailed
			if tc.ready {
				wantStatus = exitOK
			}

			status, stdout, stderr := runAs("--json")
			if status != wantStatus || stderr != "" {
				t.Errorf("status %d, want %d, standard error %q", status, wantStatus, stderr)
			}
			r := decodeReport(t, stdout)
			var missing []string
			for _, c := range r.Capabilities {
				if !c.Held {
					missing = append(missing, c.Name)
				}
			}
			if diff := cmp.Diff(tc.missing, missing); diff != "" {
				t.Errorf("missing capabilities (-want +got):\n%s", diff)
			}
			if r.Ready != tc.ready || len(r.Interfaces) != 1 || !r.Interfaces[0].Usable {
				t.Errorf("the report is\n%s", stdout)
			}
			for _, f := range r.Features {
				// A refusal is no lack of the kernel's.
				if f.State == "missing" && !f.Optional && r.Kernel.Sufficient || f.State == "unknown" && tc.ready {
					t.Errorf("%s: %s: %s", f.Name, f.State, f.Reason)
				}
				if f.State == "unknown" && !slices.ContainsFunc(tc.missing, func(c string) bool { return strings.Contains(f.Reason, c) }) {
					t.Errorf("%s: unknown: %q names none of %q", f.Name, f.Reason, tc.missing)
				}
			}

			status, stdout, _ = runAs()
			if status != wantStatus {
				t.Errorf("text: status %d, want %d", status, wantStatus)
			}
			for _, c := range tc.missing {
				wantRow(t, stdout, "missing", c)
			}
			if hint := "-> run with sudo, or `sudo setcap"; strings.Contains(stdout, hint) == tc.ready {
				t.Errorf("%q is there or not there:\n%s", hint, stdout)
			}
		})
	}
}

// Without root: whatever this machine is like, both forms agree.
func TestDoctorUnprivileged(t *testing.T) {
	status, stdout, stderr := doctor()
	if status != exitOK && status != exitFailed || stderr != "" {
		t.Fatalf("status %d, standard error %q", status, stderr)
	}
	wantRow(t, stdout, "interface", "lo")
	jsonStatus, text, _ := doctor("--json")
	if r := decodeReport(t, text); jsonStatus != status || r.Ready != (status == exitOK) {
		t.Errorf("text exits with %d, JSON with %d and ready is %v", status, jsonStatus, r.Ready)
	}
}

type brokenWriter struct{ err error }

// Write fails as standard output does.
func (w brokenWriter) Write([]byte) (int, error) {
	return 0, &fs.PathError{Op: "write", Path: os.Stdout.Name(), Err: w.err}
}

func TestDoctorCannotPrint(t *testing.T) {
	for _, tc := range []struct {
		err    error
		status int
	}{{unix.ENOSPC, exitFailed}, {unix.EPIPE, exitOK}} {
		for _, args := range [][]string{{"doctor"}, {"doctor", "--json"}} {
			var errs strings.Builder
			if status := run(&environment{stdin: strings.NewReader(""), stdout: brokenWriter{tc.err}, stderr: &errs}, args); status != tc.status {
				t.Errorf("%v with %q: status %d, want %d, standard error %q", args, tc.err, status, tc.status, errs.String())
			}
		}
	}
}

// doctor must see the usual link layers as sweeps do.
func TestDoctorLinkTypes(t *testing.T) {
	labtest.Kernel(t)
	doctorVeth(t, "doc0", "doc1")
	devices, err := loader.Devices()
	if err != nil {
		t.Fatal(err)
	}
	probed, err := target.ParseAddr("198.18.9.2")
	if err != nil {
		t.Fatal(err)
	}
	set := target.NewSet(target.Range{First: probed, Last: probed})
	for name, want := range map[string]route.LinkType{"lo": route.Loopback, "doc0": route.Ethernet} {
		i := slices.IndexFunc(devices, func(d loader.Device) bool { return d.Name == name })
		if i < 0 {
			t.Fatalf("no %s among %+v", name, devices)
		}
		if got := route.LinkTypeOf(devices[i].Encapsulation); got != want {
			t.Errorf("%s (%s) is %v, want %v", name, devices[i].Encapsulation, got, want)
		}
	}
	plan, err := route.Resolve(context.Background(), route.Request{Set: set, Interface: "doc0", Raw: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := route.LinkTypeOf("ether"); got != plan.Interface.Type {
		t.Errorf("doctor says %v, a sweep %v", got, plan.Interface.Type)
	}
}
