// SPDX-License-Identifier: Apache-2.0

package where

import (
	"errors"
	"strings"
	"testing"
)

func TestErrors(t *testing.T) {
	for _, tc := range []struct {
		text    string
		column  int
		message string // that it begins with
	}{
		// Names.
		{"rrt < 5ms", 1, `unknown column "rrt": did you mean rtt?`},
		{"ttl > 3 and rrt < 5ms", 13, `unknown column "rrt": did you mean rtt?`},
		{"rtt < 1h30m5.5s and rrt < 5ms", 21, `unknown column "rrt": did you mean rtt?`},
		{"\"µé日\" != mpls and rtt < 5µs and rrt < 5ms", 33, `unknown column "rrt": did you mean rtt?`},
		{"/* é\n5ms */ rrt < 5ms // 5ms", 13, `unknown column "rrt": did you mean rtt?`},
		{"'it\\'s 5ms' != mpls and rrt < 5ms", 25, `unknown column "rrt"`},
		{"`5\\` != mpls and rrt < 5ms", 18, `unknown column "rrt"`},
		{"xxxxxxxxxx < 5ms", 1, `unknown column "xxxxxxxxxx": must be one of time, addr, from, `},
		{"_ms < 5ms", 1, `unknown column "_ms"`},
		{"os == unix", 7, `unknown column "unix": strings stand in quotes, as in os == "unix"`},
		{"kind == echo-reply", 9, `unknown column "echo": strings stand in quotes, as in kind == "echo-reply"`},
		{"len < 3", 1, `unknown column "len": it is a function, as in len(...)`},
		{"rtt() < 3ms", 1, "rtt is a column: it takes no parentheses"},
		{"lenn(reason) > 3", 1, `unknown function "lenn": did you mean len?`},
		{`ttl > 3 and env("HOME") == "x"`, 13, `unknown function "env"`},
		{"all([1], # > 0)", 1, `unknown function "all"`},
		{"repeat(os, 1000000) == os", 1, `unknown function "repeat"`},
		{"time.Our() == 3", 6, `unknown method "Our" of times: must be one of Day, Hour, `},
		{"rtt.Hour() == 3", 5, "Hour: only times have methods, but rtt is a duration"},
		{"time.Hour(3) == 3", 11, "Hour takes nothing"},

		// Types.
		{"rtt", 1, "the expression must be true or false, but rtt is a duration; whether it is known is asked by rtt != nil"},
		{"  rtt + 1ms", 3, "the expression must be true or false, but this is a duration"},
		{`"x"`, 1, `the expression must be true or false, but "x" is a string`},
		{"nil", 1, "the expression must be true or false, but nil is no value"},
		{`ttl == "x"`, 8, `cannot compare ttl (an integer) and "x" (a string)`},
		{`ttl == "64"`, 8, `cannot compare ttl (an integer) and "64" (a string): write 64 without quotes`},
		{"kind < 3", 8, "cannot compare kind (a string) and 3 (an integer)"},
		{"rtt < 5", 7, "cannot compare rtt (a duration) and 5 (an integer): a duration has a unit, as in 5ms"},
		{"rtt < ttl * 2", 7, "cannot compare rtt (a duration) and an integer: a duration has a unit, as in 5ms"},
		{"rtt + 5 < 5ms", 5, "+ has no meaning between rtt (a duration) and 5 (an integer): a duration has a unit, as in 5ms"},
		{`rtt < "5ms"`, 7, `cannot compare rtt (a duration) and "5ms" (a string): write 5ms without quotes`},
		{"rtt > 1ms and ttl", 15, "and joins booleans, but ttl is an integer"},
		{"rtt or ttl > 3", 1, "or joins booleans, but rtt is a duration"},
		{"not rtt < 5ms", 5, "not wants a boolean, but rtt is a duration; it binds before comparisons: write not (a == b)"},
		{"-kind == kind", 2, "- wants a number or a duration, but kind is a string"},
		{"+kind == kind", 2, "+ wants a number or a duration, but kind is a string"},
		{"rtt * rtt > 5ms", 5, "* has no meaning between rtt (a duration) and rtt (a duration)"},
		{"time + time > now()", 6, "+ has no meaning between time (a time) and time (a time)"},
		{"ttl ? duplicate : true", 1, "? wants a boolean before it, but ttl is an integer"},
		{"(duplicate ? rtt : ttl) > 3ms", 20, "cannot choose between rtt (a duration) and ttl (an integer)"},
		{"(duplicate ? rtt : nil) > 3ms", 20, "cannot choose between rtt (a duration) and nil"},
		{"(ttl ?? 3) > 3", 2, "what stands before ?? is always known"},
		{"duplicate == 1", 14, "cannot compare duplicate (a boolean) and 1 (an integer)"},
		{"duplicate < true", 13, "booleans have no order: < cannot compare them"},
		{"ttl == nil", 1, "ttl is always known: it is never nil"},
		{"nil != ttl + 3", 8, "this is always known: it is never nil"},
		{"(rtt ?? 1s) == nil", 2, "this is always known: it is never nil"},
		{"nil == nil", 8, "cannot compare nil and nil; nil stands only beside == and !="},
		{"rtt > nil", 7, "nil has no order"},
		{"rtt in [nil]", 9, "nil is in no list"},
		{"nil in [rtt]", 1, "nil is in nothing"},
		{"rtt + nil > 5ms", 5, "+ has no meaning between rtt (a duration) and nil"},
		{"max(ttl) > 3", 1, "max takes two values or more"},
		{"max(rtt, 3) > 4ms", 10, "cannot compare rtt (a duration) and 3 (an integer)"},
		{"max(true, false)", 5, "max takes two values or more, but true is a boolean"},
		{"len(ttl) > 3", 5, "len takes a string, but ttl is an integer"},
		{"now(3) > time", 1, "now takes nothing"},
		{"abs(kind) > 3", 5, "abs takes a number or a duration, but kind is a string"},
		{"date(kind) < time", 1, `date takes a constant string, as in date("2026-11-25")`},
		{`date("soon") < time`, 6, `"soon" is no time: write 2026-11-25T10:00:00Z or 2026-11-25`},
		{`duration(kind) < rtt`, 1, "duration takes a constant string"},
		{`duration("5") < rtt`, 10, `"5" is no duration`},

		// Constants.
		{`kind == "echo-replay"`, 9, `no record has the kind "echo-replay": did you mean "echo-reply"?`},
		{`"echo-replay" != kind`, 1, `no record has the kind "echo-replay": did you mean "echo-reply"?`},
		{`kind == "echo-" + "replay"`, 9, `no record has the kind "echo-replay": did you mean "echo-reply"?`},
		{`kind in ["redirect", "echo-replay"]`, 22, `no record has the kind "echo-replay": did you mean "echo-reply"?`},
		{`os == "linux"`, 7, `no record has the os "linux": must be one of network, unix, windows`},
		{`reason == "host unreachabel"`, 11, `no record has the reason "host unreachabel": did you mean "host unreachable"?`},
		{`reason == "no way out of this place"`, 11, `no record has the reason "no way out of this place": docs/icmp.md lists them`},
		{`addr in "192.0.2.0/33"`, 9, `address "192.0.2.0/33": prefix length "33" is over 32`},
		{`addr in ["192.0.2.0/24", "198.51.100"]`, 26, `address "198.51.100": has 3 octets`},
		{`addr in "2001:db8::/32"`, 9, `address "2001:db8::/32": IPv6 targets are not supported yet`},
		{`addr == "example.org"`, 9, `address "example.org": host names are not accepted here`},
		{`addr == "192.0.2.0/24"`, 9, `192.0.2.0/24 is more than one address: write in "192.0.2.0/24"`},
		{`addr == 192.0.2.1`, 9, `192.0.2.1 is no number: addresses stand in quotes`},
		{`addr in 192.0.2.0/24`, 9, `192.0.2.0/24 is no number: addresses stand in quotes`},
		{`addr startsWith "192."`, 1, `startsWith looks into strings, but addr is an address: use "in" with a prefix`},
		{`ttl contains "4"`, 1, `contains looks into strings, but ttl is an integer`},
		{`time >= "yesterday"`, 9, `"yesterday" is no time`},
		{`time >= "2500-01-01"`, 9, `time "2500-01-01": must lie between the years 1678 and 2262`},
		{`reason matches "^host|net("`, 16, `pattern "^host|net(": missing closing ): `},
		{`reason matches os`, 16, `the pattern behind matches must be a constant string`},
		{"ttl in []", 8, "the list is empty"},
		{"ttl in 5", 8, `"in" wants a list or a range, as in ttl in [1, 64..128]`},
		{"addr in from", 9, `"in" wants a prefix, or a list of addresses, prefixes and ranges`},
		{`kind in "echo-reply"`, 9, `"in" wants a list, as in kind in [`},
		{"[1] == [2]", 1, `a list stands only behind "in"`},
		{"1..2 == 3", 2, `a range stands only behind "in"`},
		{"1 / 0 > 3", 3, "division by zero"},
		{"rtt / 0 > 3ms", 5, "division by zero"},
		{"ttl % 0 > 3", 5, "division by zero"},
		{"9223372036854775807 + 1 > ttl", 21, "the number is beyond 64 bits"},
		{"99999999999999999999 > ttl", 1, "99999999999999999999 is no number, or one that is too large"},
		{"ttl < 1e999", 7, "1e999 is no number, or one that is too large"},
		{"ttl < 0xfffffffffffffffff", 7, "0xfffffffffffffffff is no number"},
		{"rtt < 5xs", 7, "5xs is neither number nor duration"},
		{"rtt < 5d", 7, "5d is neither number nor duration"},
		{"rtt < 1h30", 7, "1h30 is neither number nor duration"},
		{"rtt < 300000000h", 7, "300000000h is neither number nor duration"},

		// Grammar.
		{"", 1, "the expression is empty"},
		{" \n", 1, "the expression is empty"},
		{"// nothing", 11, "the expression ends too early"},
		{"rtt < 5ms and", 14, "the expression ends too early"},
		{"rtt < 5µs and (", 16, "the expression ends too early"},
		{"rtt = 5ms", 5, `unexpected =: did you mean "=="?`},
		{"rtt < 5ms & ttl > 3", 11, `unexpected &: did you mean "and"?`},
		{"rtt < 5ms AND ttl > 3", 11, `unexpected AND: did you mean "and"?`},
		{"rtt 5ms", 5, "unexpected 5ms"},
		{"rtt .5ms", 5, "unexpected .5ms"},
		{"rtt.5ms > 3", 1, "this is no part of the language"},
		{"rtt < 5ms)", 10, "unexpected )"},
		{"rtt < 5ms @", 11, "unexpected @"},
		{"rtt < 5ms \x00", 11, `unexpected "\x00"`},
		{`kind == "echo`, 9, "the string has no end"},
		{"kind == \"echo\n\"", 9, "the string has no end"},
		{"kind == `echo", 9, "the string has no end"},
		{"rtt < 5ms /* x", 11, "the comment has no end"},
		{`kind == "\q"`, 11, "unknown escape in a string"},
		{"rtt ?? 1s < 5ms", 11, "put the operands of ?? and the whole into parentheses"},
		{"let x = 1; x > 0", 5, "this is no part of the language"},
		{"ttl > 3; ttl > 4", 1, "this is no part of the language"},
		{"{a: 1}.a > 0", 1, "this is no part of the language"},
		{"ttl > 3 and rtt.foo > 1", 13, "this is no part of the language"},
		{"time?.Hour() > 1", 1, "this is no part of the language"},
		{"$env.rtt < 5ms", 1, "this is no part of the language"},
		{"kind[0:1] == kind", 1, "this is no part of the language"},
		{`b"abc" == kind`, 1, "this is no part of the language"},
		{"ttl > 3 and \xff", 13, "the expression is not in UTF-8"},
		{"é" + strings.Repeat(" ", maxText), maxText, "the expression is longer than 4096 bytes"},
		{"ttl in [" + strings.Repeat("1,", 1200) + "1]", 2008, "the expression has more than 1000 parts"},
	} {
		_, err := Compile(tc.text)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%q: error %v", tc.text, err)
			continue
		}
		if e.Text != tc.text || e.Offset != tc.column || !strings.HasPrefix(e.Message, tc.message) {
			t.Errorf("%.99q: column %d: %s\nwant column %d: %s", tc.text, e.Offset, e.Message, tc.column, tc.message)
		}
		if strings.ContainsAny(err.Error(), "\n\r\x00") {
			t.Errorf("%q: error %q is more than a line", tc.text, err)
		}
	}
}

// Nothing that the text allows is too deep.
func TestDepth(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("(", 2000) + "true" + strings.Repeat(")", 2000),
		strings.Repeat("!", 998) + "true",
		strings.Repeat("true or ", 400) + "true",
	} {
		if !matches(t, text, records["reply"]) {
			t.Errorf("%.20s...: false", text)
		}
	}
	// Values that are asked for several times do not multiply the work.
	nested := func(before, inner, behind string, n int) string {
		return strings.Repeat(before, n) + inner + strings.Repeat(behind, n)
	}
	for _, text := range []string{
		nested("(0 < ", "1", " < 9 ? 1 : 2)", 90) + " == 1",
		nested("(", "1", " in [code, 1, 5..ttl] ? 1 : 2)", 80) + " == 1",
		nested("min(3, 2, ", "1", ")", 200) + " == 1",
		nested("max(", "1", ", ttl, 0, code)", 120) + " == ttl",
		"(" + strings.Repeat("attempt ?? ", 300) + "7) == 1",
		strings.Repeat("ttl <= ", 200) + "ttl",
	} {
		if !matches(t, text, records["reply"]) {
			t.Errorf("%.30s...: false", text)
		}
	}
	for _, text := range []string{strings.Repeat("(", 4096), strings.Repeat("[", 4096), strings.Repeat("-", 4096), strings.Repeat("f(", 2048), strings.Repeat("not ", 1024)} {
		if _, err := Compile(text); err == nil {
			t.Errorf("%.20s...: no error", text)
		}
	}
}

func TestSnippet(t *testing.T) {
	long := strings.Repeat("ttl > 3 and ", 20)
	for _, tc := range []struct{ text, want string }{
		{"rrt < 5ms", "rrt < 5ms\n^"},
		{"rtt < 5ms and", "rtt < 5ms and\n             ^"},
		{"mpls != \"é\" and\n\trrt < 5ms", "mpls != \"é\" and  rrt < 5ms\n                 ^"},
		{long + "rrt > 5ms", "tl > 3 and ttl > 3 and ttl > 3 and ttl > 3 and ttl > 3 and ttl > 3 and rrt > 5ms"[4:] + "\n" +
			strings.Repeat(" ", 67) + "^"},
		{"rrt > 5ms and " + long + "true", "rrt > 5ms and " + long[:62] + "\n^"},
	} {
		_, err := Compile(tc.text)
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("%q: error %v", tc.text, err)
		}
		if got := e.Snippet(); got != tc.want {
			t.Errorf("%q:\n%s\nwant\n%s", tc.text, got, tc.want)
		}
	}
}
