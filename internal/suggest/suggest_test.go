// SPDX-License-Identifier: Apache-2.0

package suggest

import "testing"

func TestNearest(t *testing.T) {
	fields := []string{"time", "addr", "from", "type", "ttl", "rtt", "size", "attempt", "duplicate"}
	endings := []string{".txt", ".csv", ".jsonl", ".parquet"}
	for _, tc := range []struct {
		word string
		from []string
		want string // "" for none
	}{
		{"adr", fields, "addr"},
		{"Addr", fields, "addr"},
		{"ad", fields, "addr"},
		{"address", fields, "addr"},
		{"tiem", fields, "time"},
		{"tyme", fields, "type"}, // as far from time, which begins less alike
		{"tipe", fields, "time"}, // as far from type
		{"duplicat", fields, "duplicate"},
		{"tll", fields, "ttl"},
		{".jsn", endings, ".jsonl"},
		{".json", endings, ".jsonl"},
		{".jsn.gz", []string{".csv.gz", ".jsonl.gz"}, ".jsonl.gz"},
		{".cvs", endings, ".csv"},
		{".parqet", endings, ".parquet"},
		{".xlsx", endings, ""},
		{"", fields, ""},
		{"a", fields, ""},
		{"xtl", []string{"atl", "btl"}, "atl"}, // all alike: the first
		{"latency", fields, ""},
		{"addr", nil, ""},
	} {
		got, ok := Nearest(tc.word, tc.from)
		if got != tc.want || ok != (tc.want != "") {
			t.Errorf("Nearest(%q) = %q, %v, want %q", tc.word, got, ok, tc.want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "a", 0}, {"", "abc", 3}, {"kitten", "sitting", 3},
		{"ab", "ba", 1}, {"abcd", "acbd", 1}, {"abc", "cab", 2}, {"ca", "abc", 3}, {"für", "fur", 1},
	} {
		for _, pair := range [][2]string{{tc.a, tc.b}, {tc.b, tc.a}} {
			if got := distance([]rune(pair[0]), []rune(pair[1])); got != tc.want {
				t.Errorf("distance(%q, %q) = %d, want %d", pair[0], pair[1], got, tc.want)
			}
		}
	}
}
