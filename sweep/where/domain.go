// SPDX-License-Identifier: Apache-2.0

package where

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"xsweep/internal/suggest"
	"xsweep/sweep/reply"
)

// domains are all the strings that the columns kind, os and reason can hold, as
// package reply makes them.
var domains = sync.OnceValue(func() map[string][]string {
	found := map[string]map[string]bool{"kind": {}, "os": {}, "reason": {}}
	for n := range math.MaxUint8 + 1 {
		r := reply.Record{TTL: uint8(n)}
		found["os"][r.OS()] = true
		kind, ok := reply.KindOf(uint8(n))
		if !ok {
			continue
		}
		found["kind"][kind.String()] = true
		for code := range math.MaxUint8 + 1 {
			found["reason"][reply.Reason(uint8(n), uint8(code))] = true
		}
	}
	lists := map[string][]string{}
	for column, texts := range found {
		delete(texts, "") // unknown
		lists[column] = sorted(texts)
	}
	return lists
})

// domainOf is what a column can hold, sorted; nil for one that can hold anything.
func domainOf(column string) []string { return domains()[column] }

// checkDomain refuses to compare a column with a constant that it never holds.
func checkDomain(l, r value) error {
	if l.column == "" {
		l, r = r, l
	}
	domain := domainOf(l.column)
	text, constant := r.text()
	if domain == nil || !constant {
		return nil
	}
	if _, ok := slices.BinarySearch(domain, text); ok {
		return nil
	}
	hint := "docs/icmp.md lists them"
	if near, ok := suggest.Nearest(text, domain); ok {
		hint = fmt.Sprintf("did you mean %q?", near)
	} else if l.column != "reason" {
		hint = "must be one of " + strings.Join(domain, ", ")
	}
	return faultf(r.at, "no record has the %s %q: %s", l.column, text, hint)
}

// sorted are the keys of a table, for messages.
func sorted[T any](table map[string]T) []string {
	keys := make([]string, 0, len(table))
	for key := range table {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
