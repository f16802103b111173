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
	}
	bare = reply.Record{
		Time: time.Date(2026, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		Addr: netip.MustParseAddr("255.255.255.255"), From: netip.MustParseAddr("0.0.0.0"),
		TTL: 20, Size: math.MaxUint16, RTT: reply.RTTUnknown,
	}
)

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
		{"csv", Config{Format: CSV}, `time,addr,from,kind,type,code,reason,ttl,hops,os,rtt,size,attempt,duplicate
2026-02-03T04:05:06.000000070Z,198.18.0.5,198.18.0.6,echo-reply,0,0,,57,7,unix,1234567,28,2,true
2026-12-31T23:59:59.999999999Z,255.255.255.255,0.0.0.0,echo-reply,0,0,,20,12,,,65535,,false
`},
		{"csv, chosen fields", Config{Format: CSV, Fields: []Field{Duplicate, Addr, RTT}},
			"duplicate,addr,rtt\ntrue,198.18.0.5,1234567\nfalse,255.255.255.255,\n"},
		{"jsonl", Config{Format: JSONLines}, `{"time":"2026-02-03T04:05:06.000000070Z","addr":"198.18.0.5","from":"198.18.0.6","kind":"echo-reply","type":0,"code":0,"reason":null,"ttl":57,"hops":7,"os":"unix","rtt":1234567,"size":28,"attempt":2,"duplicate":true}
{"time":"2026-12-31T23:59:59.999999999Z","addr":"255.255.255.255","from":"0.0.0.0","kind":"echo-reply","type":0,"code":0,"reason":null,"ttl":20,"hops":12,"os":null,"rtt":null,"size":65535,"attempt":null,"duplicate":false}
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

// values are what other programs should read, field by field; nil is unknown.
func values(r reply.Record) map[string]any {
	v := map[string]any{
		"time": r.Time.Format(time.RFC3339Nano), "addr": r.Addr.String(), "from": r.From.String(),
		"kind": "echo-reply", "type": float64(r.Type), "code": float64(r.Code), "reason": nil,
		"ttl": float64(r.TTL), "hops": float64(r.Hops()), "os": r.OS(), "rtt": float64(r.RTT),
		"size": float64(r.Size), "attempt": float64(r.Attempt), "duplicate": r.Duplicate,
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
	for _, r := range []reply.Record{full, bare} {
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
	for path, want := range map[string]Format{
		"a.csv": CSV, "a.jsonl": JSONLines, "a.txt": Text, "csv": Text, "a.csv.txt": Text, "": Text, "/x.y/a.csv": CSV,
	} {
		if got := FormatOf(path); got != want {
			t.Errorf("FormatOf(%q) = %v, want %v", path, got, want)
		}
	}
}
