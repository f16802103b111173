// SPDX-License-Identifier: Apache-2.0

package reply

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestExtensionText(t *testing.T) {
	for _, tc := range examples {
		t.Run(tc.name, func(t *testing.T) {
			// Both are appended, so what is there stays.
			if got := string(tc.want.AppendMPLS([]byte(">"))); got != ">"+tc.mpls {
				t.Errorf("labels %q, want %q", got, tc.mpls)
			}
			if got := string(tc.want.AppendInterfaces([]byte(">"))); got != ">"+tc.interfaces {
				t.Errorf("interfaces %q, want %q", got, tc.interfaces)
			}
			checkText(t, &tc.want)
		})
	}
	var none *Extensions
	if got := none.AppendInterfaces(none.AppendMPLS(nil)); got != nil {
		t.Errorf("no extensions are %q", got)
	}
	if got := (Label{16004, 3, true, 254}).String(); got != "16004/3/1/254" {
		t.Errorf("label %q", got)
	}
	if got := (Interface{Role: Outgoing, MTU: 68}).String(); got != "role=outgoing mtu=68" {
		t.Errorf("interface %q", got)
	}
	if got := Role(4).String(); got != "role 4" {
		t.Errorf("an unknown role is %q", got)
	}
}

// Names stand bare if nobody can misread them, and quoted if anybody could.
func TestInterfaceNames(t *testing.T) {
	for name, want := range map[string]string{
		"eth0":                   "eth0",
		"GigabitEthernet0/0/1.5": "GigabitEthernet0/0/1.5",
		"a,b=c'd\\e":             "a,b=c'd\\e",
		"größe":                  "größe",
		"日本":                     "日本",
		"two words":              `"two words"`,
		"a;b":                    `"a;b"`,
		`a"b`:                    `"a\"b"`,
		"tab\t":                  `"tab\t"`,
		"line\nbreak":            `"line\nbreak"`,
		"\r":                     `"\r"`,
		"zero\x00byte":           `"zero\x00byte"`,
		"\x1b[31mred":            `"\x1b[31mred"`,
		"\x7f":                   `"\x7f"`,
		"csi\u009b31m":           `"csi\u009b31m"`,
		"cut\xc3":                `"cut\xc3"`,
		"\xff\xfe":               `"\xff\xfe"`,
		"left\u202eright":        `"left\u202eright"`,
		"no\u00a0break":          `"no\u00a0break"`,
		"line\u2028":             `"line\u2028"`,
	} {
		if got := (Interface{Name: name}).String(); got != "role=incoming name="+want {
			t.Errorf("name %q: %s, want %s", name, got, want)
		}
	}
}

// checkText insists that the text prints, whatever was in it, and says all
// again that went in.
func checkText(t testing.TB, e *Extensions) {
	t.Helper()
	labels, interfaces := string(e.AppendMPLS(nil)), string(e.AppendInterfaces(nil))
	for _, text := range []string{labels, interfaces} {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("text %q does not print", text)
		}
	}
	again, err := readText(labels, interfaces)
	if err != nil {
		t.Fatalf("labels %q, interfaces %q: %v", labels, interfaces, err)
	}
	if diff := cmp.Diff(e, again, equalRecords, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("labels %q, interfaces %q (-in +out):\n%s", labels, interfaces, diff)
	}
}

// readText reads both columns as another program could.
func readText(labels, interfaces string) (*Extensions, error) {
	e := new(Extensions)
	for _, text := range strings.Fields(labels) {
		var l Label
		var bottom int
		if n, err := fmt.Sscanf(text, "%d/%d/%d/%d", &l.Label, &l.Class, &bottom, &l.TTL); n != 4 {
			return nil, err
		}
		l.Bottom = bottom == 1
		e.MPLS = append(e.MPLS, l)
	}
	for rest := interfaces; rest != ""; {
		var n Interface
		for more := true; more; {
			key, after, found := strings.Cut(rest, "=")
			if !found {
				return nil, fmt.Errorf("no key in %q", rest)
			}
			value := after
			if quoted, err := strconv.QuotedPrefix(after); err == nil && after[0] == '"' {
				value, rest = quoted, after[len(quoted):]
			} else {
				end := strings.IndexAny(after+" ", " ;")
				value, rest = after[:end], after[end:]
			}
			if err := n.set(key, value); err != nil {
				return nil, err
			}
			if more = strings.HasPrefix(rest, " "); more {
				rest = rest[1:]
			}
		}
		e.Interfaces = append(e.Interfaces, n)
		if rest != "" && !strings.HasPrefix(rest, "; ") {
			return nil, fmt.Errorf("%q behind an interface", rest)
		}
		rest = strings.TrimPrefix(rest, "; ")
	}
	return e, nil
}

func (n *Interface) set(key, value string) (err error) {
	number := func(to *uint32) error {
		v, err := strconv.ParseUint(value, 10, 32)
		*to = uint32(v)
		return err
	}
	switch key {
	case "role":
		for n.Role = 0; n.Role.String() != value; n.Role++ {
			if n.Role > 3 {
				return fmt.Errorf("role %q", value)
			}
		}
	case "index":
		err = number(&n.Index)
	case "addr":
		n.Addr, err = netip.ParseAddr(value)
	case "name":
		n.Name = value
		if value[0] == '"' {
			n.Name, err = strconv.Unquote(value)
		}
	case "mtu":
		err = number(&n.MTU)
	default:
		err = fmt.Errorf("key %q", key)
	}
	return err
}
