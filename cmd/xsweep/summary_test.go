// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"xsweep/sweep"
)

// Where nobody knows whether probes were sent, nobody says so.
func TestSummaryClaimsNothingUnconfirmed(t *testing.T) {
	for _, tc := range []struct {
		probes     sweep.ProbeCounts
		want, lack string
	}{
		{sweep.ProbeCounts{Handed: 7, Accepted: 7}, "7 sent at", "does not tell"},
		{sweep.ProbeCounts{Handed: 7, Unconfirmed: 7}, "7 given to the kernel at 3 p/s, which does not tell whether the device took them", " sent"},
		{sweep.ProbeCounts{Handed: 9, Unconfirmed: 7, Accepted: 2}, "took them, 2 sent", "9"},
	} {
		var text strings.Builder
		printSummary(&text, &sweep.Summary{Probes: tc.probes, Rate: sweep.RateCounts{Mean: 3}})
		line := ""
		for l := range strings.Lines(text.String()) {
			if strings.Contains(l, "probes") {
				line = l
			}
		}
		if !strings.Contains(line, tc.want) || strings.Contains(line, tc.lack) {
			t.Errorf("%+v: %q", tc.probes, line)
		}
	}
}
