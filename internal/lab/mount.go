// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const mountFlags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// mountOwn gives the calling process, which must be in a mount namespace of
// its own, a /proc with the lab's processes and a /sys with the lab's devices.
// Containers often refuse mounts; the lab works without, only such files then
// show the machine.
func mountOwn() {
	if unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, "") != nil {
		return // what we mount would show outside
	}
	_ = unix.Mount("proc", "/proc", "proc", mountFlags, "")

	// A new /sys hides what is mounted below the old one (control groups,
	// tracefs, bpffs), so that is taken along.
	kept := cloneBelow("/sys")
	_ = unix.Mount("sysfs", "/sys", "sysfs", mountFlags, "")
	for _, m := range kept {
		// If /sys was refused this covers a mount with itself: no harm.
		_ = unix.MoveMount(m.fd, "", unix.AT_FDCWD, m.path, unix.MOVE_MOUNT_F_EMPTY_PATH)
		unix.Close(m.fd)
	}
}

// mountClone is a copy of a mount with all below it, not attached yet.
type mountClone struct {
	path string
	fd   int
}

// cloneBelow copies the mounts below dir. What cannot be copied is left out.
func cloneBelow(dir string) []mountClone {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	defer f.Close()
	var clones []mountClone
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 { // proc_pid_mountinfo(5): the fifth is the mount point
			continue
		}
		path := fields[4]
		if !strings.HasPrefix(path, dir+"/") || below(clones, path) {
			continue
		}
		fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err == nil {
			clones = append(clones, mountClone{path, fd})
		}
	}
	return clones
}

// below says whether path lies in one of clones already.
func below(clones []mountClone, path string) bool {
	for _, c := range clones {
		if path == c.path || strings.HasPrefix(path, c.path+"/") {
			return true
		}
	}
	return false
}
