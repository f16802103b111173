// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/google/go-cmp/cmp"

	"xsweep/internal/testrand"
	"xsweep/sweep/reply"
)

// parquetOf writes records, in batches of a size, as a stream.
func parquetOf(t testing.TB, c Config, groupRows, batch int, records []reply.Record) []byte {
	t.Helper()
	var b bytes.Buffer
	c.Format = Parquet
	p := newParquetStream(&b, c).(*parquetSink)
	if groupRows > 0 {
		p.shape.groupRows = groupRows
	}
	for i := 0; i < len(records); i += batch {
		if err := p.Write(records[i:min(i+batch, len(records))]); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	want := Counts{Path: c.Path, Format: "parquet", Written: uint64(len(records))}
	if diff := cmp.Diff(want, p.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	return b.Bytes()
}

// varied are records of all kinds, with all that can be known or not, and the
// extremes.
func varied() []reply.Record {
	least, most, six := full, full, full
	least.Time, least.RTT, least.TTL, least.Size, least.Attempt = time.Unix(0, math.MinInt64).UTC(), 0, 0, 0, 0
	least.Addr, least.From = netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("::")
	most.Time, most.RTT, most.TTL, most.Size, most.Attempt = time.Unix(0, math.MaxInt64).UTC(), math.MaxInt64, 255, math.MaxUint16, 255
	most.Addr, most.From = netip.MustParseAddr("255.255.255.255"), netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	six.Addr, six.From = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::ffff:192.0.2.1")
	fast := answer(reply.TimestampReply, 0, func(r *reply.Record) { r.ClockOffset = 43_200_000 * time.Millisecond })
	wide := answer(reply.Unreachable, 4, func(r *reply.Record) { r.QuotedTTL, r.MTU = 255, math.MaxUint16 })
	far := answer(reply.ParameterProblem, 0, func(r *reply.Record) { r.Pointer = 255 })
	return append([]reply.Record{full, bare, extended, bareExtended, least, most, six, fast, wide, far}, others...)
}

// shuffled draws n records.
func shuffled(t testing.TB, from []reply.Record, n int) []reply.Record {
	r := testrand.New(t)
	records := make([]reply.Record, n)
	for i := range records {
		records[i] = from[r.IntN(len(from))]
	}
	return records
}

// All that JSON Lines says of records is read back, whatever the batches, the
// row groups and the pages are that they went through.
func TestParquetValues(t *testing.T) {
	uniform := make([]reply.Record, 300)
	for i := range uniform {
		uniform[i] = full
	}
	known := append(append([]reply.Record{}, uniform...), varied()...)
	for _, tc := range []struct {
		name             string
		records          []reply.Record
		groupRows, batch int
	}{
		{"none", nil, 0, 1},
		{"each", varied(), 0, 1},
		{"groups that end within batches", shuffled(t, varied(), 1000), 77, 50},
		{"groups of one", varied(), 1, 7},
		{"all alike", uniform, 100, 300},
		{"values only at the end", known, 0, 1000},
		{"several groups of several pages", shuffled(t, varied(), parquetPageRows+5010), parquetPageRows + 5000, 4096},
	} {
		t.Run(tc.name, func(t *testing.T) {
			content := parquetOf(t, Config{}, tc.groupRows, tc.batch, tc.records)
			got := readTable(t, content)
			if n := readOwn(t, content); n != len(tc.records) || got.rows != n {
				t.Fatalf("%d and %d rows read, want %d", got.rows, n, len(tc.records))
			}
			size := parquetGroupRows
			if tc.groupRows > 0 {
				size = tc.groupRows
			}
			if want := (len(tc.records) + size - 1) / size; got.groups != want {
				t.Errorf("%d row groups, want %d", got.groups, want)
			}
			compareColumns(t, wantTable(t, tc.records), got.columns)
		})
	}
}

func compareColumns(t *testing.T, want, got map[string][]any) {
	t.Helper()
	for name := range want {
		if len(got[name]) != len(want[name]) {
			t.Fatalf("column %s: %d values, want %d", name, len(got[name]), len(want[name]))
		}
		for i, w := range want[name] {
			if got[name][i] != w {
				t.Fatalf("column %s, row %d: %v, want %v", name, i, got[name][i], w)
			}
		}
	}
}

// The columns with their types, as another implementation names them.
func TestParquetSchema(t *testing.T) {
	const text = "BYTE_ARRAY String"
	const u8, u16, i64 = "INT32 Int(bitWidth=8, isSigned=false)", "INT32 Int(bitWidth=16, isSigned=false)", "INT64 Int(bitWidth=64, isSigned=true)"
	want := [][3]string{
		{"time", "required", "INT64 Timestamp(isAdjustedToUTC=true, timeUnit=nanoseconds, is_from_converted_type=false, force_set_converted_type=false)"},
		{"addr", "required", text}, {"addr_bytes", "required", "FIXED_LEN_BYTE_ARRAY(16) None"},
		{"from", "required", text}, {"from_bytes", "required", "FIXED_LEN_BYTE_ARRAY(16) None"},
		{"kind", "required", text}, {"type", "required", u8}, {"code", "required", u8}, {"reason", "optional", text},
		{"ttl", "required", u8}, {"hops", "required", u8}, {"os", "optional", text}, {"rtt", "optional", i64},
		{"size", "required", u16}, {"attempt", "optional", u8}, {"duplicate", "required", "BOOLEAN None"},
		{"quoted_ttl", "optional", u8}, {"mtu", "optional", u16}, {"gateway", "optional", text}, {"pointer", "optional", u8},
		{"mpls", "optional", text}, {"interface", "optional", text}, {"mask", "optional", text}, {"clock_offset", "optional", i64},
	}
	if diff := cmp.Diff(want, schemaOf(t, parquetOf(t, Config{}, 0, 10, varied()))); diff != "" {
		t.Errorf("all columns (-want +got):\n%s", diff)
	}
	chosen := [][3]string{want[12], want[1], want[2], want[23]}
	got := schemaOf(t, parquetOf(t, Config{Fields: []Field{RTT, Addr, ClockOffset}}, 0, 10, varied()))
	if diff := cmp.Diff(chosen, got); diff != "" {
		t.Errorf("chosen columns (-want +got):\n%s", diff)
	}
}

func schemaOf(t *testing.T, content []byte) (columns [][3]string) {
	t.Helper()
	reader, err := file.NewParquetReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, c := range reader.MetaData().Schema.Columns() {
		physical := c.PhysicalType().String()
		if c.TypeLength() > 0 {
			physical += fmt.Sprintf("(%d)", c.TypeLength())
		}
		columns = append(columns, [3]string{c.Name(), c.SchemaNode().RepetitionType().String(), physical + " " + c.LogicalType().String()})
	}
	return columns
}

// Statistics are what readers leave row groups out by: a wrong one hides
// records.
func TestParquetStatistics(t *testing.T) {
	records := shuffled(t, varied(), 500)
	content := parquetOf(t, Config{}, 40, 500, records)
	reader, err := file.NewParquetReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	want := wantTable(t, records)
	for g := range reader.NumRowGroups() {
		group := reader.MetaData().RowGroup(g)
		for i := range group.NumColumns() {
			chunk, err := group.ColumnChunk(i)
			if err != nil {
				t.Fatal(err)
			}
			name := chunk.PathInSchema().String()
			values := want[name][g*40 : min(g*40+40, len(records))]
			var nulls int64
			var low, high any
			for _, v := range values {
				if v == nil {
					nulls++
					continue
				}
				if low == nil || less(v, low) {
					low = v
				}
				if high == nil || less(high, v) {
					high = v
				}
			}
			stats, err := chunk.Statistics()
			if err != nil || stats == nil {
				t.Fatalf("group %d, column %s: statistics %v, error %v", g, name, stats, err)
			}
			if stats.NullCount() != nulls {
				t.Errorf("group %d, column %s: %d nulls, want %d", g, name, stats.NullCount(), nulls)
			}
			if !stats.HasMinMax() {
				continue
			}
			gotLow, gotHigh := decodeBound(name, stats.EncodeMin()), decodeBound(name, stats.EncodeMax())
			if gotLow != low || gotHigh != high {
				t.Errorf("group %d, column %s: from %q to %q, want %q to %q", g, name, gotLow, gotHigh, low, high)
			}
		}
	}
}

func TestParquetMetadata(t *testing.T) {
	want := map[string]string{"seed": "42", "version": "1.2", "config": `{"rate": 5}`, "empty": ""}
	got := readTable(t, parquetOf(t, Config{Metadata: want}, 0, 1, nil)).metadata
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

// Addresses by hand are those of the library.
func TestAppendAddr(t *testing.T) {
	check := func(addr netip.Addr) {
		b := appendDotted([]byte("x"), &addr)
		if want := "x" + string(addr.AppendTo(nil)); string(b) != want {
			t.Fatalf("%v: %s, want %s", addr, b, want)
		}
	}
	r := testrand.New(t)
	for i := range 256 {
		check(netip.AddrFrom4([4]byte{byte(i), 255, 0, byte(i)}))
	}
	for range 1000 {
		check(netip.AddrFrom4([4]byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}))
	}
	for _, text := range []string{"::", "::ffff:1.2.3.4", "2001:db8::1", "fe80::1%eth0"} {
		check(netip.MustParseAddr(text))
	}
	check(netip.Addr{})
	if b := appendAddrBytes(nil, new(netip.Addr)); !bytes.Equal(b, make([]byte, 16)) {
		t.Errorf("no address: %x", b)
	}
}

// In steady state a row group costs some allocations, for its description and
// its pages' headers, and a record none.
func TestParquetAllocatesPerRowGroup(t *testing.T) {
	// A description of 24 columns with two bounds each, and what the library's
	// pools lose: some to the garbage collector, a quarter to the race detector.
	const rows, perGroup = 10_000, 500
	records := echoReplies(testrand.New(t), rows)
	p := newParquetStream(io.Discard, Config{Format: Parquet}).(*parquetSink)
	p.shape.groupRows = rows
	if n := testing.AllocsPerRun(3, func() {
		if err := p.Write(records); err != nil {
			t.Fatal(err)
		}
	}); n > perGroup {
		t.Errorf("%v allocations for %d records", n, len(records))
	}
	batch := records[:100]
	if n := testing.AllocsPerRun(20, func() {
		if err := p.Write(batch); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for %d records within a row group", n, len(batch))
	}
}

func TestParquetLimit(t *testing.T) {
	for _, limit := range []uint64{1, 5, 10, 11, 25} {
		var b bytes.Buffer
		p := newParquetStream(&b, Config{Format: Parquet, Limit: limit}).(*parquetSink)
		p.shape.groupRows = 5
		for range 2 {
			if err := p.Write(numbered(10)); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		written := min(limit, 20)
		if diff := cmp.Diff(Counts{Format: "parquet", Written: written, BeyondLimit: 20 - written}, p.Counts()); diff != "" {
			t.Errorf("limit %d: counts (-want +got):\n%s", limit, diff)
		}
		if got := readTable(t, b.Bytes()).rows; got != int(written) {
			t.Errorf("limit %d: %d rows", limit, got)
		}
	}
}
