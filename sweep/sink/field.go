// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"xsweep/sweep/reply"
)

// Field is a column of a record.
type Field uint8

// The fields, in the order in which they are written by default.
const (
	Time        Field = iota // when it arrived: RFC 3339 with nanoseconds, UTC
	Addr                     // the target that the probe was for
	From                     // who sent the reply
	Kind                     // echo-reply, unreachable, ...
	Type                     // ICMP type as on the wire
	Code                     // ICMP code as on the wire
	Reason                   // the code of an error in words
	TTL                      // hop limit of the reply as it arrived
	Hops                     // estimated hops back
	OS                       // family that the initial TTL suggests
	RTT                      // nanoseconds
	Size                     // bytes of ICMP message
	Attempt                  // which probe this answers, from 1
	Duplicate                // true from the second reply on
	QuotedTTL                // hop limit that an error quotes
	MTU                      // of the next hop, where fragmentation was needed
	Gateway                  // that a redirect names
	Pointer                  // octet that a parameter problem points at
	MPLS                     // labels as label/class/bottom/TTL, top first
	Interface                // key=value lists of the router's interfaces
	Mask                     // that an address mask reply tells
	ClockOffset              // milliseconds that the remote clock is ahead
	numFields
)

// fieldTable says how each field is named and written. append adds the value
// and reports false where it is unknown; what it added then counts for nothing.
var fieldTable = [numFields]struct {
	name   string
	quoted bool // in JSON
	append func(e *encoder, b []byte, r *reply.Record) ([]byte, bool)
}{
	Time: {"time", true, func(e *encoder, b []byte, r *reply.Record) ([]byte, bool) { return e.clock.append(b, r.Time), true }},
	Addr: {"addr", true, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) { return appendAddr(b, r.Addr), true }},
	From: {"from", true, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) { return appendAddr(b, r.From), true }},
	Kind: {"kind", true, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) { return append(b, r.Kind.String()...), true }},
	Type: {"type", false, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) { return appendOctet(b, r.Type), true }},
	Code: {"code", false, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) { return appendOctet(b, r.Code), true }},
	Reason: {"reason", true, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) {
		reason := reply.Reason(r.Type, r.Code)
		return append(b, reason...), reason != ""
	}},
	TTL:  {"ttl", false, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) { return appendOctet(b, r.TTL), true }},
	Hops: {"hops", false, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) { return appendOctet(b, r.Hops()), true }},
	OS:   {"os", true, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) { return append(b, r.OS()...), r.OS() != "" }},
	RTT: {"rtt", false, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) {
		if r.RTT == reply.RTTUnknown {
			return b, false
		}
		return strconv.AppendInt(b, int64(r.RTT/time.Nanosecond), 10), true
	}},
	Size: {"size", false, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) { return appendUint(b, uint64(r.Size)), true }},
	Attempt: {"attempt", false, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) {
		if r.Attempt == 0 {
			return b, false
		}
		return appendOctet(b, r.Attempt), true
	}},
	Duplicate: {"duplicate", false, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) {
		return strconv.AppendBool(b, r.Duplicate), true
	}},
	QuotedTTL: {"quoted_ttl", false, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) {
		return appendUintIf(r.Kind.IsError(), b, uint64(r.QuotedTTL))
	}},
	MTU: {"mtu", false, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) {
		return appendUintIf(r.MTU != 0, b, uint64(r.MTU))
	}},
	Gateway: {"gateway", true, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) {
		return appendAddr(b, r.Gateway), r.Gateway.IsValid()
	}},
	Pointer: {"pointer", false, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) {
		return appendUintIf(r.Kind == reply.ParameterProblem, b, uint64(r.Pointer))
	}},
	MPLS: {"mpls", true, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) {
		return r.Extensions.AppendMPLS(b), r.Extensions != nil && len(r.Extensions.MPLS) > 0
	}},
	Interface: {"interface", true, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) {
		return r.Extensions.AppendInterfaces(b), r.Extensions != nil && len(r.Extensions.Interfaces) > 0
	}},
	Mask: {"mask", true, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) {
		return appendAddr(b, r.Mask), r.Mask.IsValid()
	}},
	ClockOffset: {"clock_offset", false, func(_ *encoder, b []byte, r *reply.Record) ([]byte, bool) {
		if r.Kind != reply.TimestampReply || r.ClockOffset == reply.OffsetUnknown {
			return b, false
		}
		return strconv.AppendInt(b, r.ClockOffset.Milliseconds(), 10), true
	}},
}

// String is the field's name: CSV header and JSON key.
func (f Field) String() string { return fieldTable[f].name }

// free says whether the field's text is for others to choose, so that it can
// hold separators, quotes and whatever else: routers name their interfaces.
func (f Field) free() bool { return f == Interface }

// AllFields are all columns in their order.
func AllFields() []Field {
	fields := make([]Field, numFields)
	for i := range fields {
		fields[i] = Field(i)
	}
	return fields
}

// FieldNames are the names of all columns in their order.
func FieldNames() []string {
	names := make([]string, numFields)
	for i := range names {
		names[i] = Field(i).String()
	}
	return names
}

// ParseFields reads a comma-separated list of field names.
func ParseFields(text string) ([]Field, error) {
	var fields []Field
	for name := range strings.SplitSeq(text, ",") {
		field, err := parseField(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		for _, f := range fields {
			if f == field {
				return nil, fmt.Errorf("field %q is named twice", name)
			}
		}
		fields = append(fields, field)
	}
	return fields, nil
}

func parseField(name string) (Field, error) {
	for f := range numFields {
		if f.String() == name {
			return f, nil
		}
	}
	return 0, fmt.Errorf("field %q: %smust be one of %s", name, didYouMean(name, FieldNames()), strings.Join(FieldNames(), ", "))
}
