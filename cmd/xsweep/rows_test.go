// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// columns are those of a record, in their order.
var columns = []string{"time", "addr", "from", "kind", "type", "code", "reason", "ttl", "hops", "os", "rtt", "size", "attempt", "duplicate",
	"quoted_ttl", "mtu", "gateway", "pointer", "mpls", "interface", "mask", "clock_offset"}

// row is a record by column. What is unknown is empty.
type row map[string]string

// readRows reads csv or jsonl with the standard library's decoders and insists
// on all columns.
func readRows(format, text string) ([]row, error) {
	switch format {
	case "csv":
		return readCSV(text)
	case "jsonl":
		return readJSONLines(text)
	}
	return nil, fmt.Errorf("format %q: want csv or jsonl", format)
}

func readCSV(text string) ([]row, error) {
	table, err := csv.NewReader(strings.NewReader(text)).ReadAll() // equal numbers of fields are its own rule
	if err != nil {
		return nil, err
	}
	if len(table) == 0 || !slices.Equal(table[0], columns) {
		return nil, fmt.Errorf("the header is not %q", columns)
	}
	var rows []row
	for _, fields := range table[1:] {
		r := row{}
		for i, name := range columns {
			r[name] = fields[i]
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// jsonTypes are the columns that are no strings in JSON.
var jsonTypes = map[string]string{"type": "number", "code": "number", "ttl": "number", "hops": "number", "rtt": "number",
	"size": "number", "attempt": "number", "duplicate": "flag",
	"quoted_ttl": "number", "mtu": "number", "pointer": "number", "clock_offset": "number"}

func readJSONLines(text string) ([]row, error) {
	var rows []row
	for line := range strings.Lines(text) {
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		var object map[string]any
		if err := d.Decode(&object); err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		if keys := slices.Sorted(maps.Keys(object)); !slices.Equal(keys, slices.Sorted(slices.Values(columns))) {
			return nil, fmt.Errorf("the keys are %q", keys)
		}
		r := row{}
		for name, v := range object {
			kind := jsonTypes[name]
			if kind == "" {
				kind = "text"
			}
			if v == nil {
				r[name] = ""
				continue
			}
			if !is(v, kind) {
				return nil, fmt.Errorf("line %q: %s is no %s", line, name, kind)
			}
			r[name] = fmt.Sprint(v)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// nanoseconds is RFC 3339 in UTC with all nine digits.
var nanoseconds = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$`)

// checkRows holds the records of a sweep in a simulated network against each
// other and against the sweep's summary.
func checkRows(rows []row, a account) error {
	if n := a.count("records.sinks.0.written"); uint64(len(rows)) != n || n == 0 {
		return fmt.Errorf("%d records, the summary says %d", len(rows), n)
	}
	probes := a.count("config.probes")
	seen := map[string]bool{}
	for _, r := range rows {
		if err := r.check(probes, seen[r["addr"]]); err != nil {
			return fmt.Errorf("record %v: %w", r, err)
		}
		at, err := time.Parse(time.RFC3339Nano, r["time"])
		if err != nil || !nanoseconds.MatchString(r["time"]) || at.Before(a.time("started")) || at.After(a.time("ended")) {
			return fmt.Errorf("record %v: it arrived neither in UTC with nanoseconds nor between %v and %v", r, a.time("started"), a.time("ended"))
		}
		seen[r["addr"]] = true
	}
	return nil
}

// check judges one record; duplicate says whether its target has answered
// before.
func (r row) check(probes uint64, duplicate bool) error {
	for name, want := range map[string]string{
		"from": r["addr"], "kind": "echo-reply", "type": "0", "code": "0", "reason": "", "size": "28",
		"duplicate":  strconv.FormatBool(duplicate),
		"quoted_ttl": "", "mtu": "", "gateway": "", "pointer": "", "mpls": "", "interface": "", "mask": "", "clock_offset": "",
	} {
		if r[name] != want {
			return fmt.Errorf("%s is %q, want %q", name, r[name], want)
		}
	}
	if _, err := netip.ParseAddr(r["addr"]); err != nil {
		return err
	}
	if attempt, err := strconv.ParseUint(r["attempt"], 10, 64); err != nil || attempt < 1 || attempt > probes {
		return fmt.Errorf("attempt %q of %d", r["attempt"], probes)
	}
	if rtt, err := strconv.ParseUint(r["rtt"], 10, 64); err != nil || rtt == 0 || rtt > uint64(time.Minute) {
		return fmt.Errorf("rtt %q", r["rtt"])
	}
	ttl, err := strconv.Atoi(r["ttl"])
	if err != nil || ttl < 1 || ttl > 255 {
		return fmt.Errorf("ttl %q", r["ttl"])
	}
	hops, os := 0, ""
	switch {
	case ttl <= 32:
		hops = 32 - ttl
	case ttl <= 64:
		hops, os = 64-ttl, "unix"
	case ttl <= 128:
		hops, os = 128-ttl, "windows"
	default:
		hops, os = 255-ttl, "network"
	}
	if r["hops"] != strconv.Itoa(hops) || r["os"] != os {
		return fmt.Errorf("hops %s and os %s with ttl %d, want %d and %s", r["hops"], r["os"], ttl, hops, os)
	}
	return nil
}

// compareSets says how got is not want in another order, each line once; empty
// if it is.
func compareSets(got, want []string) string {
	rest := make(map[string]bool, len(want))
	for _, line := range want {
		if rest[line] {
			return fmt.Sprintf("%s is expected twice", line)
		}
		rest[line] = true
	}
	for _, line := range got {
		if !rest[line] {
			return fmt.Sprintf("%s is there twice, or should not be", line)
		}
		delete(rest, line)
	}
	if len(rest) > 0 {
		return fmt.Sprintf("%d lines are missing, such as %s", len(rest), slices.Min(slices.Collect(maps.Keys(rest))))
	}
	return ""
}
