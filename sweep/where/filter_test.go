// SPDX-License-Identifier: Apache-2.0

package where

import (
	"errors"
	"testing"
	"time"
)

// Each expression, and the records that it is true of.
func TestMatch(t *testing.T) {
	all := []string{"bare", "error", "mask", "problem", "redirect", "reply", "timestamp"}
	for _, tc := range []struct {
		text string
		want []string
	}{
		{"true", all},
		{"false", nil},
		{"duplicate", []string{"bare"}},
		{"duplicate == true", []string{"bare"}},
		{`kind == "echo-reply"`, []string{"bare", "reply"}},
		{`"echo-reply" == kind`, []string{"bare", "reply"}},
		{`kind != "echo-reply"`, []string{"error", "mask", "problem", "redirect", "timestamp"}},
		{`kind in ["redirect", "unreachable"]`, []string{"error", "redirect"}},
		{`kind not in ["redirect", "unreachable"]`, []string{"bare", "mask", "problem", "reply", "timestamp"}},
		{`not (kind in ["redirect", "unreachable"])`, []string{"bare", "mask", "problem", "reply", "timestamp"}},
		{`kind in ["echo-reply", "redirect", "unreachable", "time-exceeded", "source-quench", "parameter-problem", "timestamp-reply"]`,
			[]string{"bare", "error", "problem", "redirect", "reply", "timestamp"}},
		{`kind < "f"`, []string{"bare", "mask", "reply"}},
		{`kind matches "^ec" + "ho"`, []string{"bare", "reply"}},
		{`kind contains "ly"`, []string{"bare", "mask", "reply", "timestamp"}},
		{`kind startsWith "echo"`, []string{"bare", "reply"}},
		{`kind endsWith "-reply"`, []string{"bare", "mask", "reply", "timestamp"}},
		{`kind not endsWith "-reply"`, []string{"error", "problem", "redirect"}},
		{`kind matches "^(echo|time).*y$"`, []string{"bare", "reply", "timestamp"}},
		{`kind not matches "^(echo|time).*y$"`, []string{"error", "mask", "problem", "redirect"}},

		{"type == 3 && code == 4", []string{"error"}},
		{"type == 3 || type == 5", []string{"error", "redirect"}},
		{"!(type < 12)", []string{"mask", "problem", "timestamp"}},
		{"ttl >= 128", []string{"error", "problem", "timestamp"}},
		{"ttl > 128", []string{"error"}},
		{"ttl <= 30", []string{"bare"}},
		{"30 < ttl < 64", []string{"mask", "reply"}},
		{"30 < ttl + 0 < 64", []string{"mask", "reply"}},
		{"30 < ttl + 0 < 65 < ttl + 10", []string{"redirect", "reply"}},
		{"ttl + 0 in [32, hops + 50, 250..251]", []string{"error", "mask", "reply"}},
		{"ttl + 0 not in [32, hops + 50, 200..251]", []string{"bare", "problem", "redirect", "timestamp"}},
		{"(ttl < 64) in [duplicate, 3 > 4]", []string{"bare", "error", "problem", "redirect", "timestamp"}},
		{"ttl in 57..64", []string{"redirect", "reply"}},
		{"ttl not in 57..250", []string{"bare", "mask"}},
		{"ttl in [30, 57..64]", []string{"bare", "redirect", "reply"}},
		{"ttl not in [30, 57..64]", []string{"error", "mask", "problem", "timestamp"}},
		{"ttl in [1,2,3,4,5,6,7,8,250]", []string{"error"}},
		{"ttl in [57.0, 64]", []string{"redirect", "reply"}},
		{"ttl + hops == 64", []string{"redirect", "reply"}},
		{"ttl % 2 == 1", []string{"reply"}},
		{"ttl / 2 == 28.5", []string{"reply"}},
		{"ttl * 2 - 14 == 100", []string{"reply"}},
		{"-ttl < -200", []string{"error"}},
		{"hops ** 2 == 49", []string{"reply"}},
		{"size in [28]", []string{"reply"}},
		{"size == code * 2 + 160", []string{"error"}},

		{`reason == "fragmentation needed"`, []string{"error"}},
		{`reason == "code 77"`, []string{"problem"}},
		{`reason != "code 77"`, []string{"error", "redirect"}},
		{`reason matches "for the (host|network)$"`, []string{"redirect"}},
		{`os == "unix"`, []string{"redirect", "reply"}},
		{`os != "unix"`, []string{"error", "problem", "timestamp"}},
		{`os + "!" == "unix!"`, []string{"redirect", "reply"}},
		{`upper(os) == "UNIX" and len(os) == 4 and indexOf(os, "ix") == 2`, []string{"redirect", "reply"}},
		{`trim(" " + lower("A")) == "a"`, all},

		{"rtt < 5ms", []string{"reply", "timestamp"}},
		{"rtt >= 4.2ms", []string{"reply"}},
		{"rtt == 4200us", []string{"reply"}},
		{"rtt == 4200µs", []string{"reply"}},
		{"rtt == 4ms200us", []string{"reply"}},
		{"rtt > .004s", []string{"reply"}},
		{"rtt in 3ms..5ms", []string{"reply"}},
		{"rtt * 2 < 5ms", []string{"timestamp"}},
		{"2 * rtt < 5ms", []string{"timestamp"}},
		{"rtt * 2.5 == 5ms", []string{"timestamp"}},
		{"2.5 * rtt == 5ms", []string{"timestamp"}},
		{"rtt / 2 == 1ms", []string{"timestamp"}},
		{"rtt / 0.5 == 4ms", []string{"timestamp"}},
		{"rtt / 1ms > 3", []string{"reply"}},
		{"rtt % 1ms == 200us", []string{"reply"}},
		{"rtt + 1ms > 5ms", []string{"reply"}},
		{"rtt - 1ms < duration(\"2ms\")", []string{"timestamp"}},
		{"clock_offset < -1s", []string{"timestamp"}},
		{"abs(clock_offset) == 1.5s", []string{"timestamp"}},
		{"max(rtt, 3ms) == 3ms", []string{"timestamp"}},
		{"min(rtt, 3ms, 2500us) == 2500us", []string{"reply"}},
		{"min(ttl, 60.5) == 60.5", []string{"error", "problem", "redirect", "timestamp"}},
		{"floor(ttl / 10) == 5 and ceil(ttl / 10) == 6 and round(ttl / 10) == 6 and int(ttl / 10) == 5 and float(ttl) == 57", []string{"reply"}},

		{`time >= "2026-11-25T10:00:01Z"`, []string{"error"}},
		{`time == "2026-11-25T11:00:01+01:00"`, []string{"error"}},
		{`time == "2026-11-25 10:00:01"`, []string{"error"}},
		{`time > "2026-11-25 10:00"`, []string{"error"}},
		{`time < "2026-11-26"`, all},
		{`time - date("2026-11-25") > 10h`, []string{"error"}},
		{`time - "2026-11-25" > 10h`, []string{"error"}},
		{`time > date("2026-11-25") + 10h`, []string{"error"}},
		{`time > 10h + date("2026-11-25")`, []string{"error"}},
		{`time - 10h > date("2026-11-25")`, []string{"error"}},
		{`time.Hour() == 10 and time.Second() == 1 and time.Weekday() == 3`, []string{"error"}},
		{`time.Year() == 2026 and time.Month() == 11 and time.Day() == 25 and time.Minute() == 0`, all},
		{"now() - time == 1m", []string{"bare", "mask", "problem", "redirect", "reply", "timestamp"}},

		{`addr == "192.0.2.1"`, []string{"reply"}},
		{`addr != from`, []string{"error", "problem", "redirect"}},
		{`addr in "192.0.2.0/24"`, []string{"error", "reply"}},
		{`addr in "192.0.2.1"`, []string{"reply"}},
		{`addr not in "192.0.0.0/8"`, []string{"bare", "mask", "problem", "redirect", "timestamp"}},
		{`addr in ["192.0.2.0/26", "198.51.100.7", "203.0.113.1-203.0.113.2"]`, []string{"bare", "problem", "redirect", "reply"}},
		{`addr not in ["192.0.2.0/26", "198.51.100.7", "203.0.113.1-4"]`, []string{"error"}},
		{`addr in "203.0.113.2".."203.0.113.3"`, []string{"problem", "timestamp"}},
		{`addr in [from, "192.0.2.77"]`, []string{"bare", "error", "mask", "reply", "timestamp"}},
		{`addr < "192.0.3.0"`, []string{"error", "reply"}},
		{`"9.255.255.255" < from and from < "10.0.0.2"`, []string{"problem", "redirect"}},
		{`gateway in "10.0.0.0/24"`, []string{"redirect"}},
		{`mask == "255.255.255.0"`, []string{"mask"}},

		{"mtu < 1500", []string{"error"}},
		{"quoted_ttl == 60", []string{"error"}},
		{"pointer == 0", []string{"problem"}},
		{"attempt in [1, 2]", []string{"redirect", "reply"}},
		{`mpls startsWith "16004/"`, []string{"error"}},
		{`interface contains "name=xe-0/0/1 "`, []string{"error"}},

		{"duplicate ? ttl == 30 : rtt < 3ms", []string{"bare", "timestamp"}},
		{"(duplicate ? 1ms : rtt) < 3ms", []string{"bare", "timestamp"}},
		{"(rtt ?? 1s) > 500ms", []string{"bare", "error", "mask", "problem", "redirect"}},
		{"(rtt ?? clock_offset) != nil", []string{"reply", "timestamp"}},
		{"rtt < 3ms /* 5ms */ // and false", []string{"timestamp"}},
		{"rtt\n <\t3ms", []string{"timestamp"}},
		{"reason | len() == 20", []string{"error"}},
		{`'fragmentation\x20needed' == reason`, []string{"error"}},
		{"reason == `fragmentation needed`", []string{"error"}},
	} {
		f := compiled(t, tc.text)
		f.state.clock = func() time.Time { return at.Add(time.Minute) }
		if f.String() != tc.text {
			t.Errorf("String() = %q, want %q", f.String(), tc.text)
		}
		want := map[string]bool{}
		for _, name := range tc.want {
			want[name] = true
		}
		for _, name := range all {
			r := records[name]
			matched, err := f.Match(&r)
			if err != nil {
				t.Errorf("%s: of %s: %v", tc.text, name, err)
			} else if matched != want[name] {
				t.Errorf("%s: of %s: %v, want %v", tc.text, name, matched, want[name])
			}
		}
	}
}

// What an address of another family holds is not known.
func TestMatchIPv6(t *testing.T) {
	r := records["reply"]
	r.Addr = ip("2001:db8::1")
	for _, text := range []string{`addr == from`, `addr != from`, `addr < "255.255.255.255"`, `addr in "0.0.0.0/0"`, `addr not in "0.0.0.0/0"`} {
		if matches(t, text, r) {
			t.Errorf("%s: true of an IPv6 address", text)
		}
	}
}

// The clock is read anew for each match, and once in it.
func TestNow(t *testing.T) {
	f := compiled(t, "now() == now() and now() > time")
	reads := 0
	f.state.clock = func() time.Time { reads++; return at.Add(time.Duration(reads-1) * time.Hour) }
	r := records["reply"]
	for i, want := range []bool{false, true, true} {
		if matched, err := f.Match(&r); err != nil || matched != want || reads != i+1 {
			t.Errorf("match %d: %v, error %v, after %d reads of the clock", i, matched, err, reads)
		}
	}
}

func TestMatchErrors(t *testing.T) {
	for _, tc := range []struct {
		text string
		want string
	}{
		{"ttl / code > 1", "where: column 5: division by zero"},
		{"ttl % code > 1", "where: column 5: division by zero"},
		{"rtt / (rtt - rtt) > 1", "where: column 5: division by zero"},
		{"rtt / code > 1s", "where: column 5: division by zero"},
		{"rtt / (ttl - 57.0) > 1s", "where: column 5: division by zero"},
		{"rtt % (rtt - rtt) > 1s", "where: column 5: division by zero"},
		{`reason == nil and "é" + os != "" and ttl / code > 1`, "where: column 42: division by zero"},
		{"ttl * 9223372036854775807 > 1", "where: column 5: the number is beyond 64 bits"},
		{"ttl + 9223372036854775807 > 1", "where: column 5: the number is beyond 64 bits"},
		{"-ttl - 9223372036854775807 > 1", "where: column 6: the number is beyond 64 bits"},
		{"rtt * 1e30 > 1s", "where: column 5: the number is beyond 64 bits"},
		{"int(ttl * 1e30) > 1", "where: column 1: the number is beyond 64 bits"},
		{"time + 2500000h > now()", "where: column 6: the number is beyond 64 bits"},
	} {
		f := compiled(t, tc.text)
		r := records["reply"]
		matched, err := f.Match(&r)
		var e *Error
		if !errors.As(err, &e) || err.Error() != tc.want || matched || e.Text != tc.text {
			t.Errorf("%s: %v, error %v, want %s", tc.text, matched, err, tc.want)
		}
		// One match leaves nothing to the next.
		if r.Code, r.RTT, r.TTL, r.Time = 1, 1, 0, time.Unix(0, 0); tc.text == "ttl / code > 1" {
			if matched, err = f.Match(&r); matched || err != nil {
				t.Errorf("%s: then %v, error %v", tc.text, matched, err)
			}
		}
	}
	// What is not reached does not fail.
	for _, text := range []string{"code != 0 and ttl / code > 1", "code == 0 or ttl / code > 1", "attempt > 1 ? ttl / code > 1 : true", "mtu / code > 1 or true"} {
		r := records["reply"]
		if _, err := compiled(t, text).Match(&r); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
