// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"net/netip"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"xsweep/sweep/reply"
)

// parquetColumn says how a field, or the sortable form of an address, is stored.
// One of the functions is set: it reads the value, and says whether it is known.
type parquetColumn struct {
	name     string
	typ      parquet.Type
	encoding encoding.Encoding
	// optional columns hold nothing where the value is unknown.
	optional bool

	int32 func(r *reply.Record) (int32, bool)
	int64 func(r *reply.Record) (int64, bool)
	flag  func(r *reply.Record) bool
	// word is one of few texts, which go into a dictionary; empty if unknown.
	word func(r *reply.Record) string
	text func(b []byte, r *reply.Record) ([]byte, bool)
	addr func(r *reply.Record) *netip.Addr
}

// The encodings were chosen by measurement: those that leave little to do for
// the compression behind them, which is what takes the time. Addresses in bytes
// are plain, though delta encoding would save 30 ns each: too few readers know
// it for values of a fixed length.
var (
	deltaInts     = &parquet.DeltaBinaryPacked
	deltaLengths  = &parquet.DeltaLengthByteArray
	dictionary    = &parquet.RLEDictionary
	plainEncoding = &parquet.Plain
)

// addrLen is the length in bytes of the sortable form of an address.
const addrLen = 16

func uint8Column(f Field, value func(*reply.Record) uint8) parquetColumn {
	return parquetColumn{name: f.String(), typ: parquet.Uint(8).Type(), encoding: deltaInts,
		int32: func(r *reply.Record) (int32, bool) { return int32(value(r)), true }}
}

func optionalIntColumn(f Field, bits int, value func(*reply.Record) (int32, bool)) parquetColumn {
	return parquetColumn{name: f.String(), typ: parquet.Uint(bits).Type(), encoding: deltaInts, optional: true, int32: value}
}

func wordColumn(f Field, optional bool, value func(*reply.Record) string) parquetColumn {
	return parquetColumn{name: f.String(), typ: parquet.String().Type(), encoding: dictionary, optional: optional, word: value}
}

func textColumn(f Field) parquetColumn {
	return parquetColumn{name: f.String(), typ: parquet.String().Type(), encoding: deltaLengths, optional: true,
		text: func(b []byte, r *reply.Record) ([]byte, bool) { return fieldTable[f].append(nil, b, r) }}
}

// addrColumns are an address as text, and as bytes that sort: 16 in network
// order, IPv4 as IPv4-mapped IPv6 (RFC 4291, section 2.5.5.2).
func addrColumns(f Field, value func(*reply.Record) *netip.Addr) []parquetColumn {
	return []parquetColumn{
		{name: f.String(), typ: parquet.String().Type(), encoding: deltaLengths,
			text: func(b []byte, r *reply.Record) ([]byte, bool) { return appendDotted(b, value(r)), true }},
		{name: f.String() + "_bytes", typ: parquet.FixedLenByteArrayType(addrLen), encoding: plainEncoding, addr: value},
	}
}

// parquetTable says how each field is stored.
var parquetTable = [numFields][]parquetColumn{
	Time: {{name: Time.String(), typ: parquet.Timestamp(parquet.Nanosecond).Type(), encoding: deltaInts,
		int64: func(r *reply.Record) (int64, bool) { return r.Time.UnixNano(), true }}},
	Addr:   addrColumns(Addr, func(r *reply.Record) *netip.Addr { return &r.Addr }),
	From:   addrColumns(From, func(r *reply.Record) *netip.Addr { return &r.From }),
	Kind:   {wordColumn(Kind, false, func(r *reply.Record) string { return r.Kind.String() })},
	Type:   {uint8Column(Type, func(r *reply.Record) uint8 { return r.Type })},
	Code:   {uint8Column(Code, func(r *reply.Record) uint8 { return r.Code })},
	Reason: {wordColumn(Reason, true, reasonOf)},
	TTL:    {uint8Column(TTL, func(r *reply.Record) uint8 { return r.TTL })},
	Hops:   {uint8Column(Hops, (*reply.Record).Hops)},
	OS:     {wordColumn(OS, true, (*reply.Record).OS)},
	RTT: {{name: RTT.String(), typ: parquet.Int(64).Type(), encoding: deltaInts, optional: true,
		int64: func(r *reply.Record) (int64, bool) { return r.RTT.Nanoseconds(), r.RTT != reply.RTTUnknown }}},
	Size: {{name: Size.String(), typ: parquet.Uint(16).Type(), encoding: deltaInts,
		int32: func(r *reply.Record) (int32, bool) { return int32(r.Size), true }}},
	Attempt: {optionalIntColumn(Attempt, 8, func(r *reply.Record) (int32, bool) { return int32(r.Attempt), r.Attempt != 0 })},
	Duplicate: {{name: Duplicate.String(), typ: parquet.BooleanType, encoding: plainEncoding,
		flag: func(r *reply.Record) bool { return r.Duplicate }}},
	QuotedTTL: {optionalIntColumn(QuotedTTL, 8, func(r *reply.Record) (int32, bool) { return int32(r.QuotedTTL), r.Kind.IsError() })},
	MTU:       {optionalIntColumn(MTU, 16, func(r *reply.Record) (int32, bool) { return int32(r.MTU), r.MTU != 0 })},
	Gateway:   {textColumn(Gateway)},
	Pointer: {optionalIntColumn(Pointer, 8, func(r *reply.Record) (int32, bool) {
		return int32(r.Pointer), r.Kind == reply.ParameterProblem
	})},
	MPLS:      {textColumn(MPLS)},
	Interface: {textColumn(Interface)},
	Mask:      {textColumn(Mask)},
	ClockOffset: {{name: ClockOffset.String(), typ: parquet.Int(64).Type(), encoding: deltaInts, optional: true,
		int64: func(r *reply.Record) (int64, bool) {
			return r.ClockOffset.Milliseconds(), r.Kind == reply.TimestampReply && r.ClockOffset != reply.OffsetUnknown
		}}},
}

func reasonOf(r *reply.Record) string {
	if !r.Kind.IsError() {
		return ""
	}
	return reply.Reason(r.Type, r.Code)
}

// parquetColumns are the columns of the fields, in their order.
func parquetColumns(fields []Field) []*parquetColumn {
	var columns []*parquetColumn
	for _, f := range fields {
		for i := range parquetTable[f] {
			columns = append(columns, &parquetTable[f][i])
		}
	}
	return columns
}

// parquetSchema is how a file describes its columns.
func parquetSchema(columns []*parquetColumn) []format.SchemaElement {
	schema := []format.SchemaElement{{Name: "record", NumChildren: thrift.New(int32(len(columns)))}}
	for _, c := range columns {
		repetition := format.Required
		if c.optional {
			repetition = format.Optional
		}
		element := format.SchemaElement{
			Name:           c.name,
			Type:           thrift.New(*c.typ.PhysicalType()),
			RepetitionType: thrift.New(repetition),
		}
		if c.addr != nil {
			element.TypeLength = thrift.New(int32(addrLen))
		}
		if logical := c.typ.LogicalType(); logical != nil {
			element.LogicalType = *logical
		}
		if converted := c.typ.ConvertedType(); converted != nil {
			element.ConvertedType = thrift.New(*converted)
		}
		schema = append(schema, element)
	}
	return schema
}
