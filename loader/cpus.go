// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"
	"math/bits"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// onlineCPUs lists the numbers of the CPUs that are online, ascending. (The
// possible ones can be far more, and each would get a ring.)
func onlineCPUs() ([]int, error) { return listCPUs("online") }

// possibleCPUs lists the numbers of the CPUs that the kernel has made room for,
// ascending: values of per-CPU maps stand in that order.
func possibleCPUs() ([]int, error) { return listCPUs("possible") }

func listCPUs(kind string) ([]int, error) {
	path := "/sys/devices/system/cpu/" + kind
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("list the %s CPUs: %w", kind, err)
	}
	cpus, err := parseCPUList(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("list the %s CPUs: %s: %w", kind, path, err)
	}
	return cpus, nil
}

// UsableCPUs lists the numbers of the CPUs that this process may run on,
// ascending.
func UsableCPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("list the CPUs that may be used: %w", err)
	}
	var cpus []int
	for cpu := range len(set) * bits.UintSize {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// SpreadCPUs takes n of the CPUs so that, as far as can be, each uses a transmit
// queue of its own: drivers choose it by the number of the CPU, modulo theirs,
// for frames from XDP programs.
func SpreadCPUs(cpus []int, queues, n int) []int {
	used := make([]int, queues) // CPUs taken by queue
	left := slices.Clone(cpus)
	var taken []int
	for len(taken) < n && len(left) > 0 {
		best := 0
		for i, cpu := range left {
			if used[cpu%queues] < used[left[best]%queues] {
				best = i
			}
		}
		used[left[best]%queues]++
		taken = append(taken, left[best])
		left = slices.Delete(left, best, best+1)
	}
	return taken
}

// parseCPUList reads the kernel's list format, "0-3,5"
// (Documentation/admin-guide/cputopology.rst).
func parseCPUList(text string) ([]int, error) {
	var cpus []int
	for part := range strings.SplitSeq(text, ",") {
		lo, hi, isRange := strings.Cut(part, "-")
		first, err := strconv.Atoi(lo)
		if err != nil {
			return nil, err
		}
		last := first
		if isRange {
			if last, err = strconv.Atoi(hi); err != nil {
				return nil, err
			}
		}
		if last < first {
			return nil, fmt.Errorf("range %q is reversed", part)
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}
