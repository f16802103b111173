// SPDX-License-Identifier: Apache-2.0

package target

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Target is one thing the user asked to probe.
type Target struct {
	// Range is the addresses it names; never empty.
	Range Range
	// Text is how the user wrote it. The addresses of a host name share it.
	Text string
	// Where is the file and line it was read from, such as "targets.txt:12",
	// and empty for a command-line argument.
	Where string
}

// Single reports whether t names exactly one address.
func (t Target) Single() bool { return t.Range.First == t.Range.Last }

// Resolver looks up host names; [net.Resolver] is one.
type Resolver interface {
	// LookupNetIP returns the addresses of host. The network is always "ip4".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Parse reads one target:
//
//	192.0.2.1               an address
//	192.0.2.0/24            a prefix; host bits are masked off
//	192.0.2.1-198.51.100.9  a range, both ends included
//	192.0.2.1-9             a range within the last octet
//	host.example            a host name: one target for each IPv4 address it
//	                        has, ascending
//
// Only text that can be a host name and is not a malformed address is given to
// resolver; a nil resolver makes host names an error. Errors are one line and
// quote the text. A failed look-up wraps the error of resolver.
func Parse(ctx context.Context, resolver Resolver, text string) ([]Target, error) {
	return appendTargets(ctx, resolver, nil, text, "")
}

// SetOf returns the addresses that any of targets names.
func SetOf(targets []Target) Set {
	ranges := make([]Range, len(targets))
	for k, t := range targets {
		ranges[k] = t.Range
	}
	return NewSet(ranges...)
}

func appendTargets(ctx context.Context, resolver Resolver, to []Target, text, where string) ([]Target, error) {
	if a, ok := scanAddr(text); ok { // nearly every line of a long file
		return append(to, Target{Range{a, a}, text, where}), nil
	}
	form := classify(text)
	if form == formName {
		addrs, err := lookup(ctx, resolver, text)
		if err != nil {
			return to, fmt.Errorf("target %s: %w", quote(text), err)
		}
		for _, a := range addrs {
			to = append(to, Target{Range{a, a}, text, where})
		}
		return to, nil
	}
	r, err := parseRange(form, text)
	if err != nil {
		return to, fmt.Errorf("target %s: %w", quote(text), err)
	}
	return append(to, Target{r, text, where}), nil
}

// form is what a text that is no plain address looks like.
type form int

const (
	formEmpty form = iota
	formIPv6
	formPrefix
	formSpan    // two ends and a hyphen
	formNumeric // digits and dots, but no address
	formName
	formOther // nothing that is accepted
)

func classify(text string) form {
	const numeric = "0123456789."
	switch {
	case text == "":
		return formEmpty
	case strings.Count(text, ":") > 1:
		return formIPv6
	case strings.Contains(text, "/"):
		return formPrefix
	case strings.Trim(text, numeric) == "":
		return formNumeric
	case strings.Trim(text, numeric+"-") == "" && strings.Contains(text, "-"):
		return formSpan
	case checkName(text) == nil:
		return formName
	}
	return formOther
}

func parseRange(f form, text string) (Range, error) {
	switch f {
	case formEmpty:
		return Range{}, errors.New("is empty; expected an address, prefix, range or host name")
	case formIPv6:
		return Range{}, errors.New("IPv6 targets are not supported yet")
	case formPrefix:
		return parsePrefix(text)
	case formSpan:
		return parseSpan(text)
	case formNumeric:
		return Range{}, explainAddr(text)
	default:
		return Range{}, checkName(text)
	}
}

func parsePrefix(text string) (Range, error) {
	addr, bits, _ := strings.Cut(text, "/")
	a, ok := scanAddr(addr)
	if !ok {
		return Range{}, fmt.Errorf("before the slash of a prefix: %w", explainAddr(addr))
	}
	length, rest, ok := scanNumber(bits)
	if !ok || rest != "" {
		return Range{}, fmt.Errorf("prefix length %s is not a number from 0 to 32", quote(bits))
	}
	if length > 32 {
		return Range{}, fmt.Errorf("prefix length %s is over 32", quote(bits))
	}
	return prefixRange(a, int(length)), nil
}

func parseSpan(text string) (Range, error) {
	left, right, _ := strings.Cut(text, "-")
	first, ok := scanAddr(left)
	if !ok {
		return Range{}, fmt.Errorf("before the hyphen of a range: %w", explainAddr(left))
	}
	last, ok := scanAddr(right)
	if !ok {
		if right == "" || strings.ContainsAny(right, ".-") {
			return Range{}, fmt.Errorf("behind the hyphen of a range: %w (or one last octet, as in 192.0.2.1-9)", explainAddr(right))
		}
		octet, rest, ok := scanOctet(right)
		if !ok || rest != "" {
			return Range{}, fmt.Errorf("behind the hyphen of a range: %w", explainOctet(right))
		}
		last = first&^0xff | Addr(octet)
	}
	if last < first {
		return Range{}, fmt.Errorf("range ends (%s) before it begins (%s); swap the two", last, first)
	}
	return Range{first, last}, nil
}

// lookup returns the IPv4 addresses of host, ascending and each once: name
// servers rotate their answers, and the targets should not depend on that.
func lookup(ctx context.Context, resolver Resolver, host string) ([]Addr, error) {
	if resolver == nil {
		return nil, errors.New("host names are not accepted here; give an address, prefix or range")
	}
	found, err := resolver.LookupNetIP(ctx, "ip4", host)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("name look-up was stopped: %w", err)
		}
		return nil, fmt.Errorf("unknown host name: %w (check the spelling, or give its address)", err)
	}
	addrs := make([]Addr, 0, len(found))
	for _, n := range found {
		if a, ok := AddrFrom(n); ok {
			addrs = append(addrs, a)
		}
	}
	if len(addrs) == 0 {
		return nil, errors.New("host name has no IPv4 address, and IPv6 targets are not supported yet")
	}
	slices.Sort(addrs)
	return slices.Compact(addrs), nil
}
