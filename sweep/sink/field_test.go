// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseFields(t *testing.T) {
	for _, tc := range []struct {
		text string
		want []Field
	}{
		{"addr", []Field{Addr}},
		{"rtt,addr", []Field{RTT, Addr}},
		{" addr , ttl ", []Field{Addr, TTL}},
		{strings.Join(FieldNames(), ","), AllFields()},
	} {
		got, err := ParseFields(tc.text)
		if err != nil {
			t.Errorf("%q: %v", tc.text, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tc.text, diff)
		}
	}
}

// Errors are one line and name the field; where it is unknown they list those
// that there are.
func TestParseFieldsErrors(t *testing.T) {
	known := strings.Join(FieldNames(), ", ")
	for _, tc := range []struct {
		text string
		want []string
	}{
		{"", []string{`""`, known}},
		{"addr,", []string{`""`, known}},
		{"Addr", []string{`"Addr"`, known}},
		{"addr,address,ttl", []string{`"address"`, "did you mean addr?", known}},
		{"adr", []string{`"adr"`, "did you mean addr?", known}},
		{"addr;ttl", []string{`"addr;ttl"`, known}},
		{"addr,ttl,addr", []string{`"addr"`, "twice"}},
	} {
		fields, err := ParseFields(tc.text)
		if err == nil {
			t.Errorf("%q is taken for %v", tc.text, fields)
			continue
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: error %q: should say %q, on one line", tc.text, err, want)
			}
		}
	}
}

// The names are part of the interface: DESIGN says which, and in which order.
func TestFieldNames(t *testing.T) {
	want := []string{"time", "addr", "from", "kind", "type", "code", "reason", "ttl", "hops", "os", "rtt", "size", "attempt", "duplicate",
		"quoted_ttl", "mtu", "gateway", "pointer", "mpls", "interface", "mask", "clock_offset"}
	if diff := cmp.Diff(want, FieldNames()); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}
