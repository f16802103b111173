// SPDX-License-Identifier: Apache-2.0

package target

import (
	"strings"
	"testing"
)

func TestSpecialIsInOrder(t *testing.T) {
	for k, s := range Special {
		if s.Name == "" || !strings.HasPrefix(s.RFC, "RFC ") || strings.Contains(s.Range.String(), "-") {
			t.Errorf("entry %+v is not a prefix with name and RFC", s)
		}
		for _, before := range Special[:k] {
			b := before.Range
			nested := b.covers(s.Range) && b != s.Range
			apart := b.Last < s.Range.First
			if !nested && !apart {
				t.Errorf("%s comes behind %s", s.Range, b)
			}
		}
	}
}

// TestSpecialIsComplete compares with the list of the registry's blocks, kept
// here as text so that a slip in either shows.
func TestSpecialIsComplete(t *testing.T) {
	const blocks = `0.0.0.0/8 0.0.0.0 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16
		172.16.0.0/12 192.0.0.0/24 192.0.0.0/29 192.0.0.8 192.0.0.9 192.0.0.10
		192.0.0.170 192.0.0.171 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24
		192.88.99.0/24 192.88.99.2 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15
		198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 255.255.255.255`
	var got []string
	for _, s := range Special {
		got = append(got, s.Range.String())
	}
	if want := strings.Fields(blocks); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
