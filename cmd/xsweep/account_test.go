// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// account is a summary as it came out of the program, read without the
// program's own types: what a tool of somebody else's sees.
type account map[string]any

func readAccount(text []byte) (account, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var a account
	if err := d.Decode(&a); err != nil {
		return nil, fmt.Errorf("the summary is no JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("something stands behind the summary: %w", err)
	}
	return a, nil
}

// accountKeys are the keys that tools may rely on, and what their values are:
// text, time, flag, list, object, count (a whole number, not negative), number,
// counts (an object of such), integer (may be negative), or rate (a count or
// "max").
var accountKeys = map[string]string{
	"version": "text", "command": "list", "config": "object", "seed": "count",
	"started": "time", "ended": "time", "interrupted": "flag",

	"targets.named": "count", "targets.excluded": "count", "targets.special": "count",
	"targets.skipped": "counts", "targets.swept": "count", "targets.answered": "count",
	"targets.errors_only": "count", "targets.silent": "count",

	"probes.due": "count", "probes.handed": "count", "probes.unsent": "counts",
	"probes.accepted": "count", "probes.refused": "counts", "probes.unconfirmed": "count",
	"transmitter.used": "text", "transmitter.why": "text", "transmitter.threads": "count", "transmitter.measured": "object",

	"packets.judged": "count", "packets.verdicts": "counts",

	"records.offered": "count", "records.emitted": "count", "records.lost": "count",
	"records.suppressed": "count", "records.sinks": "list",

	"devices": "object", "ttl": "counts", "kinds": "object",
	"rate.asked": "rate", "rate.mean": "number", "rate.peak_second": "number", "rate.stalls": "count",
	"rtt.count": "count", "rtt.min": "count", "rtt.p50": "count", "rtt.p90": "count",
	"rtt.p99": "count", "rtt.p999": "count", "rtt.max": "count", "rtt.mean": "count",
}

var (
	verdictKeys = []string{"first", "repeat", "duplicate", "error", "error_duplicate", "forged", "foreign", "other",
		"malformed", "checksum", "fragment", "record_lost"}
	sinkKeys   = map[string]string{"path": "text", "format": "text", "written": "count", "filtered": "count", "beyond_limit": "count", "failed": "count"}
	deviceKeys = map[string]string{"tx": "count", "rx": "count", "tx_dropped": "count", "unexplained": "integer"}
)

// at finds a value by its path: keys and list indexes with dots between.
func (a account) at(path string) (any, bool) {
	var v any = map[string]any(a)
	for key := range strings.SplitSeq(path, ".") {
		switch node := v.(type) {
		case map[string]any:
			var ok bool
			if v, ok = node[key]; !ok {
				return nil, false
			}
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(node) {
				return nil, false
			}
			v = node[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// count is the number at path. Without one it is 0: check finds what is
// missing, and a reason that does not occur has none.
func (a account) count(path string) uint64 {
	v, _ := a.at(path)
	n, _ := asCount(v)
	return n
}

// total is the sum of the counts in the object at path.
func (a account) total(path string) uint64 {
	v, _ := a.at(path)
	object, _ := v.(map[string]any)
	var sum uint64
	for _, n := range object {
		c, _ := asCount(n)
		sum += c
	}
	return sum
}

func (a account) time(path string) time.Time {
	v, _ := a.at(path)
	text, _ := v.(string)
	t, _ := time.Parse(time.RFC3339Nano, text)
	return t
}

func asCount(v any) (uint64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	c, err := strconv.ParseUint(n.String(), 10, 64)
	return c, err == nil
}

// is says whether a value is of a type that accountKeys names.
func is(v any, kind string) bool {
	switch kind {
	case "text":
		_, ok := v.(string)
		return ok
	case "flag":
		_, ok := v.(bool)
		return ok
	case "list":
		_, ok := v.([]any)
		return ok
	case "object":
		_, ok := v.(map[string]any)
		return ok
	case "number":
		_, ok := v.(json.Number)
		return ok
	case "integer":
		n, ok := v.(json.Number)
		_, err := strconv.ParseInt(n.String(), 10, 64)
		return ok && err == nil
	case "count":
		_, ok := asCount(v)
		return ok
	case "rate":
		_, ok := asCount(v)
		return ok || v == "max"
	case "counts":
		object, ok := v.(map[string]any)
		for _, n := range object {
			ok = ok && is(n, "count")
		}
		return ok
	case "time":
		text, ok := v.(string)
		_, err := time.Parse(time.RFC3339Nano, text)
		return ok && err == nil && strings.HasSuffix(text, "Z")
	}
	return false
}

func missing(of map[string]any, where string, keys map[string]string) error {
	var errs []error
	for key, kind := range keys {
		if v, ok := account(of).at(key); !ok || !is(v, kind) {
			errs = append(errs, fmt.Errorf("summary: %s%s is %v, want a %s", where, key, v, kind))
		}
	}
	return errors.Join(errs...)
}

// check finds missing keys, values of the wrong type, and counters that do not
// add up.
func (a account) check() error {
	errs := []error{missing(a, "", accountKeys)}
	list, _ := a.at("records.sinks")
	sinks, _ := list.([]any)
	object, _ := a.at("devices")
	devices, _ := object.(map[string]any)
	for i, sink := range sinks {
		object, _ := sink.(map[string]any)
		errs = append(errs, missing(object, fmt.Sprintf("records.sinks.%d.", i), sinkKeys))
	}
	for name, device := range devices {
		object, _ := device.(map[string]any)
		errs = append(errs, missing(object, "devices."+name+".", deviceKeys))
	}
	if !a.dryRun() {
		for _, name := range verdictKeys {
			if _, ok := a.at("packets.verdicts." + name); !ok {
				errs = append(errs, fmt.Errorf("summary: verdict %s is missing", name))
			}
		}
		if len(sinks) != 1 || len(devices) > 1 {
			errs = append(errs, fmt.Errorf("summary: %d sinks and %d devices, want one each", len(sinks), len(devices)))
		}
	}
	return errors.Join(append(errs, a.identities())...)
}

func (a account) dryRun() bool { return a.count("probes.unsent.dry_run") > 0 }

// identities checks every equation of the accounting.
func (a account) identities() error {
	var errs []error
	same := func(what string, left, right uint64) {
		if left != right {
			errs = append(errs, fmt.Errorf("summary: %s: %d against %d", what, left, right))
		}
	}
	n, sum := a.count, a.total
	same("targets named", n("targets.named"), n("targets.excluded")+n("targets.special")+n("targets.other_shards")+
		sum("targets.skipped")+n("targets.swept")+n("targets.unprobed"))
	same("targets swept", n("targets.swept"), n("targets.answered")+n("targets.errors_only")+n("targets.silent"))
	same("probes due", n("probes.due"), n("probes.handed")+sum("probes.unsent"))
	same("probes handed", n("probes.handed"), n("probes.accepted")+sum("probes.refused")+n("probes.unconfirmed"))
	same("packets judged", n("packets.judged"), sum("packets.verdicts"))
	replies, _ := a.at("config.replies")
	all, _ := a.at("config.all")
	offered := uint64(0)
	if replies != "errors" {
		offered += n("packets.verdicts.first")
		if all == true {
			offered += n("packets.verdicts.repeat") + n("packets.verdicts.duplicate")
		}
	}
	if replies != "positive" {
		offered += n("packets.verdicts.error") + n("packets.verdicts.error_unchecked")
		if all == true {
			offered += n("packets.verdicts.error_duplicate")
		}
	}
	same("records offered by verdict", n("records.offered"), offered)
	same("records offered", n("records.offered"), n("records.emitted")+n("records.lost")+n("records.suppressed"))
	sinks, _ := a.at("records.sinks")
	list, _ := sinks.([]any)
	for i := range list {
		sink := fmt.Sprintf("records.sinks.%d.", i)
		same("records emitted", n("records.emitted"), n(sink+"written")+n(sink+"filtered")+n(sink+"beyond_limit")+n(sink+"failed"))
	}
	if many, _ := a.at("config.many"); many != true {
		same("targets answered", n("targets.answered"), n("packets.verdicts.first"))
	}
	answers := uint64(0)
	for _, kind := range []string{"echo-reply", "timestamp-reply", "address-mask-reply"} {
		answers += sum("kinds." + kind)
	}
	if n("runs") == 1 { // a killed run has counted replies whose records went with it
		same("replies by TTL", sum("ttl"), n("packets.verdicts.first")+n("packets.verdicts.repeat"))
		same("replies by kind", answers, n("packets.verdicts.first")+n("packets.verdicts.repeat")+n("packets.verdicts.duplicate")+n("packets.verdicts.record_lost"))
	}

	order := []string{"rtt.min", "rtt.p50", "rtt.p90", "rtt.p99", "rtt.p999", "rtt.max"}
	for i := range order[1:] {
		if n(order[i]) > n(order[i+1]) {
			errs = append(errs, fmt.Errorf("summary: %s is %d, %s is %d", order[i], n(order[i]), order[i+1], n(order[i+1])))
		}
	}
	if a.time("ended").Before(a.time("started")) {
		errs = append(errs, errors.New("summary: it ended before it started"))
	}
	return errors.Join(errs...)
}

// holds judges path=value and path>value.
func (a account) holds(check string) error {
	at := strings.IndexAny(check, "=>")
	if at < 0 {
		return fmt.Errorf("%q: want path=value or path>value", check)
	}
	path, want := check[:at], check[at+1:]
	v, ok := a.at(path)
	if !ok {
		return fmt.Errorf("summary: %s is not there, want %s", path, check)
	}
	if check[at] == '=' {
		if got := fmt.Sprint(v); got != want {
			return fmt.Errorf("summary: %s is %s, want %s", path, got, want)
		}
		return nil
	}
	least, err := strconv.ParseUint(want, 10, 64)
	if err != nil {
		return err
	}
	if got := a.count(path); got <= least {
		return fmt.Errorf("summary: %s is %d, want more than %d", path, got, least)
	}
	return nil
}
