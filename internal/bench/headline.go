// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// The README's block of headline figures stands between these lines.
const (
	headlineBegin = "<!-- performance -->\n"
	headlineEnd   = "<!-- /performance -->\n"
)

// headline is that block. It needs the figures of the whole loop; those of two
// threads and of zmap are said if they are there.
func (r report) headline() (string, error) {
	one := r.find("loop", "xdp, 1 thread, 10 % live", "packet, 1 thread")
	if one == nil {
		return "", errors.New("the report has no figures of the whole loop: measure the group loop")
	}
	lines := []string{
		fmt.Sprintf("On %s, %d cores, Linux %s, in a simulated network where one host in ten lives, with records written to a file:",
			r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel),
		"",
		fmt.Sprintf("- **%s** probes with one sending thread of `--tx xdp`, %s times what `--tx packet` does there.", withUnit(one.Value, one.Unit), plain(one.Ratio)),
	}
	if two := r.find("loop", "xdp, 2 threads, 10 % live", "packet, 2 threads"); two != nil {
		lines = append(lines, fmt.Sprintf("- **%s** with two, %s times two threads of `--tx packet`.", withUnit(two.Value, two.Unit), plain(two.Ratio)))
	}
	if zmap := r.find("peers", xsweepBesidePeer, zmapLimit); zmap != nil {
		lines = append(lines, fmt.Sprintf("- zmap in the same network, at its best: %s; two threads of xsweep beside it did %s times that.",
			withUnit(zmap.LimitRounds.median(), zmap.Unit), plain(zmap.Ratio)))
	}
	lines = append(lines, "", "Found hosts are compared with the truth. [All figures](docs/performance.md), missed goals included; reproduce them with `make bench`.", "")
	return strings.Join(lines, "\n"), nil
}

// find returns a figure, or nil.
func (r report) find(group, what, limit string) *row {
	for k, row := range r.Rows {
		if row.Group == group && row.What == what && row.Limit == limit {
			return &r.Rows[k]
		}
	}
	return nil
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
