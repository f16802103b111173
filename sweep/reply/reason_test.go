// SPDX-License-Identifier: Apache-2.0

package reply

import (
	"fmt"
	"testing"
)

// The words of every assigned code. They are what tools match on.
var assigned = map[[2]uint8]string{
	{3, 0}:  "network unreachable",
	{3, 1}:  "host unreachable",
	{3, 2}:  "protocol unreachable",
	{3, 3}:  "port unreachable",
	{3, 4}:  "fragmentation needed",
	{3, 5}:  "source route failed",
	{3, 6}:  "destination network unknown",
	{3, 7}:  "destination host unknown",
	{3, 8}:  "source host isolated",
	{3, 9}:  "communication with destination network administratively prohibited",
	{3, 10}: "communication with destination host administratively prohibited",
	{3, 11}: "network unreachable for type of service",
	{3, 12}: "host unreachable for type of service",
	{3, 13}: "communication administratively prohibited",
	{3, 14}: "host precedence violation",
	{3, 15}: "precedence cutoff in effect",
	{4, 0}:  "source quench",
	{5, 0}:  "redirect datagrams for the network",
	{5, 1}:  "redirect datagrams for the host",
	{5, 2}:  "redirect datagrams for the type of service and network",
	{5, 3}:  "redirect datagrams for the type of service and host",
	{11, 0}: "time to live exceeded in transit",
	{11, 1}: "fragment reassembly time exceeded",
	{12, 0}: "pointer indicates the error",
	{12, 1}: "missing a required option",
	{12, 2}: "bad length",
}

func TestReason(t *testing.T) {
	errors := map[uint8]bool{3: true, 4: true, 5: true, 11: true, 12: true}
	for icmpType := range 256 {
		for code := range 256 {
			key := [2]uint8{uint8(icmpType), uint8(code)}
			want := assigned[key]
			if want == "" && errors[key[0]] {
				want = fmt.Sprintf("code %d", code)
			}
			if got := Reason(key[0], key[1]); got != want {
				t.Errorf("type %d, code %d: %q, want %q", icmpType, code, got, want)
			}
		}
	}
}

func TestReasonAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		for _, icmpType := range []uint8{0, 3, 4, 5, 11, 12, 14, 200} {
			for code := range 256 {
				Reason(icmpType, uint8(code))
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
