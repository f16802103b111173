// SPDX-License-Identifier: Apache-2.0

package reply

import "testing"

// Names are those of DESIGN's column, types those of the IANA registry.
func TestKinds(t *testing.T) {
	known := map[uint8]struct {
		kind    Kind
		name    string
		isError bool
	}{
		0:  {EchoReply, "echo-reply", false},
		3:  {Unreachable, "unreachable", true},
		4:  {SourceQuench, "source-quench", true},
		5:  {Redirect, "redirect", true},
		11: {TimeExceeded, "time-exceeded", true},
		12: {ParameterProblem, "parameter-problem", true},
		14: {TimestampReply, "timestamp-reply", false},
		18: {AddressMaskReply, "address-mask-reply", false},
	}
	if len(known) != int(numKinds) {
		t.Errorf("%d kinds, want %d", numKinds, len(known))
	}
	for icmpType := range 256 {
		kind, ok := KindOf(uint8(icmpType))
		want, known := known[uint8(icmpType)]
		if ok != known {
			t.Errorf("type %d has a kind: %v", icmpType, ok)
		}
		if !known {
			continue
		}
		if kind != want.kind || kind.Type() != uint8(icmpType) || kind.String() != want.name || kind.IsError() != want.isError {
			t.Errorf("type %d is %v of type %d, error: %v; want %v", icmpType, kind, kind.Type(), kind.IsError(), want)
		}
	}
	if got := Kind(200).String(); got != "kind 200" {
		t.Errorf("an unknown kind is %q", got)
	}
}
