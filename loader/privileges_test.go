// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"xsweep/internal/lab/labtest"
	"xsweep/loader"
)

// deviceEnv names the device that a helper attaches to.
const deviceEnv = "XSWEEP_LOADER_DEVICE"

// report is what a helper found that it can do.
type report struct {
	Missing []string // as MissingCapabilities says
	Check   string   // the error of CheckPrivileges
	Step    string   // what failed: load, attach, or nothing
	Error   string
	Lacking bool // the error is ErrPrivileges
	Name    string
	Mode    string
}

// reportPrivileges is a helper: it loads and attaches a filter with the
// privileges that it was given, and prints a report.
func reportPrivileges() error {
	var r report
	var err error
	if r.Missing, err = loader.MissingCapabilities(); err != nil {
		return err
	}
	if err := loader.CheckPrivileges(); err != nil {
		r.Check = err.Error()
	}
	r.Step, err = tryFilter(&r)
	if err != nil {
		r.Error, r.Lacking = err.Error(), errors.Is(err, loader.ErrPrivileges)
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func tryFilter(r *report) (step string, err error) {
	f, err := loader.LoadReply(defaultConfig())
	if err != nil {
		return "load", err
	}
	defer f.Close()
	d, err := net.InterfaceByName(os.Getenv(deviceEnv))
	if err != nil {
		return "find", err
	}
	mode, err := f.Attach(d.Name, d.Index, loader.Auto)
	if err != nil {
		return "attach", err
	}
	r.Mode = mode.String()
	found, ok := loader.FindXDP(d.Index)
	if !ok {
		return "look", errors.New("nothing is attached")
	}
	r.Name = found.Name
	return "", f.Close()
}

// capabilities finds the numbers of capabilities by name.
func capabilities(names ...string) []uintptr {
	var bits []uintptr
	for _, c := range loader.Capabilities {
		if slices.Contains(names, c.Name) {
			bits = append(bits, uintptr(c.Bit))
		}
	}
	return bits
}

// runHelper runs a helper with the attributes and decodes its report.
func runHelper(t testing.TB, d device, attributes *syscall.SysProcAttr) report {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperEnv+"=privileges", deviceEnv+"="+d.name)
	cmd.SysProcAttr = attributes
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("helper: %v\n%s", err, &stderr)
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("helper: %v in %q", err, out)
	}
	return r
}

// nobody are the attributes of an unprivileged user with these capabilities
// and no others.
func nobody(bits []uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
		AmbientCaps: bits,
	}
}

var documented = []string{"CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_BPF", "CAP_PERFMON"}

// The four capabilities that the documentation names are enough.
func TestFourCapabilitiesAreEnough(t *testing.T) {
	d, _ := vethPair(t)
	r := runHelper(t, d, nobody(capabilities(documented...)))
	if len(r.Missing) != 0 || r.Check != "" || r.Step != "" || r.Error != "" || r.Mode != "native" {
		t.Errorf("got %+v", r)
	}
	if _, id, ok := attached(t, d); ok {
		t.Errorf("program %d is still there", id)
	}
}

// CAP_SYS_ADMIN stands in for CAP_BPF and CAP_PERFMON, as in the kernel.
func TestSysAdminImplies(t *testing.T) {
	d, _ := vethPair(t)
	r := runHelper(t, d, nobody(append(capabilities("CAP_NET_RAW", "CAP_NET_ADMIN"), unix.CAP_SYS_ADMIN)))
	if len(r.Missing) != 0 || r.Check != "" || r.Step != "" || r.Mode != "native" || r.Name != "xsweep_reply" {
		t.Errorf("got %+v", r)
	}
}

// Without some capability that the filter needs, it is not loaded or not
// attached, and the error names exactly those that are missing.
func TestMissingCapabilities(t *testing.T) {
	d, _ := vethPair(t)
	lists := [][]string{documented}
	for i := range documented {
		lists = append(lists, documented[i:i+1])
	}
	lists = append(lists, documented[1:], documented[2:], []string{"CAP_NET_ADMIN", "CAP_PERFMON"})
	for _, missing := range lists {
		t.Run(strings.Join(missing, ","), func(t *testing.T) {
			var has []string
			for _, name := range documented {
				if !slices.Contains(missing, name) {
					has = append(has, name)
				}
			}
			r := runHelper(t, d, nobody(capabilities(has...)))
			if !slices.Equal(r.Missing, missing) {
				t.Errorf("missing are %v, not %v", r.Missing, missing)
			}
			says := fmt.Sprintf("needs %s: run with sudo", strings.Join(missing, ", "))
			if !strings.Contains(r.Check, says) {
				t.Errorf("%q does not say %q", r.Check, says)
			}
			if len(missing) == 1 && missing[0] == "CAP_NET_RAW" {
				// Only sending needs it.
				if r.Step != "" {
					t.Errorf("%s: %s", r.Step, r.Error)
				}
			} else if !r.Lacking || !strings.Contains(r.Error, says) {
				t.Errorf("%s: %q (ErrPrivileges: %t) does not say %q", r.Step, r.Error, r.Lacking, says)
			}
			if _, id, ok := attached(t, d); ok {
				t.Errorf("program %d is attached", id)
			}
		})
	}
}

// In a user namespace a process has all capabilities, and BPF refuses all the
// same: the error must not ask for what is there already.
func TestUserNamespace(t *testing.T) {
	labtest.Kernel(t)
	r := runHelper(t, device{name: "lo"}, &syscall.SysProcAttr{
		// To keep the capabilities over execve it must be the namespace's root.
		Credential:  &syscall.Credential{NoSetGroups: true},
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65534, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65534, Size: 1}},
	})
	if len(r.Missing) != 0 || !r.Lacking || !strings.Contains(r.Error, "user namespace") {
		t.Errorf("got %+v", r)
	}
}
