// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
)

// nobody is a user without any privilege.
const nobody = 65534

// asNobody lets a command run as a user who has just these capabilities. Those
// who run the tests without root are such users themselves.
func asNobody(t *testing.T, cmd *exec.Cmd, capabilities ...uintptr) *exec.Cmd {
	t.Helper()
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
			AmbientCaps: capabilities,
		}
	}
	return cmd
}

// What sends nothing needs no privilege.
func TestUnprivileged(t *testing.T) {
	for name, args := range map[string][]string{
		"dry run":        {"sweep", "--dry-run", "198.18.0.0/24"},
		"truth of a lab": {"lab", "--truth", "198.18.1.0/24"},
	} {
		r := whole(t, asNobody(t, command(t, args...)))
		if n := len(addresses(t, r.stdout)); r.status != 0 || n != 256 || r.stderr != "" {
			t.Errorf("%s: status %d, %d addresses, stderr %q, want 0, 256 and nothing", name, r.status, n, r.stderr)
		}
	}
}

// Whoever lacks privileges is told which, and how to get them.
func TestMissingPrivileges(t *testing.T) {
	r := whole(t, asNobody(t, command(t, "sweep", "198.18.0.0/24")))
	if r.status != 2 || r.stdout != "" || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("status %d, output %q, stderr %q, want 2, nothing and one line", r.status, r.stdout, r.stderr)
	}
	for _, word := range []string{"CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_BPF", "CAP_PERFMON", "sudo", "setcap cap_net_raw,cap_net_admin,cap_bpf,cap_perfmon=ep"} {
		if !strings.Contains(r.stderr, word) {
			t.Errorf("no %s in %q", word, r.stderr)
		}
	}
}

// Four capabilities are enough for a sweep, and three are not.
func TestFourCapabilities(t *testing.T) {
	labtest.Kernel(t)
	config := lab.Config{Live: 0.5, Seed: 9}
	placeLab(t, config)
	four := map[string]uintptr{
		"CAP_NET_RAW": unix.CAP_NET_RAW, "CAP_NET_ADMIN": unix.CAP_NET_ADMIN, "CAP_BPF": unix.CAP_BPF, "CAP_PERFMON": unix.CAP_PERFMON,
	}
	var all []uintptr
	for _, bit := range four {
		all = append(all, bit)
	}
	for _, args := range [][]string{{"--tx", "packet", "--xdp", "native"}, {"--tx", "raw", "--xdp", "generic"}} {
		cmd := command(t, append([]string{"sweep", "--quiet", "--cooldown", "300ms", "198.18.0.0/22"}, args...)...)
		r := whole(t, asNobody(t, cmd, all...))
		if r.status != 0 || r.stderr != "" {
			t.Errorf("%v: status %d, stderr %q", args, r.status, r.stderr)
		}
		if problem := compareSets(addresses(t, r.stdout), truth(t, config, "198.18.0.0/22")); problem != "" {
			t.Errorf("%v: %s", args, problem)
		}
	}
	for name, lacking := range four {
		var three []uintptr
		for _, bit := range four {
			if bit != lacking {
				three = append(three, bit)
			}
		}
		r := whole(t, asNobody(t, command(t, "sweep", "198.18.0.0/22"), three...))
		if r.status != 2 || !strings.Contains(r.stderr, "needs "+name+":") {
			t.Errorf("without %s: status %d, stderr %q", name, r.status, r.stderr)
		}
	}
	assertNoProgram(t)
}
