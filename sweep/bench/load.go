// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// busy is what this process and its machine have had to do so far.
type busy struct {
	ran    int64  // ns of CPU that this process's threads had
	waited int64  // ns that they were ready to run, and others had the CPU
	missed uint64 // frames that found a CPU's receive backlog full
}

// readBusy reads what the kernel counts; what it does not tell is 0.
func readBusy() busy {
	var b busy
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) == nil {
		b.ran = u.Utime.Nano() + u.Stime.Nano()
	}
	// Time on the CPU, time in its queue, number of turns (kernel,
	// Documentation/scheduler/sched-stats.rst). Threads that have ended are not there.
	paths, _ := filepath.Glob("/proc/self/task/*/schedstat") // its pattern is right
	for _, path := range paths {
		text, err := os.ReadFile(path)
		var ran, waited int64
		if err != nil {
			continue // it has ended
		}
		if _, err := fmt.Sscan(string(text), &ran, &waited); err == nil {
			b.waited += waited
		}
	}
	if text, err := os.ReadFile("/proc/net/softnet_stat"); err == nil {
		b.missed = backlogDrops(text)
	}
	return b
}

// backlogDrops adds up the second column of /proc/net/softnet_stat, which has a
// line of hexadecimal numbers for each CPU (kernel, net/core/net-procfs.c).
func backlogDrops(text []byte) (drops uint64) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		var processed, dropped uint64
		if _, err := fmt.Sscanf(lines.Text(), "%x %x", &processed, &dropped); err == nil {
			drops += dropped
		}
	}
	return drops
}

// since is what was done since an earlier reading, never less than nothing: a
// thread that has ended takes its time along.
func (b busy) since(o busy) busy {
	return busy{ran: b.ran - o.ran, waited: max(b.waited-o.waited, 0), missed: b.missed - min(o.missed, b.missed)}
}
