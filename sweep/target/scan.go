// SPDX-License-Identifier: Apache-2.0

package target

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxQuoted bounds how much of a bad text an error shows, in bytes.
const maxQuoted = 60

// quote returns text for an error message: quoted, on one line, not too long.
func quote(text string) string {
	if len(text) > maxQuoted {
		return strconv.Quote(text[:maxQuoted]) + "..."
	}
	return strconv.Quote(text)
}

// scanAddr reads an address that makes up all of text. It only says whether it
// could, to stay fast; explainAddr finds out why not.
func scanAddr(text string) (Addr, bool) {
	var a, octet, digits uint32
	dots := 0
	if len(text) < len("0.0.0.0") || len(text) > len("255.255.255.255") {
		return 0, false
	}
	for k := range len(text) {
		c := text[k]
		if c == '.' {
			dots++
			if digits == 0 {
				return 0, false
			}
			a, octet, digits = a<<8|octet, 0, 0
			continue
		}
		d := uint32(c) - '0'
		if d > 9 || digits > 0 && octet == 0 { // no digit, or one behind a leading zero
			return 0, false
		}
		octet = octet*10 + d
		digits++
		if octet > 255 {
			return 0, false
		}
	}
	return Addr(a<<8 | octet), dots == 3 && digits > 0
}

// scanNumber reads the decimal digits that text begins with and returns the
// rest. It fails if there are none; large numbers stick at some value over 255.
func scanNumber(text string) (n uint32, rest string, ok bool) {
	k := 0
	for k < len(text) && '0' <= text[k] && text[k] <= '9' {
		n = min(n*10+uint32(text[k]-'0'), 9999)
		k++
	}
	return n, text[k:], k > 0
}

// scanOctet reads an octet without leading zeros.
func scanOctet(text string) (n uint32, rest string, ok bool) {
	n, rest, ok = scanNumber(text)
	digits := len(text) - len(rest)
	return n, rest, ok && n <= 255 && (digits == 1 || text[0] != '0')
}

var errBareNumber = errors.New("is a bare number; write addresses as four octets, as in 192.0.2.1")

// explainAddr says what is wrong with text, which scanAddr refused.
func explainAddr(text string) error {
	const expected = "expected four octets, as in 192.0.2.1"
	switch {
	case text == "":
		return errors.New("there is no address; " + expected)
	case strings.Count(text, ":") > 1:
		return errors.New("IPv6 targets are not supported yet")
	}
	octets := strings.Split(text, ".")
	if _, rest, digits := scanNumber(text); digits && rest == "" {
		return errBareNumber
	}
	for _, o := range octets {
		if err := explainOctet(o); err != nil {
			return fmt.Errorf("%w; %s", err, expected)
		}
	}
	return fmt.Errorf("has %d octets; %s", len(octets), expected)
}

// explainOctet says what is wrong with text as an octet; nil if nothing is.
func explainOctet(text string) error {
	n, rest, digits := scanNumber(text)
	switch {
	case text == "":
		return errors.New("an octet is missing")
	case !digits || rest != "":
		return fmt.Errorf("octet %s is not a number", quote(text))
	case n > 255:
		return fmt.Errorf("octet %s is over 255", quote(text))
	case len(text) > 1 && text[0] == '0':
		return fmt.Errorf("octet %s has a leading zero, which some programs take for octal", quote(text))
	}
	return nil
}

// checkName says why text cannot be a host name, or returns nil. The rules are
// those of RFC 1123 section 2.1 and the lengths of RFC 1035 section 2.3.4; the
// underscore is let through, since names with it exist.
//
// No top-level domain begins with a digit (RFC 3696 section 2) or has only one
// character. A dotted name that ends in such a label is taken for a malformed
// address, so that a typing mistake is never sent to a name server. So is a
// hexadecimal number.
func checkName(text string) error {
	const accepted = "expected an address, prefix, range or host name"
	name := strings.TrimSuffix(text, ".")
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		case c == ',' || c == ';':
			return fmt.Errorf("character %q is in no target; separate targets with spaces", c)
		case c == ':':
			return errors.New("ICMP has no ports, and IPv6 targets are not supported yet; " + accepted)
		case c > 0x7f && c != '\ufffd':
			return fmt.Errorf("character %q is in no host name; write international names in their xn-- form", c)
		default:
			return fmt.Errorf("character %q is in no target; %s", c, accepted)
		}
	}
	if len(name) > 253 {
		return errors.New("is longer than the 253 bytes of a host name; " + accepted)
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		switch {
		case l == "":
			return errors.New("host name has an empty label; " + accepted)
		case len(l) > 63:
			return errors.New("host name has a label longer than 63 bytes; " + accepted)
		case l[0] == '-' || l[len(l)-1] == '-':
			return errors.New("a label of a host name cannot begin or end with a hyphen; " + accepted)
		}
	}
	last := labels[len(labels)-1]
	digitFirst := '0' <= last[0] && last[0] <= '9'
	switch {
	case len(labels) > 1 && (digitFirst || len(last) == 1):
		return fmt.Errorf("is neither an address or range nor a host name (there can be no top-level domain %s)", quote(last))
	case digitFirst && isNumber(last):
		return errBareNumber
	}
	return nil
}

// isNumber reports whether text is a number as C writes it, such as 0x7f000001.
func isNumber(text string) bool {
	_, err := strconv.ParseUint(text, 0, 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}
