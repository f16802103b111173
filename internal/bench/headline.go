// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"
)

// The README's block of headline figures stands between these lines.
const (
	headlineBegin = "<!-- performance -->\n"
	headlineEnd   = "<!-- /performance -->\n"
)

// headline is that block.
func (r report) headline() (string, error) {
	var found []row
	for _, of := range headlineRows {
		found = append(found, r.find(of.group, of.what, of.limit))
		if of.needed && found[len(found)-1].What == "" {
			return "", fmt.Errorf("the report has no figure %q against %q: measure the group %s", of.what, of.limit, of.group)
		}
	}
	one, two, peer := found[0], found[1], found[2]
	text := fmt.Sprintf("The whole loop, one host in ten live and every one found, on %s with %d cores, Linux %s: %s probes with one sending thread,\n"+
		"%s with two; %s and %s times what `--tx packet` reaches there.",
		r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, withUnit(one.Value, one.Unit), withUnit(two.Value, two.Unit), plain(one.Ratio), plain(two.Ratio))
	if peer.What != "" {
		text += fmt.Sprintf(" zmap, in the same lab at its best: %s; xsweep does %s times that.", withUnit(peer.LimitRounds.median(), peer.Unit), plain(peer.Ratio))
	}
	return text + "\nAll figures: [performance](docs/performance.md); reproduce them with `make bench`.\n", nil
}

// headlineRows are the figures of the headline.
var headlineRows = []struct {
	group, what, limit string
	needed             bool
}{
	{"loop", "xdp, 1 thread, 10 % live", "packet, 1 thread", true},
	{"loop", "xdp, 2 threads, 10 % live", "packet, 2 threads", true},
	{"peers", xsweepBesidePeer, zmapLimit, false},
}

// find returns a figure, or none.
func (r report) find(group, what, limit string) row {
	for _, row := range r.Rows {
		if row.Group == group && row.What == what && row.Limit == limit {
			return row
		}
	}
	return row{}
}

// putHeadline puts the block into the text of a README.
func putHeadline(readme, block string) (string, error) {
	before, rest, begun := strings.Cut(readme, headlineBegin)
	_, after, ended := strings.Cut(rest, headlineEnd)
	if !begun || !ended {
		return "", fmt.Errorf("no lines %q and %q", strings.TrimSpace(headlineBegin), strings.TrimSpace(headlineEnd))
	}
	return before + headlineBegin + block + headlineEnd + after, nil
}

// renew puts the headline figures into a file.
func (r report) renew(path string) error {
	block, err := r.headline()
	if err != nil {
		return err
	}
	readme, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := putHeadline(string(readme), block)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
