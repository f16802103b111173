// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Capability is one of the kernel's privileges (capabilities(7)).
type Capability struct {
	Name string
	// Bit is its number; instead is one that implies it, or -1.
	Bit, instead int
}

// Capabilities are those that a sweep needs.
var Capabilities = []Capability{
	{"CAP_NET_RAW", unix.CAP_NET_RAW, -1},
	{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN, -1},
	{"CAP_BPF", unix.CAP_BPF, unix.CAP_SYS_ADMIN},
	{"CAP_PERFMON", unix.CAP_PERFMON, unix.CAP_SYS_ADMIN},
}

// ErrPrivileges says that the process lacks capabilities.
var ErrPrivileges = errors.New("privileges are missing")

// MissingCapabilities lists the names of the capabilities that a sweep needs
// and this process does not have.
func MissingCapabilities() ([]string, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return nil, fmt.Errorf("read this process's capabilities: %w", err)
	}
	has := func(bit int) bool {
		return bit >= 0 && data[bit/32].Effective&(1<<(bit%32)) != 0
	}
	var missing []string
	for _, c := range Capabilities {
		if !has(c.Bit) && !has(c.instead) {
			missing = append(missing, c.Name)
		}
	}
	return missing, nil
}

func lacks(name string) bool {
	missing, err := MissingCapabilities()
	return err == nil && slices.Contains(missing, name)
}

// SetcapHint is the command that gives a binary what a sweep needs.
const SetcapHint = "sudo setcap cap_net_raw,cap_net_admin,cap_bpf,cap_perfmon=ep $(command -v xsweep)"

// CheckPrivileges returns an error that names the missing capabilities and
// what would give them, or nil.
func CheckPrivileges() error {
	missing, err := MissingCapabilities()
	if err != nil {
		return err
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w: needs %s: run with sudo, or `%s`", ErrPrivileges, strings.Join(missing, ", "), SetcapHint)
}

// privilegeError explains an EPERM. With all capabilities present it is the
// kernel's view that differs: a user namespace, a lockdown, a container.
func privilegeError(err error) error {
	if missing := CheckPrivileges(); missing != nil {
		return missing
	}
	return fmt.Errorf("%w: %w: the kernel refused although the capabilities are there: "+
		"in a container or user namespace they do not count for BPF; kernel lockdown forbids it too", ErrPrivileges, err)
}
