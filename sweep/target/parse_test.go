// SPDX-License-Identifier: Apache-2.0

package target

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// names is a Resolver that knows a few hosts and remembers what it was asked.
type names struct {
	hosts map[string][]string
	asked []string
}

func (n *names) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	n.asked = append(n.asked, network+" "+host)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	texts, ok := n.hosts[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var addrs []netip.Addr
	for _, text := range texts {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	return addrs, nil
}

func testNames() *names {
	return &names{hosts: map[string][]string{
		"host.example":               {"198.51.100.9", "::ffff:192.0.2.7", "198.51.100.9", "192.0.2.5"},
		"host.example.":              {"192.0.2.5"},
		"1-2.example":                {"192.0.2.12"},
		"192.0.2.1-pool.isp.example": {"192.0.2.1"},
		"3com":                       {"192.0.2.3"},
		"_srv.example":               {"192.0.2.4"},
		"localhost":                  {"127.0.0.1"},
		"six.example":                {"2001:db8::6"},
		"empty.example":              {},
	}}
}

var _ Resolver = (*net.Resolver)(nil)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string // the ranges
	}{
		{"192.0.2.1", []string{"192.0.2.1"}},
		{"0.0.0.0", []string{"0.0.0.0"}},
		{"255.255.255.255", []string{"255.255.255.255"}},
		{"192.0.2.0/24", []string{"192.0.2.0/24"}},
		{"192.0.2.77/24", []string{"192.0.2.0/24"}},
		{"192.0.2.77/31", []string{"192.0.2.76/31"}},
		{"192.0.2.77/32", []string{"192.0.2.77"}},
		{"192.0.2.77/0", []string{"0.0.0.0/0"}},
		{"0.0.0.0/0", []string{"0.0.0.0/0"}},
		{"192.0.2.1-198.51.100.9", []string{"192.0.2.1-198.51.100.9"}},
		{"192.0.2.1-192.0.2.1", []string{"192.0.2.1"}},
		{"0.0.0.0-255.255.255.255", []string{"0.0.0.0/0"}},
		{"192.0.2.1-9", []string{"192.0.2.1-192.0.2.9"}},
		{"192.0.2.0-255", []string{"192.0.2.0/24"}},
		{"192.0.2.0-0", []string{"192.0.2.0"}},
		{"host.example", []string{"192.0.2.5", "192.0.2.7", "198.51.100.9"}},
		{"host.example.", []string{"192.0.2.5"}},
		{"1-2.example", []string{"192.0.2.12"}},
		{"192.0.2.1-pool.isp.example", []string{"192.0.2.1"}},
		{"3com", []string{"192.0.2.3"}},
		{"_srv.example", []string{"192.0.2.4"}},
		{"localhost", []string{"127.0.0.1"}},
	} {
		targets, err := Parse(t.Context(), testNames(), tt.text)
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.text, err)
			continue
		}
		var got []string
		for _, target := range targets {
			got = append(got, target.Range.String())
			if target.Text != tt.text || target.Where != "" {
				t.Errorf("Parse(%q): Text %q, Where %q", tt.text, target.Text, target.Where)
			}
			if target.Single() != (target.Range.Len() == 1) {
				t.Errorf("Parse(%q): Single = %v", tt.text, target.Single())
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Parse(%q) (-want +got):\n%s", tt.text, diff)
		}
	}
}

const accepted = "expected an address, prefix, range or host name"

func TestParseErrors(t *testing.T) {
	const octets = "expected four octets, as in 192.0.2.1"
	for _, tt := range []struct{ text, want string }{
		{"", `target "": is empty; ` + accepted},
		// Malformed addresses.
		{"1.2.3", `target "1.2.3": has 3 octets; ` + octets},
		{"1.2.3.4.5", `target "1.2.3.4.5": has 5 octets; ` + octets},
		{"300.1.1.1", `target "300.1.1.1": octet "300" is over 255; ` + octets},
		{"1.2.3.99999999999999999999", `target "1.2.3.99999999999999999999": octet "99999999999999999999" is over 255; ` + octets},
		{"1.2.3.04", `target "1.2.3.04": octet "04" has a leading zero, which some programs take for octal; ` + octets},
		{"1.2..4", `target "1.2..4": an octet is missing; ` + octets},
		{"1.2.3.4.", `target "1.2.3.4.": an octet is missing; ` + octets},
		{".", `target ".": an octet is missing; ` + octets},
		{"3221225985", `target "3221225985": is a bare number; write addresses as four octets, as in 192.0.2.1`},
		{"0x7f000001", `target "0x7f000001": is a bare number; write addresses as four octets, as in 192.0.2.1`},
		{"0x7f.0.0.1", `target "0x7f.0.0.1": is neither an address or range nor a host name (there can be no top-level domain "1")`},
		{"10.0.0.x", `target "10.0.0.x": is neither an address or range nor a host name (there can be no top-level domain "x")`},
		{"10.0.0.1x", `target "10.0.0.1x": is neither an address or range nor a host name (there can be no top-level domain "1x")`},
		// Prefixes.
		{"1.2.3.4/33", `target "1.2.3.4/33": prefix length "33" is over 32`},
		{"1.2.3.4/4294967296", `target "1.2.3.4/4294967296": prefix length "4294967296" is over 32`},
		{"1.2.3.4/", `target "1.2.3.4/": prefix length "" is not a number from 0 to 32`},
		{"1.2.3.4/-1", `target "1.2.3.4/-1": prefix length "-1" is not a number from 0 to 32`},
		{"1.2.3.4/255.255.0.0", `target "1.2.3.4/255.255.0.0": prefix length "255.255.0.0" is not a number from 0 to 32`},
		{"1.2.3/24", `target "1.2.3/24": before the slash of a prefix: has 3 octets; ` + octets},
		{"10/8", `target "10/8": before the slash of a prefix: is a bare number; write addresses as four octets, as in 192.0.2.1`},
		{"/24", `target "/24": before the slash of a prefix: there is no address; ` + octets},
		{"host.example/24", `target "host.example/24": before the slash of a prefix: octet "host" is not a number; ` + octets},
		// Ranges.
		{"1.2.3.4-", `target "1.2.3.4-": behind the hyphen of a range: there is no address; ` + octets + ` (or one last octet, as in 192.0.2.1-9)`},
		{"-1.2.3.4", `target "-1.2.3.4": before the hyphen of a range: there is no address; ` + octets},
		{"-", `target "-": before the hyphen of a range: there is no address; ` + octets},
		{"1.2.3.4-1.2.3.3", `target "1.2.3.4-1.2.3.3": range ends (1.2.3.3) before it begins (1.2.3.4); swap the two`},
		{"1.2.3.4-3", `target "1.2.3.4-3": range ends (1.2.3.3) before it begins (1.2.3.4); swap the two`},
		{"1.2.3.4-256", `target "1.2.3.4-256": behind the hyphen of a range: octet "256" is over 255`},
		{"1.2.3.4-05", `target "1.2.3.4-05": behind the hyphen of a range: octet "05" has a leading zero, which some programs take for octal`},
		{"1.2.3.4-4.5", `target "1.2.3.4-4.5": behind the hyphen of a range: has 2 octets; ` + octets + ` (or one last octet, as in 192.0.2.1-9)`},
		{"1.2.3.4-5-6", `target "1.2.3.4-5-6": behind the hyphen of a range: octet "5-6" is not a number; ` + octets + ` (or one last octet, as in 192.0.2.1-9)`},
		{"1.2.3-1.2.3.4", `target "1.2.3-1.2.3.4": before the hyphen of a range: has 3 octets; ` + octets},
		{"1.2.3.4-host", `target "1.2.3.4-host": is neither an address or range nor a host name (there can be no top-level domain "4-host")`},
		// IPv6.
		{"::1", `target "::1": IPv6 targets are not supported yet`},
		{"2001:db8::/32", `target "2001:db8::/32": IPv6 targets are not supported yet`},
		{"2001:db8::1-2001:db8::5", `target "2001:db8::1-2001:db8::5": IPv6 targets are not supported yet`},
		{"fe80::1%eth0", `target "fe80::1%eth0": IPv6 targets are not supported yet`},
		{"[2001:db8::1]", `target "[2001:db8::1]": IPv6 targets are not supported yet`},
		{"::ffff:192.0.2.1", `target "::ffff:192.0.2.1": IPv6 targets are not supported yet`},
		{"six.example", `target "six.example": host name has no IPv4 address, and IPv6 targets are not supported yet`},
		// Names.
		{"empty.example", `target "empty.example": host name has no IPv4 address, and IPv6 targets are not supported yet`},
		{"nosuch.example", `target "nosuch.example": unknown host name: lookup nosuch.example: no such host (check the spelling, or give its address)`},
		{"a..example", `target "a..example": host name has an empty label; ` + accepted},
		{"-a.example", `target "-a.example": a label of a host name cannot begin or end with a hyphen; ` + accepted},
		{"a-.example", `target "a-.example": a label of a host name cannot begin or end with a hyphen; ` + accepted},
		{strings.Repeat("a", 64), `target "` + strings.Repeat("a", 60) + `"...: host name has a label longer than 63 bytes; ` + accepted},
		{strings.Repeat("a.", 127) + "b", `target "` + strings.Repeat("a.", 30) + `"...: is longer than the 253 bytes of a host name; ` + accepted},
		{"münchen.example", `target "münchen.example": character 'ü' is in no host name; write international names in their xn-- form`},
		{"192.0.2.1:80", `target "192.0.2.1:80": ICMP has no ports, and IPv6 targets are not supported yet; ` + accepted},
		{"192.0.2.1,192.0.2.2", `target "192.0.2.1,192.0.2.2": character ',' is in no target; separate targets with spaces`},
		{"192.0.2.*", `target "192.0.2.*": character '*' is in no target; ` + accepted},
		{" 192.0.2.1", `target " 192.0.2.1": character ' ' is in no target; ` + accepted},
		{"192.0.2.1\n192.0.2.2", `target "192.0.2.1\n192.0.2.2": character '\n' is in no target; ` + accepted},
		{"\x00\xff", `target "\x00\xff": character '\x00' is in no target; ` + accepted},
		{"host\xff", `target "host\xff": character '�' is in no target; ` + accepted},
	} {
		resolver := testNames()
		targets, err := Parse(t.Context(), resolver, tt.text)
		if err == nil {
			t.Errorf("Parse(%q) = %v, want an error", tt.text, targets)
			continue
		}
		if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
			t.Errorf("Parse(%q) (-want +got):\n%s", tt.text, diff)
		}
		// Only errors about an answer may have cost a query.
		isAnswer := strings.Contains(tt.want, "unknown host name") || strings.Contains(tt.want, "has no IPv4")
		if asked := len(resolver.asked) > 0; asked != isAnswer {
			t.Errorf("Parse(%q) asked %q", tt.text, resolver.asked)
		}
	}
}

func TestParseLooksUpIPv4Once(t *testing.T) {
	resolver := testNames()
	if _, err := Parse(t.Context(), resolver, "host.example"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ip4 host.example"}, resolver.asked); diff != "" {
		t.Error(diff)
	}
}

func TestParseWithoutResolver(t *testing.T) {
	if _, err := Parse(t.Context(), nil, "192.0.2.0/24"); err != nil {
		t.Error(err)
	}
	_, err := Parse(t.Context(), nil, "host.example")
	const want = `target "host.example": host names are not accepted here; give an address, prefix or range`
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestParseWrapsResolverErrors(t *testing.T) {
	var notFound *net.DNSError
	if _, err := Parse(t.Context(), testNames(), "nosuch.example"); !errors.As(err, &notFound) {
		t.Errorf("error %v does not wrap that of the resolver", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Parse(ctx, testNames(), "host.example")
	const want = `target "host.example": name look-up was stopped: context canceled`
	if !errors.Is(err, context.Canceled) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestParseAddrErrors(t *testing.T) {
	_, err := ParseAddr("192.0.2.256")
	const want = `address "192.0.2.256": octet "256" is over 255; expected four octets, as in 192.0.2.1`
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"192.0.2.1", "192.0.2.77/24", "192.0.2.1-198.51.100.9", "192.0.2.1-9", "host.example", "::1",
		"1.2.3", "1.2.3.4/33", "1.2.3.4-", "0x7f000001", "a_b.c-d", "\xff", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		checkParsed(t, text, func(resolver Resolver) ([]Target, error) {
			return Parse(t.Context(), resolver, text)
		})
	})
}

// anyName is a Resolver for which every host name has the same two addresses.
type anyName struct {
	t     *testing.T
	asked *bool
}

func (n anyName) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	*n.asked = true
	if strings.Trim(host, "0123456789.-/") == "" {
		n.t.Errorf("%q was looked up", host)
	}
	return []netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.1")}, nil
}

// checkParsed runs parse and checks what holds for any input.
func checkParsed(t *testing.T, input string, parse func(Resolver) ([]Target, error)) {
	var asked bool
	targets, err := parse(anyName{t, &asked})
	if err != nil {
		if strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("%q: error of several lines: %q", input, err)
		}
		if len(targets) > 0 {
			t.Errorf("%q: targets and an error", input)
		}
		return
	}
	for _, target := range targets {
		if target.Range.Len() == 0 || !strings.Contains(input, target.Text) {
			t.Errorf("%q: target %v", input, target)
		}
		again, err := Parse(t.Context(), nil, target.Range.String())
		if err != nil || len(again) != 1 || again[0].Range != target.Range {
			t.Errorf("%q: %s reads back as %v, %v", input, target.Range, again, err)
		}
	}
	if !asked {
		again, err := parse(nil)
		if diff := cmp.Diff(targets, again); err != nil || diff != "" {
			t.Errorf("%q: differs without a resolver, error %v:\n%s", input, err, diff)
		}
	}
}
