// SPDX-License-Identifier: Apache-2.0

package loader

import "testing"

func TestReleaseBefore(t *testing.T) {
	for _, test := range []struct {
		release, least string
		want           bool
	}{
		{"5.15", "5.15", false},
		{"5.15.0-91-generic", "5.15", false},
		{"5.14.21", "5.15", true},
		{"5.2.1", "5.15", true}, // not as decimals
		{"5.150.0", "5.15", false},
		{"4.19.0-26-amd64", "5.15", true},
		{"6.1.0-18-amd64", "5.15", false},
		{"6.0-rc1", "5.15", false},
		{"10.0.0", "5.15", false},
		{"5", "5.15", false}, // unreadable
		{"", "5.15", false},
		{"unknown", "5.15", false},
		{"5.10.0", "", false},
	} {
		if got := releaseBefore(test.release, test.least); got != test.want {
			t.Errorf("%q before %q: %t", test.release, test.least, got)
		}
	}
	if kernelTooOld() {
		t.Errorf("kernel %s runs these tests and is too old", KernelRelease())
	}
}
