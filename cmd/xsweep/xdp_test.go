// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
)

// The four capabilities that the documentation names are enough to send from
// inside the kernel too, also where no memory may be locked; three are not.
func TestXDPPrivileges(t *testing.T) {
	config := lab.Config{Live: 0.5, Seed: 9}
	placeLab(t, config)
	const prefix = "198.18.0.0/22"
	want := truth(t, config, prefix)
	sweep := `exec xsweep sweep --tx xdp --quiet --cooldown 300ms ` + prefix
	four := map[string]uintptr{
		"CAP_NET_RAW": unix.CAP_NET_RAW, "CAP_NET_ADMIN": unix.CAP_NET_ADMIN, "CAP_BPF": unix.CAP_BPF, "CAP_PERFMON": unix.CAP_PERFMON,
	}
	run := func(script string, without string) result {
		t.Helper()
		var has []uintptr
		for name, bit := range four {
			if name != without {
				has = append(has, bit)
			}
		}
		cmd := asNobody(t, command(t), has...)
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", script}
		return whole(t, cmd)
	}
	for _, before := range []string{"", "ulimit -l 0 && "} {
		r := run(before+sweep, "")
		if r.status != 0 || r.stderr != "" {
			t.Errorf("%q: status %d, stderr %q", before, r.status, r.stderr)
		}
		if problem := compareSets(addresses(t, r.stdout), want); problem != "" {
			t.Errorf("%q: %s", before, problem)
		}
	}
	for name := range four {
		r := run(sweep, name)
		if r.status != 2 || r.stdout != "" || !strings.Contains(r.stderr, "needs "+name+":") {
			t.Errorf("without %s: status %d, output %q, stderr %q", name, r.status, r.stdout, r.stderr)
		}
	}
	assertNoProgram(t)
}

// A process that is stopped and goes on later is late, which is a stall: the
// probes that it did not send meanwhile do not come in a heap, and none is lost
// or sent twice.
func TestXDPStopAndContinue(t *testing.T) {
	const rate, prefix = 20_000, "198.18.0.0/18"
	config := lab.Config{Live: 0.1, Seed: 3, MeterRate: rate}
	l := placeLab(t, config)
	c := begin(t, "--tx", "xdp", "--rate", strconv.Itoa(rate), "--quiet", "--cooldown", "500ms", prefix)
	first := nextLine(t, c.stdout)
	arrived := func() uint64 {
		t.Helper()
		s, err := l.Stats()
		if err != nil {
			t.Fatal(err)
		}
		return s.EchoRequests
	}
	const times = 3
	for range times {
		for before := arrived(); arrived() < before+500; runtime.Gosched() {
			c.alive(t)
		}
		c.signal(t, unix.SIGSTOP)
		for deadline := time.Now().Add(patience); c.state(t) != "T"; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("the command does not stop: state %s", c.state(t))
			}
		}
		// Each of its threads stops by itself; then nothing arrives for as long as
		// a thousand probes would take.
		for at, since := arrived(), time.Now(); time.Since(since) < 1000*time.Second/rate; {
			if now := arrived(); now != at {
				at, since = now, time.Now()
			}
		}
		c.signal(t, unix.SIGCONT)
	}
	r := c.end(t)
	if r.status != 0 || r.stderr != "" {
		t.Errorf("status %d, stderr %q", r.status, r.stderr)
	}
	if problem := compareSets(addresses(t, first+"\n"+r.stdout), truth(t, config, prefix)); problem != "" {
		t.Error(problem)
	}
	a := c.account(t, fmt.Sprintf("rate.stalls>%d", times-1), "interrupted=false")
	reading, err := l.Meter()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("at most %.1f ahead of the rate, %d stalls", reading.Burst, a.count("rate.stalls"))
	// As where the pace is tested, the machine may hold frames up: four times the
	// burst. Caught up with, a stop would be a thousand.
	if reading.Frames != a.count("probes.accepted") || reading.Burst > 4*64 {
		t.Errorf("%d frames arrived, at most %.1f ahead of the rate; %d accepted", reading.Frames, reading.Burst, a.count("probes.accepted"))
	}
	assertNoProgram(t)
}

// alive fails the test if the command has ended.
func (c *child) alive(t *testing.T) {
	t.Helper()
	if s := c.state(t); s == "Z" || s == "X" {
		t.Fatal("the command has ended")
	}
}

// state is that of the process, as proc_pid_stat(5) has it.
func (c *child) state(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))[0]
}

// kill -9 in the middle leaves none of the sweep's programs, maps and links in
// the kernel.
func TestXDPKill(t *testing.T) {
	placeLab(t, lab.Config{Live: 1})
	for _, rate := range []string{"5k", "max"} {
		t.Run(rate, func(t *testing.T) {
			c := begin(t, "--tx", "xdp", "--rate", rate, "--quiet", "240.0.0.0/5")
			nextLine(t, c.stdout)
			objects := c.objects(t)
			names := map[string]bool{}
			for id := range objects["prog"] {
				p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
				if err != nil {
					t.Fatal(err)
				}
				if info, err := p.Info(); err == nil {
					names[info.Name] = true
				}
				p.Close()
			}
			if !names["xsweep_transmit"[:15]] || !names["count_xmit"] || len(objects["link"]) < 3 || len(objects["map"]) < 3 {
				t.Fatalf("the sweep has %v, programs %v: is it one by xdp?", objects, names)
			}
			c.signal(t, unix.SIGKILL)
			if r := c.end(t); r.status != 137 {
				t.Errorf("status %d, want 137", r.status)
			}
			for kind, ids := range objects {
				for id := range ids {
					for deadline := time.Now().Add(patience); exists(t, kind, id); runtime.Gosched() {
						if time.Now().After(deadline) {
							t.Errorf("%s %d is left", kind, id)
							break
						}
					}
				}
			}
			assertNoProgram(t)
		})
	}
}

var objectID = regexp.MustCompile(`(?m)^(prog|map|link)_id:\s*(\d+)$`)

// objects are the ids of the programs, maps and links that the command holds,
// by kind.
func (c *child) objects(t *testing.T) map[string]map[uint32]bool {
	t.Helper()
	found := map[string]map[uint32]bool{}
	for _, path := range glob(t, filepath.Join("/proc", strconv.Itoa(c.Process.Pid), "fdinfo/*")) {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // closed meanwhile
		}
		for _, m := range objectID.FindAllStringSubmatch(string(text), -1) {
			id, err := strconv.ParseUint(m[2], 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			if found[m[1]] == nil {
				found[m[1]] = map[uint32]bool{}
			}
			found[m[1]][uint32(id)] = true
		}
	}
	return found
}

// exists asks the kernel for an object.
func exists(t *testing.T, kind string, id uint32) bool {
	t.Helper()
	var object interface{ Close() error }
	var err error
	switch kind {
	case "prog":
		object, err = ebpf.NewProgramFromID(ebpf.ProgramID(id))
	case "map":
		object, err = ebpf.NewMapFromID(ebpf.MapID(id))
	case "link":
		object, err = link.NewFromID(link.ID(id))
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false
	case err != nil:
		t.Fatalf("%s %d: %v", kind, id, err)
	}
	object.Close()
	return true
}
