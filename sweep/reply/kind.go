// SPDX-License-Identifier: Apache-2.0

package reply

import "fmt"

// Kind is what a reply says.
type Kind uint8

// The kinds of ICMPv4.
const (
	EchoReply Kind = iota
	TimestampReply
	AddressMaskReply
	Unreachable
	SourceQuench
	Redirect
	TimeExceeded
	ParameterProblem
	numKinds
)

// kindTable says how kinds are named, which ICMP type they are, and whether they
// are errors (RFC 792, RFC 950).
var kindTable = [numKinds]struct {
	name     string
	icmpType uint8
	isError  bool
}{
	EchoReply:        {"echo-reply", 0, false},
	TimestampReply:   {"timestamp-reply", 14, false},
	AddressMaskReply: {"address-mask-reply", 18, false},
	Unreachable:      {"unreachable", 3, true},
	SourceQuench:     {"source-quench", 4, true},
	Redirect:         {"redirect", 5, true},
	TimeExceeded:     {"time-exceeded", 11, true},
	ParameterProblem: {"parameter-problem", 12, true},
}

// KindOf is the kind of an ICMP type; ok is false for a type that no probe
// causes.
func KindOf(icmpType uint8) (kind Kind, ok bool) {
	for k := range kindTable {
		if kindTable[k].icmpType == icmpType {
			return Kind(k), true
		}
	}
	return 0, false
}

// String is the kind as records name it.
func (k Kind) String() string {
	if k < numKinds {
		return kindTable[k].name
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Type is the kind's ICMP type.
func (k Kind) Type() uint8 { return kindTable[k].icmpType }

// IsError says whether the kind is an error message, which comes from whoever
// could not pass the probe on, and quotes it.
func (k Kind) IsError() bool { return kindTable[k].isError }
