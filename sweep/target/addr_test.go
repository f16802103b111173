// SPDX-License-Identifier: Apache-2.0

package target

import (
	"net/netip"
	"testing"

	"xsweep/internal/testrand"
)

// addr is ParseAddr for constants.
func addr(t testing.TB, text string) Addr {
	t.Helper()
	a, err := ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAddrAgreesWithNetip(t *testing.T) {
	rng := testrand.New(t)
	samples := []Addr{0, 1, 9, 10, 99, 100, 255, 256, 0x7f000001, 0xc0000201, maxAddr - 1, maxAddr}
	for range 10_000 {
		samples = append(samples, Addr(rng.Uint32()))
	}
	for _, a := range samples {
		want := netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)})
		if a.String() != want.String() || a.Netip() != want {
			t.Fatalf("%#x: String %s, Netip %s, want %s", uint32(a), a, a.Netip(), want)
		}
		if got, err := ParseAddr(want.String()); err != nil || got != a {
			t.Fatalf("ParseAddr(%q) = %v, %v", want, got, err)
		}
		if got, ok := AddrFrom(want); !ok || got != a {
			t.Fatalf("AddrFrom(%s) = %v, %v", want, got, ok)
		}
		if got, ok := AddrFrom(netip.AddrFrom16(want.As16())); !ok || got != a {
			t.Fatalf("AddrFrom of mapped %s = %v, %v", want, got, ok)
		}
	}
	for _, a := range []netip.Addr{{}, netip.IPv6Loopback(), netip.MustParseAddr("2001:db8::1")} {
		if got, ok := AddrFrom(a); ok {
			t.Errorf("AddrFrom(%s) = %s, want a refusal", a, got)
		}
	}
}

// TestScanAddrAgreesWithNetip tries every string of a small alphabet that has
// all that matters to the scanner.
func TestScanAddrAgreesWithNetip(t *testing.T) {
	check := func(text string) {
		t.Helper()
		a, ok := scanAddr(text)
		want, err := netip.ParseAddr(text)
		if ok != (err == nil) || ok && a.Netip() != want {
			t.Fatalf("scanAddr(%q) = %s, %v; netip says %s, %v", text, a, ok, want, err)
		}
		if !ok && explainAddr(text) == nil {
			t.Fatalf("no explanation for %q", text)
		}
	}
	octets := []string{"", "0", "00", "1", "01", "9", "10", "99", "199", "255", "256", "300", "1234", "a", "-1", " 1", "1/"}
	for _, a := range octets {
		for _, b := range octets {
			check(a + "." + b)
			for _, c := range octets {
				check(a + "." + b + "." + c)
				for _, d := range octets {
					check(a + "." + b + "." + c + "." + d)
				}
				check(a + "." + b + "." + c + ".1.1")
			}
		}
	}
}

func TestAddrAppendToAllocatesNothing(t *testing.T) {
	buffer := make([]byte, 0, 64)
	a := addr(t, "203.0.113.255")
	if n := testing.AllocsPerRun(100, func() { buffer = a.AppendTo(buffer[:0]) }); n != 0 {
		t.Errorf("AppendTo: %v allocations", n)
	}
	if got := string(a.AppendTo([]byte("x "))); got != "x 203.0.113.255" {
		t.Errorf("AppendTo gave %q", got)
	}
}

func TestRange(t *testing.T) {
	for _, tt := range []struct {
		r      Range
		length uint64
		text   string
	}{
		{Range{}, 1, "0.0.0.0"},
		{Range{0, maxAddr}, 1 << 32, "0.0.0.0/0"},
		{Range{0, maxAddr - 1}, 1<<32 - 1, "0.0.0.0-255.255.255.254"},
		{Range{maxAddr, maxAddr}, 1, "255.255.255.255"},
		{Range{maxAddr - 1, maxAddr}, 2, "255.255.255.254/31"},
		{Range{1, 2}, 2, "0.0.0.1-0.0.0.2"},
		{Range{0xc0000200, 0xc00002ff}, 256, "192.0.2.0/24"},
		{Range{0xc0000200, 0xc0000300}, 257, "192.0.2.0-192.0.3.0"},
		{Range{0xc0000280, 0xc000037f}, 256, "192.0.2.128-192.0.3.127"},
		{Range{0x80000000, maxAddr}, 1 << 31, "128.0.0.0/1"},
		{Range{2, 1}, 0, "0.0.0.2-0.0.0.1"},
	} {
		if got := tt.r.Len(); got != tt.length {
			t.Errorf("%v: Len = %d, want %d", tt.r, got, tt.length)
		}
		if got := tt.r.String(); got != tt.text {
			t.Errorf("%#v: String = %s, want %s", tt.r, got, tt.text)
		}
		if tt.length > 0 && !(tt.r.Contains(tt.r.First) && tt.r.Contains(tt.r.Last)) {
			t.Errorf("%v does not contain its ends", tt.r)
		}
		if tt.r.First > 0 && tt.r.Contains(tt.r.First-1) || tt.r.Last < maxAddr && tt.r.Contains(tt.r.Last+1) {
			t.Errorf("%v contains a neighbour", tt.r)
		}
	}
}

func TestRangeFromPrefix(t *testing.T) {
	for length := range 33 {
		p := netip.PrefixFrom(netip.MustParseAddr("203.0.113.77"), length)
		r, ok := RangeFromPrefix(p)
		if !ok || r.Len() != 1<<(32-length) || r.First.Netip() != p.Masked().Addr() || !p.Contains(r.Last.Netip()) {
			t.Errorf("RangeFromPrefix(%s) = %s, %v", p, r, ok)
		}
		if want := p.Masked().String(); length < 32 && r.String() != want {
			t.Errorf("String of %s gave %s", want, r)
		}
	}
	for _, p := range []netip.Prefix{{}, netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("::ffff:192.0.2.0/120")} {
		if r, ok := RangeFromPrefix(p); ok {
			t.Errorf("RangeFromPrefix(%s) = %s, want a refusal", p, r)
		}
	}
}
