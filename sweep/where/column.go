// SPDX-License-Identifier: Apache-2.0

package where

import (
	"net/netip"

	"xsweep/sweep/reply"
	"xsweep/sweep/target"
)

// columns are the record's, in the order and with the names of package sink, and
// unknown where that writes nothing.
var columns = []value{
	{column: "time", typ: timeType, n: func(st *state) (int64, bool) { return st.r.Time.UnixNano(), true }},
	{column: "addr", typ: addrType, a: func(st *state) (target.Addr, bool) { return target.AddrFrom(st.r.Addr) }},
	{column: "from", typ: addrType, a: func(st *state) (target.Addr, bool) { return target.AddrFrom(st.r.From) }},
	{column: "kind", typ: stringType, s: func(st *state) (string, bool) { return st.r.Kind.String(), true }},
	{column: "type", typ: intType, n: func(st *state) (int64, bool) { return int64(st.r.Type), true }},
	{column: "code", typ: intType, n: func(st *state) (int64, bool) { return int64(st.r.Code), true }},
	{column: "reason", typ: stringType, nullable: true, s: func(st *state) (string, bool) {
		reason := reply.Reason(st.r.Type, st.r.Code)
		return reason, reason != ""
	}},
	{column: "ttl", typ: intType, n: func(st *state) (int64, bool) { return int64(st.r.TTL), true }},
	{column: "hops", typ: intType, n: func(st *state) (int64, bool) { return int64(st.r.Hops()), true }},
	{column: "os", typ: stringType, nullable: true, s: func(st *state) (string, bool) {
		os := st.r.OS()
		return os, os != ""
	}},
	{column: "rtt", typ: durationType, nullable: true, n: func(st *state) (int64, bool) {
		if st.r.RTT == reply.RTTUnknown {
			return 0, false
		}
		return int64(st.r.RTT), true
	}},
	{column: "size", typ: intType, n: func(st *state) (int64, bool) { return int64(st.r.Size), true }},
	{column: "attempt", typ: intType, nullable: true, n: func(st *state) (int64, bool) {
		return int64(st.r.Attempt), st.r.Attempt != 0
	}},
	{column: "duplicate", typ: boolType, b: func(st *state) bool { return st.r.Duplicate }},
	{column: "quoted_ttl", typ: intType, nullable: true, n: func(st *state) (int64, bool) {
		return int64(st.r.QuotedTTL), st.r.Kind.IsError()
	}},
	{column: "mtu", typ: intType, nullable: true, n: func(st *state) (int64, bool) { return int64(st.r.MTU), st.r.MTU != 0 }},
	{column: "gateway", typ: addrType, nullable: true, a: func(st *state) (target.Addr, bool) { return known(st.r.Gateway) }},
	{column: "pointer", typ: intType, nullable: true, n: func(st *state) (int64, bool) {
		return int64(st.r.Pointer), st.r.Kind == reply.ParameterProblem
	}},
	{column: "mpls", typ: stringType, nullable: true, s: func(st *state) (string, bool) {
		if x := st.r.Extensions; x != nil && len(x.MPLS) > 0 {
			return string(x.AppendMPLS(nil)), true
		}
		return "", false
	}},
	{column: "interface", typ: stringType, nullable: true, s: func(st *state) (string, bool) {
		if x := st.r.Extensions; x != nil && len(x.Interfaces) > 0 {
			return string(x.AppendInterfaces(nil)), true
		}
		return "", false
	}},
	{column: "mask", typ: addrType, nullable: true, a: func(st *state) (target.Addr, bool) { return known(st.r.Mask) }},
	{column: "clock_offset", typ: durationType, nullable: true, n: func(st *state) (int64, bool) {
		if st.r.Kind != reply.TimestampReply || st.r.ClockOffset == reply.OffsetUnknown {
			return 0, false
		}
		return int64(st.r.ClockOffset), true
	}},
}

// known is an address that only some records have; most do not, and are asked
// no more.
func known(a netip.Addr) (target.Addr, bool) {
	if !a.IsValid() {
		return 0, false
	}
	return target.AddrFrom(a)
}

var columnNames = func() (names []string) {
	for _, c := range columns {
		names = append(names, c.column)
	}
	return names
}()

func columnOf(name string) (value, bool) {
	for _, c := range columns {
		if c.column == name {
			return c, true
		}
	}
	return value{}, false
}
