// SPDX-License-Identifier: Apache-2.0

package si

import "testing"

func TestParse(t *testing.T) {
	for text, want := range map[string]float64{
		"0": 0, "7": 7, "1.5": 1.5, "10k": 1e4, "10K": 1e4, "1.5M": 1.5e6, "2m": 2e6, "1G": 1e9, "3g": 3e9, ".5k": 500, "007": 7,
	} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("Parse(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "k", ".", "-1", "+1", "1e3", "0x10", "NaN", "Inf", "1kk", "1G1", "1_000", "1 k", "1,5", "1.2.3", "ten"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %v, no error", text, got)
		}
	}
}

func TestExact(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0", 999: "999", 1000: "1k", 1001: "1.001k", 1500: "1.5k", 10_000: "10k", 999_999: "999.999k", 1_000_000: "1M",
		1_000_001: "1000.001k", 1_234_000_000: "1.234G", 1_234_500_000: "1234.5M",
	} {
		got := Exact(n)
		if got != want {
			t.Errorf("Exact(%d) = %q, want %q", n, got, want)
		}
		if back, err := Parse(got); err != nil || uint64(back+0.5) != n {
			t.Errorf("%q reads back as %v, %v", got, back, err)
		}
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0 p/s", 999: "999 p/s", 12345: "12.3 kp/s", 4.2e6: "4.2 Mp/s", 1e9: "1 Gp/s"} {
		if got := Short(v, "p/s"); got != want {
			t.Errorf("Short(%v) = %q, want %q", v, got, want)
		}
	}
}
