// SPDX-License-Identifier: Apache-2.0

package bench

import "testing"

// The kernel's columns are hexadecimal, a line for each CPU.
func TestBacklogDrops(t *testing.T) {
	const text = "0003a1b2 0000000a 00000000 00000000\n00000001 00000100 00000000 00000000\n\n"
	if got := backlogDrops([]byte(text)); got != 266 {
		t.Errorf("%d dropped, want 266", got)
	}
}

// Time on a CPU and in its queue only grows.
func TestReadBusy(t *testing.T) {
	before := readBusy()
	for sum := 0; readBusy().ran == before.ran; sum++ { // until some time was used
	}
	if d := readBusy().since(before); d.ran <= 0 || d.waited < 0 {
		t.Errorf("%+v", d)
	}
	if d := (busy{waited: 1, missed: 1}).since(busy{waited: 5, missed: 3}); d.waited != 0 || d.missed != 0 {
		t.Errorf("%+v", d)
	}
}
