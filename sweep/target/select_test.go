// SPDX-License-Identifier: Apache-2.0

package target

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/internal/testrand"
)

// targets is Parse for each word of text.
func targets(t testing.TB, text string) []Target {
	t.Helper()
	parsed, err := ParseFile(context.Background(), nil, t.Name(), strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestSelect(t *testing.T) {
	// The outermost special blocks, by size.
	special := uint64(3<<24 + 1<<22 + 1<<20 + 1<<17 + 2<<16 + 8<<8 + 2<<28)
	for _, tt := range []struct {
		name, targets, exclude string
		want                   string // swept ranges, or their number of addresses
		named                  uint64
		excluded, special      uint64
	}{
		{"nothing", "", "10.0.0.0/8", "", 0, 0, 0},
		{"plain", "11.0.0.0/24", "", "11.0.0.0/24", 256, 0, 0},
		{"inside a special range", "10.0.0.0/24", "", "10.0.0.0/24", 256, 0, 0},
		{"exactly a special range", "10.0.0.0/8", "", "10.0.0.0/8", 1 << 24, 0, 0},
		{"wider", "10.0.0.0/7", "", "11.0.0.0/8", 1 << 25, 0, 1 << 24},
		{"reaching in from below", "9.255.255.0-10.0.0.9", "", "9.255.255.0/24", 266, 0, 10},
		{"reaching out above", "10.255.255.255-11.0.0.0", "", "11.0.0.0", 2, 0, 1},
		{"all", "0.0.0.0/0", "", fmt.Sprint(1<<32 - special), 1 << 32, 0, special},
		{"reserved", "240.0.0.0/4", "", "240.0.0.0-255.255.255.254", 1 << 28, 0, 1},
		{"limited broadcast", "255.255.255.255", "", "255.255.255.255", 1, 0, 0},
		{"limited broadcast as well", "240.0.0.0/4 255.255.255.255", "", "240.0.0.0/4", 1 << 28, 0, 0},
		{"multicast", "224.0.0.0/4", "", "224.0.0.0/4", 1 << 28, 0, 0},
		{"multicast and reserved in one", "224.0.0.0/3", "", "", 1 << 29, 0, 1 << 29},
		{"nested", "192.0.0.0/24", "", "192.0.0.11-192.0.0.169 192.0.0.172-192.0.0.255", 256, 0, 13},
		{"nested inside", "192.0.0.0/29", "", "192.0.0.0/29", 8, 0, 0},
		{"one target keeps what another skips", "10.0.0.0/7 10.9.0.0/16", "", "10.9.0.0/16 11.0.0.0/8", 1 << 25, 0, 1<<24 - 1<<16},
		{"overlapping targets count once", "11.0.0.0/24 11.0.0.128/25 11.0.0.7", "", "11.0.0.0/24", 256, 0, 0},
		{"excluded", "11.0.0.0/24", "11.0.0.0/25 12.0.0.0/8", "11.0.0.128/25", 256, 128, 0},
		{"excluded wins over a single address", "11.0.0.1", "11.0.0.0/24", "", 1, 1, 0},
		{"special and excluded, kept by no target", "10.0.0.0/7", "10.0.0.0/8", "11.0.0.0/8", 1 << 25, 0, 1 << 24},
		{"special and excluded, kept by one target", "10.0.0.0/7 10.9.0.0/16", "10.0.0.0/8", "11.0.0.0/8", 1 << 25, 1 << 16, 1<<24 - 1<<16},
		{"everything excluded", "11.0.0.0/24", "0.0.0.0/0", "", 256, 256, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Select(targets(t, tt.targets), SetOf(targets(t, tt.exclude)))
			swept := fmt.Sprint(got.Set.Len())
			if len(got.Set.Ranges()) < 10 {
				var ranges []string
				for _, r := range got.Set.Ranges() {
					ranges = append(ranges, r.String())
				}
				swept = strings.Join(ranges, " ")
			}
			if swept != tt.want || got.Named != tt.named || got.Excluded != tt.excluded || got.Special != tt.special {
				t.Errorf("%s; named %d, excluded %d, special %d; want %s; %d, %d, %d",
					swept, got.Named, got.Excluded, got.Special, tt.want, tt.named, tt.excluded, tt.special)
			}
		})
	}
}

// TestSelectAgainstModel draws targets around the edges of special ranges and
// decides address by address.
func TestSelectAgainstModel(t *testing.T) {
	rng := testrand.New(t)
	windows := []universe{
		{addr(t, "0.0.0.0")},
		{addr(t, "9.255.255.208")},
		{addr(t, "192.0.0.0") - 48},
		{addr(t, "192.0.0.128")},
		{addr(t, "192.88.98.208")},
		{addr(t, "223.255.255.208")},
		{addr(t, "239.255.255.208")},
		{maxAddr - universeSize + 1},
	}
	for range 5_000 {
		u := windows[rng.IntN(len(windows))]
		var asked []Target
		ranges, _ := u.random(rng)
		for _, r := range ranges {
			switch {
			case r.Len() == 0:
				continue
			case rng.IntN(10) == 0: // reach far beyond the window
				r.First &^= 1<<26 - 1
			case rng.IntN(10) == 0:
				r.Last |= 1<<26 - 1
			}
			asked = append(asked, Target{Range: r})
		}
		_, excluded := u.random(rng)
		exclude := NewSet(u.ranges(excluded)...)
		got := Select(asked, exclude)
		if got.Named != got.Set.Len()+got.Excluded+got.Special {
			t.Fatalf("%v without %v: %d named, %d swept, %d excluded, %d special",
				asked, exclude.Ranges(), got.Named, got.Set.Len(), got.Excluded, got.Special)
		}
		// Only what is in the window can be counted one by one.
		var want, inWindow model
		var wantNamed, wantExcluded, wantSpecial uint64
		for k := range want {
			a := u.first + Addr(k)
			named, kept := fate(asked, a)
			want[k] = kept && !excluded[k]
			inWindow[k] = true
			if named {
				wantNamed++
			}
			if named && !kept {
				wantSpecial++
			}
			if kept && excluded[k] {
				wantExcluded++
			}
		}
		window := NewSet(u.ranges(inWindow)...)
		if diff := cmp.Diff(u.ranges(want), got.Set.Intersect(window).Ranges()); diff != "" {
			t.Fatalf("%v without %v (-want +got):\n%s", asked, exclude.Ranges(), diff)
		}
		if got.Excluded != wantExcluded {
			t.Fatalf("%v without %v: %d excluded, want %d", asked, exclude.Ranges(), got.Excluded, wantExcluded)
		}
		if SetOf(asked).Subtract(window).Empty() && (got.Named != wantNamed || got.Special != wantSpecial) {
			t.Fatalf("%v without %v: %d named and %d special, want %d and %d",
				asked, exclude.Ranges(), got.Named, got.Special, wantNamed, wantSpecial)
		}
	}
}

// fate says whether any target names a, and whether any keeps it.
func fate(asked []Target, a Addr) (named, kept bool) {
	for _, target := range asked {
		if !target.Range.Contains(a) {
			continue
		}
		named = true
		keeps := true
		for _, s := range Special {
			if s.Range.Contains(a) && !(s.Range.Contains(target.Range.First) && s.Range.Contains(target.Range.Last)) {
				keeps = false
			}
		}
		kept = kept || keeps
	}
	return named, kept
}
