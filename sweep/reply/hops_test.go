// SPDX-License-Identifier: Apache-2.0

package reply

import "testing"

// Each TTL belongs to the smallest initial value that can have led to it.
func TestHopsAndOS(t *testing.T) {
	for _, tc := range []struct {
		first, last int // TTLs
		initial     uint8
		os          string
	}{
		{0, 32, 32, ""},
		{33, 64, 64, "unix"},
		{65, 128, 128, "windows"},
		{129, 255, 255, "network"},
	} {
		for ttl := tc.first; ttl <= tc.last; ttl++ {
			r := Record{TTL: uint8(ttl)}
			if got := InitialTTL(r.TTL); got != tc.initial {
				t.Errorf("TTL %d: initial value %d, want %d", ttl, got, tc.initial)
			}
			if got, want := int(r.Hops()), int(tc.initial)-ttl; got != want {
				t.Errorf("TTL %d: %d hops, want %d", ttl, got, want)
			}
			if got := r.OS(); got != tc.os {
				t.Errorf("TTL %d: %q, want %q", ttl, got, tc.os)
			}
		}
	}
}
