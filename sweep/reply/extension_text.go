// SPDX-License-Identifier: Apache-2.0

package reply

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

var roleNames = [numRoles]string{
	Incoming:    "incoming",
	SubIncoming: "sub-incoming",
	Outgoing:    "outgoing",
	NextHop:     "next-hop",
}

// String is the role as records name it.
func (r Role) String() string {
	if r < numRoles {
		return roleNames[r]
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// AppendTo appends label/class/bottom/TTL: 16004/0/1/254.
func (l Label) AppendTo(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(l.Label), 10)
	b = append(b, '/')
	b = strconv.AppendUint(b, uint64(l.Class), 10)
	if l.Bottom {
		b = append(b, "/1/"...)
	} else {
		b = append(b, "/0/"...)
	}
	return strconv.AppendUint(b, uint64(l.TTL), 10)
}

// String is the form of [Label.AppendTo].
func (l Label) String() string { return string(l.AppendTo(nil)) }

// AppendMPLS appends the label stack, top first, with blanks between: 16004/0/0/254
// 24001/0/1/254. Nothing where there is none.
func (e *Extensions) AppendMPLS(b []byte) []byte {
	if e == nil {
		return b
	}
	for i, label := range e.MPLS {
		if i > 0 {
			b = append(b, ' ')
		}
		b = label.AppendTo(b)
	}
	return b
}

// AppendTo appends what was told of the interface: role=incoming index=5
// addr=192.0.2.1 name=xe-0/0/1 mtu=1500. A name that could be taken for
// something else, or that a terminal might obey, is quoted as in Go.
func (n Interface) AppendTo(b []byte) []byte {
	b = append(b, "role="...)
	b = append(b, n.Role.String()...)
	if n.Index != 0 {
		b = append(b, " index="...)
		b = strconv.AppendUint(b, uint64(n.Index), 10)
	}
	if n.Addr.IsValid() {
		b = append(b, " addr="...)
		b = n.Addr.AppendTo(b)
	}
	if n.Name != "" {
		b = append(b, " name="...)
		if plain(n.Name) {
			b = append(b, n.Name...)
		} else {
			b = strconv.AppendQuote(b, n.Name)
		}
	}
	if n.MTU != 0 {
		b = append(b, " mtu="...)
		b = strconv.AppendUint(b, uint64(n.MTU), 10)
	}
	return b
}

// String is the form of [Interface.AppendTo].
func (n Interface) String() string { return string(n.AppendTo(nil)) }

// AppendInterfaces appends all interfaces with "; " between. Nothing where there
// is none.
func (e *Extensions) AppendInterfaces(b []byte) []byte {
	if e == nil {
		return b
	}
	for i := range e.Interfaces {
		if i > 0 {
			b = append(b, "; "...)
		}
		b = e.Interfaces[i].AppendTo(b)
	}
	return b
}

// plain says whether a name can stand as it is: it prints, and holds neither
// blank nor quote nor what separates interfaces.
func plain(name string) bool {
	if !utf8.ValidString(name) {
		return false
	}
	for _, r := range name {
		if r == ' ' || r == ';' || r == '"' || !strconv.IsPrint(r) {
			return false
		}
	}
	return true
}
