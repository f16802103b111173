// SPDX-License-Identifier: Apache-2.0

package reply

import "strconv"

// reasons are the assigned codes of the error messages in words, by kind: those
// of the RFCs that assign them (RFC 792; RFC 1122, section 3.2.2.1; RFC 1812,
// section 5.2.7.1; RFC 1191 for what "fragmentation needed" carries).
var reasons = [numKinds][]string{
	Unreachable: {
		0:  "network unreachable",
		1:  "host unreachable",
		2:  "protocol unreachable",
		3:  "port unreachable",
		4:  "fragmentation needed",
		5:  "source route failed",
		6:  "destination network unknown",
		7:  "destination host unknown",
		8:  "source host isolated",
		9:  "communication with destination network administratively prohibited",
		10: "communication with destination host administratively prohibited",
		11: "network unreachable for type of service",
		12: "host unreachable for type of service",
		13: "communication administratively prohibited",
		14: "host precedence violation",
		15: "precedence cutoff in effect",
	},
	SourceQuench: {"source quench"},
	Redirect: {
		0: "redirect datagrams for the network",
		1: "redirect datagrams for the host",
		2: "redirect datagrams for the type of service and network",
		3: "redirect datagrams for the type of service and host",
	},
	TimeExceeded: {
		0: "time to live exceeded in transit",
		1: "fragment reassembly time exceeded",
	},
	ParameterProblem: {
		0: "pointer indicates the error",
		1: "missing a required option",
		2: "bad length",
	},
}

// unassigned names every code, so that a flood of odd ones allocates nothing
// either.
var unassigned = func() (names [256]string) {
	for code := range names {
		names[code] = "code " + strconv.Itoa(code)
	}
	return names
}()

// Reason is the code of an error message in words, as the RFC names it, or
// "code N" for one that none assigns. It is empty for what is no error.
func Reason(icmpType, code uint8) string {
	kind, ok := KindOf(icmpType)
	if !ok || !kind.IsError() {
		return ""
	}
	if names := reasons[kind]; int(code) < len(names) {
		return names[code]
	}
	return unassigned[code]
}
