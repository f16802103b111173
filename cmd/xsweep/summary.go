// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"xsweep/internal/si"
	"xsweep/sweep"
)

// printSummary tells people how the sweep went.
func printSummary(w io.Writer, s *sweep.Summary) {
	t, p := &s.Targets, &s.Probes
	share := 0.0
	if t.Swept > 0 {
		share = 100 * float64(t.Answered) / float64(t.Swept)
	}
	how := "swept"
	if s.Interrupted {
		how = "swept until interrupted"
	}
	fmt.Fprintf(w, "%d targets %s in %v: %d answered (%.2f%%), %s\n",
		t.Swept, how, s.Ended.Sub(s.Started).Round(100*time.Millisecond), t.Answered, share,
		strings.Join(append(appendCount(nil, t.ErrorsOnly, "only errors"), fmt.Sprintf("%d silent", t.Silent)), ", "))
	left := counts(t.Skipped)
	left = appendCount(left, t.Excluded, "excluded")
	left = appendCount(left, t.Special, "special-purpose")
	left = appendCount(left, t.OtherShards, "in other shards")
	left = appendCount(left, t.Unprobed, "not reached")
	line(w, "left out", left)
	sent := []string{fmt.Sprintf("%d sent at %s (peak %s)", p.Accepted, si.Short(s.Rate.Mean, "p/s"), si.Short(s.Rate.PeakSecond, "p/s"))}
	if p.Unconfirmed > 0 {
		sent[0] = fmt.Sprintf("%d given to the kernel at %s, which does not tell whether the device took them",
			p.Unconfirmed, si.Short(s.Rate.Mean, "p/s"))
		sent = appendCount(sent, p.Accepted, "sent")
	}
	if len(p.Refused) > 0 {
		sent = append(sent, "refused: "+strings.Join(counts(p.Refused), ", "))
	}
	for _, reason := range slices.Sorted(maps.Keys(p.Unsent)) {
		if reason != "skipped" { // said above, as targets
			sent = appendCount(sent, p.Unsent[reason], "not sent ("+reason+")")
		}
	}
	sent = appendCount(sent, s.Rate.Stalls, "stalls")
	line(w, "probes", sent)
	line(w, "replies", append([]string{fmt.Sprintf("%d packets judged", s.Packets.Judged)}, counts(s.Packets.Verdicts)...))
	if len(s.Kinds) > 1 || len(s.Kinds) == 1 && s.Kinds["echo-reply"] == nil {
		var kinds []string
		for _, kind := range slices.Sorted(maps.Keys(s.Kinds)) {
			for _, code := range slices.Sorted(maps.Keys(s.Kinds[kind])) {
				name := kind
				if code != "0" || len(s.Kinds[kind]) > 1 {
					name += " code " + code
				}
				kinds = append(kinds, fmt.Sprintf("%d %s", s.Kinds[kind][code], name))
			}
		}
		line(w, "kinds", kinds)
	}
	if s.RTT.Count > 0 {
		line(w, "rtt", []string{
			"min " + rtt(s.RTT.Min), "p50 " + rtt(s.RTT.P50), "p90 " + rtt(s.RTT.P90), "p99 " + rtt(s.RTT.P99), "max " + rtt(s.RTT.Max),
		})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Devices)) {
		d := s.Devices[name]
		line(w, name, []string{fmt.Sprintf("tx %d, rx %d, tx dropped %d, unexplained %d", d.Tx, d.Rx, d.TxDropped, d.Unexplained)})
	}
	line(w, "seed", []string{fmt.Sprint(s.Seed)})
}

func line(w io.Writer, name string, parts []string) {
	if len(parts) > 0 {
		fmt.Fprintf(w, "  %-9s %s\n", name, strings.Join(parts, ", "))
	}
}

// counts lists what is not zero, by name.
func counts(m map[string]uint64) []string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = appendCount(parts, m[name], name)
	}
	return parts
}

func appendCount(parts []string, n uint64, what string) []string {
	if n == 0 {
		return parts
	}
	return append(parts, fmt.Sprintf("%d %s", n, what))
}

// rtt shows nanoseconds with three digits.
func rtt(ns uint64) string {
	switch {
	case ns >= 1e9:
		return fmt.Sprintf("%.3g s", float64(ns)/1e9)
	case ns >= 1e6:
		return fmt.Sprintf("%.3g ms", float64(ns)/1e6)
	case ns >= 1e3:
		return fmt.Sprintf("%.3g µs", float64(ns)/1e3)
	}
	return fmt.Sprintf("%d ns", ns)
}
