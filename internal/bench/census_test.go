// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/sweep/target"
)

func TestCensus(t *testing.T) {
	of := prefix("240.0.0.0/24")
	live := []target.Addr{of.First, of.First + 63, of.First + 64, of.Last}
	for _, tt := range []struct {
		name  string
		found []target.Addr
		want  verdict
	}{
		{"all", live, verdict{live: 4}},
		{"none", nil, verdict{live: 4, missed: 4}},
		{"one missed", live[1:], verdict{live: 4, missed: 1}},
		{"one twice", append(slices.Clone(live), live[2]), verdict{live: 4, twice: 1}},
		{"one three times", append(slices.Clone(live), live[2], live[2]), verdict{live: 4, twice: 2}},
		{"one that is silent", append(slices.Clone(live), of.First+1), verdict{live: 4, untrue: 1}},
		{"that one twice", append(slices.Clone(live), of.First+1, of.First+1), verdict{live: 4, twice: 1, untrue: 1}},
		{"one that was not asked for", append(slices.Clone(live), of.Last+1, of.First-1), verdict{live: 4, untrue: 2}},
		{"wrong in the same number", append(slices.Clone(live[1:]), of.First+1), verdict{live: 4, missed: 1, untrue: 1}},
	} {
		c := newCensus(of)
		for _, a := range tt.found {
			c.add(a)
		}
		if diff := cmp.Diff(tt.want, c.compare(slices.Values(live)), cmp.AllowUnexported(verdict{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestRecall(t *testing.T) {
	if got := (verdict{live: 200, missed: 1}).recall(); got != 99.5 {
		t.Errorf("one missed of 200: %v %%, want 99.5", got)
	}
	if got := (verdict{}).recall(); got != 100 {
		t.Errorf("nobody lives: %v %%, want 100", got)
	}
}

// Beginnings and ends of what the tools printed in a lab (zmap 4.3.4, masscan
// 1.3.2, fping 5.1), and of what xsweep writes.
func TestReadResults(t *testing.T) {
	list := func(c *census, r io.Reader) error { return c.read(r) }
	for _, tt := range []struct {
		name    string
		read    func(*census, io.Reader) error
		text    string
		want    []string
		problem string
	}{
		{"zmap", list, "240.6.205.231\n240.3.9.94\n240.2.112.8\n", []string{"240.2.112.8", "240.3.9.94", "240.6.205.231"}, ""},
		{"fping", list, "240.0.0.19\n240.0.0.20\n", []string{"240.0.0.19", "240.0.0.20"}, ""},
		{"xsweep", list, "240.0.0.24\n", []string{"240.0.0.24"}, ""},
		{"masscan", readMasscan, "#masscan\nopen icmp 0 240.2.235.210 1795392327\nopen icmp 0 240.2.120.203 1795392327\n# end\n",
			[]string{"240.2.120.203", "240.2.235.210"}, ""},
		{"nothing", list, "", nil, ""},
		{"nothing from masscan", readMasscan, "", nil, ""},
		{"a message among addresses", list, "240.0.0.19\nNov 23 zmap: fatal\n", nil, "zmap: fatal"},
		{"masscan cut short", readMasscan, "#masscan\nopen icmp 0 240.2.143.71\n", nil, "240.2.143.71"},
		{"masscan with another address", readMasscan, "open icmp 0 240.2.143 1795392327\n", nil, "240.2.143"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCensus(prefix(range524k))
			err := tt.read(c, strings.NewReader(tt.text))
			if tt.problem != "" {
				if err == nil || !strings.Contains(err.Error(), tt.problem) {
					t.Errorf("error %v, want one that shows %q", err, tt.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for a := range target.NewSet(c.of).All() {
				rank := a - c.of.First
				if c.found[rank/64]>>(rank%64)&1 == 1 {
					got = append(got, a.String())
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || c.count != uint64(len(tt.want)) {
				t.Errorf("%d found (-want +got):\n%s", c.count, diff)
			}
		})
	}
}
