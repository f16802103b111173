// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"xsweep/sweep/reply"
)

// full has a value for every field that a reply can have one for, bare as few
// as it can.
var (
	full = reply.Record{
		Time: time.Date(2026, 2, 3, 4, 5, 6, 70, time.UTC),
		Addr: netip.MustParseAddr("198.18.0.5"), From: netip.MustParseAddr("198.18.0.6"),
		Kind: reply.EchoReply, TTL: 57, Attempt: 2, Duplicate: true, Size: 28, RTT: 1234567,
		ClockOffset: reply.OffsetUnknown,
	}
	bare = reply.Record{
		Time: time.Date(2026, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		Addr: netip.MustParseAddr("255.255.255.255"), From: netip.MustParseAddr("0.0.0.0"),
		TTL: 20, Size: math.MaxUint16, RTT: reply.RTTUnknown, ClockOffset: reply.OffsetUnknown,
	}
)

// others are records of the other kinds, each with what only it has.
var (
	unreachable = answer(reply.Unreachable, 4, func(r *reply.Record) { r.QuotedTTL, r.MTU = 61, 1492 })
	redirect    = answer(reply.Redirect, 1, func(r *reply.Record) { r.QuotedTTL, r.Gateway = 64, netip.MustParseAddr("198.18.0.1") })
	problem     = answer(reply.ParameterProblem, 0, func(r *reply.Record) { r.Pointer = 20 })
	exceeded    = answer(reply.TimeExceeded, 0, func(r *reply.Record) { r.QuotedTTL = 1 })
	odd         = answer(reply.Unreachable, 200, func(*reply.Record) {})
	// What is zero, or set by mistake, in records that cannot tell it.
	quench  = answer(reply.SourceQuench, 0, func(r *reply.Record) { r.ClockOffset, r.Pointer = 0, 9 })
	first   = answer(reply.ParameterProblem, 1, func(r *reply.Record) { r.Pointer = 0 })
	mask    = answer(reply.AddressMaskReply, 0, func(r *reply.Record) { r.Mask = netip.MustParseAddr("255.255.252.0") })
	slow    = answer(reply.TimestampReply, 0, func(r *reply.Record) { r.ClockOffset = -43_200_000 * time.Millisecond })
	right   = answer(reply.TimestampReply, 0, func(r *reply.Record) { r.ClockOffset = 0 })
	unknown = answer(reply.TimestampReply, 0, func(*reply.Record) {})
	others  = []reply.Record{unreachable, redirect, problem, exceeded, odd, quench, first, mask, slow, right, unknown}

	// extended has objects of both kinds, and a name that nobody should trust.
	extended = answer(reply.TimeExceeded, 0, func(r *reply.Record) {
		r.Extensions = &reply.Extensions{
			MPLS: []reply.Label{{Label: 16004, TTL: 254}, {Label: 24001, Bottom: true, TTL: 1}},
			Interfaces: []reply.Interface{
				{Index: 5, Addr: netip.MustParseAddr("192.0.2.1"), Name: "xe-0/0/1", MTU: 1500},
				{Role: reply.NextHop, Name: "a,\"b\\\n\x1b\xff;ü"},
			},
		}
	})
	// bareExtended has none that is known here.
	bareExtended = answer(reply.TimeExceeded, 0, func(r *reply.Record) { r.Extensions = new(reply.Extensions) })
)

// answer is a record of a kind.
func answer(kind reply.Kind, code uint8, change func(*reply.Record)) reply.Record {
	r := full
	r.Kind, r.Type, r.Code = kind, kind.Type(), code
	change(&r)
	return r
}

// write gives records to a sink and returns what came out.
func write(t *testing.T, c Config, records ...reply.Record) string {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, c)
	if err := w.Write(records); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := w.Counts().Written; got != uint64(len(records)) {
		t.Errorf("%d records written, want %d", got, len(records))
	}
	return b.String()
}

func TestFormats(t *testing.T) {
	for _, tc := range []struct {
		name   string
		config Config
		want   string
	}{
		{"text", Config{Format: Text}, "198.18.0.5\n255.255.255.255\n"},
		{"text, chosen fields", Config{Format: Text, Fields: []Field{RTT, Addr, OS, TTL}},
			"1234567\t198.18.0.5\tunix\t57\n\t255.255.255.255\t\t20\n"},
		{"csv", Config{Format: CSV}, `time,addr,from,kind,type,code,reason,ttl,hops,os,rtt,size,attempt,duplicate,quoted_ttl,mtu,gateway,pointer,mpls,interface,mask,clock_offset
2026-02-03T04:05:06.000000070Z,198.18.0.5,198.18.0.6,echo-reply,0,0,,57,7,unix,1234567,28,2,true,,,,,,,,
2026-12-31T23:59:59.999999999Z,255.255.255.255,0.0.0.0,echo-reply,0,0,,20,12,,,65535,,false,,,,,,,,
`},
		{"csv, chosen fields", Config{Format: CSV, Fields: []Field{Duplicate, Addr, RTT}},
			"duplicate,addr,rtt\ntrue,198.18.0.5,1234567\nfalse,255.255.255.255,\n"},
		{"jsonl", Config{Format: JSONLines}, `{"time":"2026-02-03T04:05:06.000000070Z","addr":"198.18.0.5","from":"198.18.0.6","kind":"echo-reply","type":0,"code":0,"reason":null,"ttl":57,"hops":7,"os":"unix","rtt":1234567,"size":28,"attempt":2,"duplicate":true,"quoted_ttl":null,"mtu":null,"gateway":null,"pointer":null,"mpls":null,"interface":null,"mask":null,"clock_offset":null}
{"time":"2026-12-31T23:59:59.999999999Z","addr":"255.255.255.255","from":"0.0.0.0","kind":"echo-reply","type":0,"code":0,"reason":null,"ttl":20,"hops":12,"os":null,"rtt":null,"size":65535,"attempt":null,"duplicate":false,"quoted_ttl":null,"mtu":null,"gateway":null,"pointer":null,"mpls":null,"interface":null,"mask":null,"clock_offset":null}
`},
		{"jsonl, chosen fields", Config{Format: JSONLines, Fields: []Field{RTT, Addr}},
			`{"rtt":1234567,"addr":"198.18.0.5"}` + "\n" + `{"rtt":null,"addr":"255.255.255.255"}` + "\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, write(t, tc.config, full, bare)); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

// Each kind as it comes out: what only it has, and nothing that it has not.
func TestKindsOfRecords(t *testing.T) {
	fields := []Field{Kind, Type, Code, Reason, QuotedTTL, MTU, Gateway, Pointer, MPLS, Interface, Mask, ClockOffset}
	records := append([]reply.Record{full, bareExtended, extended}, others...)
	for format, want := range map[Format]string{
		CSV: `kind,type,code,reason,quoted_ttl,mtu,gateway,pointer,mpls,interface,mask,clock_offset
echo-reply,0,0,,,,,,,,,
time-exceeded,11,0,time to live exceeded in transit,0,,,,,,,
time-exceeded,11,0,time to live exceeded in transit,0,,,,16004/0/0/254 24001/0/1/1,"role=incoming index=5 addr=192.0.2.1 name=xe-0/0/1 mtu=1500; role=next-hop name=""a,\""b\\\n\x1b\xff;ü""",,
unreachable,3,4,fragmentation needed,61,1492,,,,,,
redirect,5,1,redirect datagrams for the host,64,,198.18.0.1,,,,,
parameter-problem,12,0,pointer indicates the error,0,,,20,,,,
time-exceeded,11,0,time to live exceeded in transit,1,,,,,,,
unreachable,3,200,code 200,0,,,,,,,
source-quench,4,0,source quench,0,,,,,,,
parameter-problem,12,1,missing a required option,0,,,0,,,,
address-mask-reply,18,0,,,,,,,,255.255.252.0,
timestamp-reply,14,0,,,,,,,,,-43200000
timestamp-reply,14,0,,,,,,,,,0
timestamp-reply,14,0,,,,,,,,,
`,
		JSONLines: `{"kind":"echo-reply","type":0,"code":0,"reason":null,"quoted_ttl":null,"mtu":null,"gateway":null,"pointer":null,"mpls":null,"interface":null,"mask":null,"clock_offset":null}
{"kind":"time-exceeded","type":11,"code":0,"reason":"time to live exceeded in transit","quoted_ttl":0,"mtu":null,"gateway":null,"pointer":null,"mpls":null,"interface":null,"mask":null,"clock_offset":null}
{"kind":"time-exceeded","type":11,"code":0,"reason":"time to live exceeded in transit","quoted_ttl":0,"mtu":null,"gateway":null,"pointer":null,"mpls":"16004/0/0/254 24001/0/1/1","interface":"role=incoming index=5 addr=192.0.2.1 name=xe-0/0/1 mtu=1500; role=next-hop name=\"a,\\\"b\\\\\\n\\x1b\\xff;ü\"","mask":null,"clock_offset":null}
{"kind":"unreachable","type":3,"code":4,"reason":"fragmentation needed","quoted_ttl":61,"mtu":1492,"gateway":null,"pointer":null,"mpls":null,"interface":null,"mask":null,"clock_offset":null}
{"kind":"redirect","type":5,"code":1,"reason":"redirect datagrams for the host","quoted_ttl":64,"mtu":null,"gateway":"198.18.0.1","pointer":null,"mpls":null,"interface":null,"mask":null,"clock_offset":null}
{"kind":"parameter-problem","type":12,"code":0,"reason":"pointer indicates the error","quoted_ttl":0,"mtu":null,"gateway":null,"pointer":20,"mpls":null,"interface":null,"mask":null,"clock_offset":null}
{"kind":"time-exceeded","type":11,"code":0,"reason":"time to live exceeded in transit","quoted_ttl":1,"mtu":null,"gateway":null,"pointer":null,"mpls":null,"interface":null,"mask":null,"clock_offset":null}
{"kind":"unreachable","type":3,"code":200,"reason":"code 200","quoted_ttl":0,"mtu":null,"gateway":null,"pointer":null,"mpls":null,"interface":null,"mask":null,"clock_offset":null}
{"kind":"source-quench","type":4,"code":0,"reason":"source quench","quoted_ttl":0,"mtu":null,"gateway":null,"pointer":null,"mpls":null,"interface":null,"mask":null,"clock_offset":null}
{"kind":"parameter-problem","type":12,"code":1,"reason":"missing a required option","quoted_ttl":0,"mtu":null,"gateway":null,"pointer":0,"mpls":null,"interface":null,"mask":null,"clock_offset":null}
{"kind":"address-mask-reply","type":18,"code":0,"reason":null,"quoted_ttl":null,"mtu":null,"gateway":null,"pointer":null,"mpls":null,"interface":null,"mask":"255.255.252.0","clock_offset":null}
{"kind":"timestamp-reply","type":14,"code":0,"reason":null,"quoted_ttl":null,"mtu":null,"gateway":null,"pointer":null,"mpls":null,"interface":null,"mask":null,"clock_offset":-43200000}
{"kind":"timestamp-reply","type":14,"code":0,"reason":null,"quoted_ttl":null,"mtu":null,"gateway":null,"pointer":null,"mpls":null,"interface":null,"mask":null,"clock_offset":0}
{"kind":"timestamp-reply","type":14,"code":0,"reason":null,"quoted_ttl":null,"mtu":null,"gateway":null,"pointer":null,"mpls":null,"interface":null,"mask":null,"clock_offset":null}
`,
		Text: "198.18.0.5\n",
	} {
		c := Config{Format: format, Fields: fields}
		if format == Text {
			c.Fields = nil
			want = strings.Repeat(want, len(records))
		}
		if diff := cmp.Diff(want, write(t, c, records...)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", format, diff)
		}
	}
}

// Text is not quoted as CSV is: tabs and line breaks cannot be in it.
func TestTextOfInterfaces(t *testing.T) {
	want := "198.18.0.5\trole=incoming index=5 addr=192.0.2.1 name=xe-0/0/1 mtu=1500; role=next-hop name=\"a,\\\"b\\\\\\n\\x1b\\xff;ü\"\n"
	if got := write(t, Config{Format: Text, Fields: []Field{Addr, Interface}}, extended); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// values are what other programs should read, field by field; nil is unknown.
func values(r reply.Record) map[string]any {
	v := map[string]any{
		"time": r.Time.Format(time.RFC3339Nano), "addr": r.Addr.String(), "from": r.From.String(),
		"kind": r.Kind.String(), "type": float64(r.Type), "code": float64(r.Code), "reason": nil,
		"ttl": float64(r.TTL), "hops": float64(r.Hops()), "os": r.OS(), "rtt": float64(r.RTT),
		"size": float64(r.Size), "attempt": float64(r.Attempt), "duplicate": r.Duplicate,
		"quoted_ttl": nil, "mtu": nil, "gateway": nil, "pointer": nil, "mpls": nil, "interface": nil, "mask": nil, "clock_offset": nil,
	}
	if reason := reply.Reason(r.Type, r.Code); reason != "" {
		v["reason"] = reason
		v["quoted_ttl"] = float64(r.QuotedTTL)
	}
	switch r.Kind {
	case reply.Unreachable:
		if r.MTU != 0 {
			v["mtu"] = float64(r.MTU)
		}
	case reply.Redirect:
		v["gateway"] = r.Gateway.String()
	case reply.ParameterProblem:
		v["pointer"] = float64(r.Pointer)
	case reply.AddressMaskReply:
		v["mask"] = r.Mask.String()
	case reply.TimestampReply:
		if r.ClockOffset != reply.OffsetUnknown {
			v["clock_offset"] = float64(r.ClockOffset / time.Millisecond)
		}
	}
	if r.Extensions != nil && r.Extensions.MPLS != nil {
		v["mpls"] = string(r.Extensions.AppendMPLS(nil))
		v["interface"] = string(r.Extensions.AppendInterfaces(nil))
	}
	if r.OS() == "" {
		v["os"] = nil
	}
	if r.RTT == reply.RTTUnknown {
		v["rtt"] = nil
	}
	if r.Attempt == 0 {
		v["attempt"] = nil
	}
	return v
}

// Other decoders read from the output what went in. Times have a fixed number
// of digits, so they are compared as times.
func TestOutputDecodes(t *testing.T) {
	for _, r := range append([]reply.Record{full, bare, extended, bareExtended}, others...) {
		want := values(r)
		wantTime := r.Time
		delete(want, "time")

		var object map[string]any
		if err := json.Unmarshal([]byte(write(t, Config{Format: JSONLines}, r)), &object); err != nil {
			t.Fatal(err)
		}
		checkTime(t, wantTime, object["time"].(string))
		delete(object, "time")
		if diff := cmp.Diff(want, object); diff != "" {
			t.Errorf("JSON (-want +got):\n%s", diff)
		}

		rows, err := csv.NewReader(strings.NewReader(write(t, Config{Format: CSV}, r))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) != 2 {
			t.Fatalf("%d rows of CSV, want 2", len(rows))
		}
		if diff := cmp.Diff(FieldNames(), rows[0]); diff != "" {
			t.Errorf("CSV header (-want +got):\n%s", diff)
		}
		if len(rows[0]) != len(rows[1]) || len(rows[1]) != len(AllFields()) {
			t.Fatalf("%d columns below %d names, want %d", len(rows[1]), len(rows[0]), len(AllFields()))
		}
		columns := map[string]any{}
		for i, name := range rows[0] {
			text := rows[1][i]
			switch want[name].(type) {
			case nil:
				if text == "" {
					columns[name] = nil
				} else if name == "time" {
					checkTime(t, wantTime, text)
				} else {
					columns[name] = text
				}
			case float64:
				if columns[name], err = strconv.ParseFloat(text, 64); err != nil {
					t.Error(err)
				}
			case bool:
				if columns[name], err = strconv.ParseBool(text); err != nil {
					t.Error(err)
				}
			default:
				columns[name] = text
			}
		}
		if diff := cmp.Diff(want, columns); diff != "" {
			t.Errorf("CSV (-want +got):\n%s", diff)
		}
	}
}

// Whatever a free text is, other decoders read it from a line of its own.
// Invalid UTF-8 comes back replaced from JSON, which knows no other.
func TestFreeText(t *testing.T) {
	for _, text := range []string{"", "a", ",", `"`, `""`, `\`, "\n", "a\nb", "a\"b,c\nd", "\x00\x1f\x7f", "ü\u2028日", "a\rb", "a\r", "\xff", "a\xc3", " a "} {
		line := string(quoteCSV([]byte("x,"+text), 2)) + "\n"
		rows, err := csv.NewReader(strings.NewReader(line)).ReadAll()
		if err != nil || len(rows) != 1 || len(rows[0]) != 2 || rows[0][0] != "x" || rows[0][1] != text {
			t.Errorf("%q: CSV %q is read as %q (%v)", text, line, rows, err)
		}
		object := string(append(escapeJSON([]byte(`{"x":"`+text), 6), `"}`...))
		var got map[string]string
		if err := json.Unmarshal([]byte(object), &got); err != nil || got["x"] != strings.ToValidUTF8(text, "\ufffd") {
			t.Errorf("%q: JSON %q is read as %q (%v)", text, object, got, err)
		}
		if strings.ContainsAny(object, "\n\x00\x1f") || !utf8.ValidString(object) {
			t.Errorf("%q: JSON %q", text, object)
		}
	}
}

func checkTime(t *testing.T, want time.Time, text string) {
	t.Helper()
	if got, err := time.Parse(time.RFC3339Nano, text); err != nil || !got.Equal(want) || !strings.HasSuffix(text, "Z") {
		t.Errorf("time %q (%v), want %v", text, err, want)
	}
}

// The header stands once, in front, however many writes there are, and also
// where no record follows.
func TestHeaderOnce(t *testing.T) {
	for _, tc := range []struct {
		name   string
		format Format
		writes [][]reply.Record
		want   string
	}{
		{"csv, nothing", CSV, nil, "addr\n"},
		{"csv, an empty write", CSV, [][]reply.Record{{}}, "addr\n"},
		{"csv, several writes", CSV, [][]reply.Record{{full}, {}, {bare, full}}, "addr\n198.18.0.5\n255.255.255.255\n198.18.0.5\n"},
		{"text, nothing", Text, nil, ""},
		{"jsonl, nothing", JSONLines, nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b bytes.Buffer
			w := NewWriter(&b, Config{Format: tc.format, Fields: []Field{Addr}})
			for _, records := range tc.writes {
				if err := w.Write(records); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, b.String()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseFormat(t *testing.T) {
	for _, want := range []Format{Text, CSV, JSONLines} {
		if got, err := ParseFormat(want.String()); err != nil || got != want {
			t.Errorf("ParseFormat(%q) = %v, %v", want, got, err)
		}
	}
	for _, text := range []string{"", "json", "CSV", "csv ", "parquet"} {
		_, err := ParseFormat(text)
		if err == nil || !strings.Contains(err.Error(), strconv.Quote(text)) || !strings.Contains(err.Error(), "text, csv or jsonl") {
			t.Errorf("ParseFormat(%q): error %v", text, err)
		}
	}
}
