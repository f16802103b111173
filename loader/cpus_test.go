// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseCPUList(t *testing.T) {
	for text, want := range map[string][]int{
		"0":         {0},
		"0-3":       {0, 1, 2, 3},
		"0-1,4":     {0, 1, 4},
		"1,3,5-6":   {1, 3, 5, 6},
		"7-7":       {7},
		"126-129":   {126, 127, 128, 129},
		"0,2-3,5,8": {0, 2, 3, 5, 8},
	} {
		got, err := parseCPUList(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	for _, text := range []string{"", "a", "0-", "-1", "0,", ",0", "0-x", "0 1", "0-1-2"} {
		if got, err := parseCPUList(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// Where the kernel lists its CPUs there is one at least, in ascending order.
func TestOnlineCPUs(t *testing.T) {
	cpus, err := onlineCPUs()
	if err != nil {
		t.Fatal(err)
	}
	last := -1
	for _, cpu := range cpus {
		if cpu <= last {
			t.Errorf("CPU %d after CPU %d", cpu, last)
		}
		last = cpu
	}
	if last < 0 {
		t.Error("not one CPU is online")
	}
}

// A ring is a power of two, no less than a page of any architecture, and all
// together keep the budget up to 512 CPUs.
func TestRingBytes(t *testing.T) {
	for cpus := 1; cpus <= 1024; cpus++ {
		size := ringBytes(cpus)
		if size&(size-1) != 0 || size < 64<<10 {
			t.Errorf("%d CPUs: rings of %d bytes", cpus, size)
		}
		total := uint64(size) * uint64(cpus)
		if cpus <= 512 && total > 32<<20 {
			t.Errorf("%d CPUs: %d bytes of rings", cpus, total)
		}
		if cpus <= 512 && total <= 16<<20 {
			t.Errorf("%d CPUs: only %d bytes of rings", cpus, total)
		}
		if wake := size / 8; wake&(wake-1) != 0 {
			t.Errorf("%d CPUs: waking at %d bytes", cpus, wake)
		}
	}
}

// Each CPU uses a queue of its own, as far as can be.
func TestSpreadCPUs(t *testing.T) {
	for _, tc := range []struct {
		cpus      []int
		queues, n int
		want      []int
	}{
		{[]int{0, 1}, 2, 1, []int{0}},
		{[]int{0, 1}, 2, 2, []int{0, 1}},
		{[]int{0, 1}, 1, 2, []int{0, 1}},
		{[]int{0, 2, 4, 5}, 2, 2, []int{0, 5}},
		{[]int{0, 2, 4, 6}, 4, 3, []int{0, 2, 4}},
		{[]int{4, 6, 1}, 2, 3, []int{4, 1, 6}},
		{[]int{3}, 8, 2, []int{3}},
	} {
		if diff := cmp.Diff(tc.want, SpreadCPUs(tc.cpus, tc.queues, tc.n)); diff != "" {
			t.Errorf("%d of %v for %d queues (-want +got):\n%s", tc.n, tc.cpus, tc.queues, diff)
		}
	}
}
