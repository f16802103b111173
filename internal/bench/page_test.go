// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPage(t *testing.T) {
	const want = `# Performance

Written by ` + "`make bench`" + ` from docs/performance.json; no figure here is typed by hand. docs/measuring.md says how each is measured and what the columns mean.

- machine: Some CPU, 2 cores (amd64)
- kernel: Linux 6.1
- built with: go1.26, objects of clang 14.0.6
- commit: 0123456789ab
- date: 1970-01-01 00:00 UTC

2 of 3 goals were reached.

- **missed**: memory, memory: 80 MiB, goal <= 64 MiB

## Send rate to a peer that drops

SEND

| what | measured | min..max | compared with | ratio | goal | result |
| --- | --- | --- | --- | --- | --- | --- |
| packet: sweep | 135.0k/s | 90.0k..180.0k | fixed frames 150.0k/s | 0.9 | ratio >= 0.85, aim 0.95 | ok |

## Other tools in the same lab

PEERS

- fping: not installed.

## The rate promise

PROMISE

| what | measured | min..max | compared with | ratio | goal | result |
| --- | --- | --- | --- | --- | --- | --- |
| rate 1k: worst second off by | 0.1% | 0.1..3 | | | <= 0.5% | ok |
| cpu | 2 s | 1.5..2.5 | | | | |

## Memory

| what | measured | min..max | compared with | ratio | goal | result |
| --- | --- | --- | --- | --- | --- | --- |
| memory | 80 MiB | | | | <= 64 MiB | **missed** |
`
	page := exampleReport().page()
	for _, s := range sections {
		if s.text != "" {
			page = strings.Replace(page, "\n"+s.text+"\n", "\n"+strings.ToUpper(s.group)+"\n", 1)
		}
	}
	if diff := cmp.Diff(want, page); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}

// A group without a place on the page would be measured for nothing.
func TestEveryGroupHasASection(t *testing.T) {
	names := groupNames()
	for _, s := range sections {
		if !slices.Contains(names, s.group) {
			t.Errorf("section %q is of the group %q, which is not there", s.title, s.group)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(sections, func(s struct{ group, title, text string }) bool { return s.group == name }) {
			t.Errorf("group %q has no section", name)
		}
	}
}

func TestHeadline(t *testing.T) {
	r := exampleReport()
	if text, err := r.headline(); err == nil || !strings.Contains(err.Error(), "loop") {
		t.Errorf("without the loop: %q, error %v", text, err)
	}
	packet := series{500_000, 400_000}
	r.Rows = append(r.Rows, inGroup("loop", newRow("xdp, 1 thread, 10 % live", perSecond, series{2_000_000, 2_000_000}).against("packet, 1 thread", packet)))
	want := `On Some CPU, 2 cores, Linux 6.1, in a simulated network where one host in ten lives, with records written to a file:

- **2.000M/s** probes with one sending thread of ` + "`--tx xdp`, 4.5 times what `--tx packet`" + ` does there.
MORE
Found hosts are compared with the truth. [All figures](docs/performance.md), missed goals included; reproduce them with ` + "`make bench`" + `.
`
	got, err := r.headline()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Replace(want, "MORE\n", "\n", 1), got); diff != "" {
		t.Errorf("with one thread (-want +got):\n%s", diff)
	}
	r.Rows = append(r.Rows,
		inGroup("loop", newRow("xdp, 2 threads, 10 % live", perSecond, series{3_000_000}).against("packet, 2 threads", series{600_000})),
		inGroup("loop", newRow("xdp, 2 threads, 10 % live", perSecond, series{3_000_000}).against("xdp, 1 thread", series{2_000_000})),
		inGroup("peers", newRow(xsweepBesidePeer, perSecond, series{3_000_000}).against(zmapLimit, series{300_000})))
	if got, err = r.headline(); err != nil {
		t.Fatal(err)
	}
	more := "- **3.000M/s** with two, 5 times two threads of `--tx packet`.\n" +
		"- zmap in the same network, at its best: 300.0k/s; two threads of xsweep beside it did 10 times that.\n\n"
	if diff := cmp.Diff(strings.Replace(want, "MORE\n", more, 1), got); diff != "" {
		t.Errorf("with all (-want +got):\n%s", diff)
	}
}

func TestPutHeadline(t *testing.T) {
	const readme = "before\n<!-- performance -->\nold\n<!-- /performance -->\nafter\n"
	got, err := putHeadline(readme, "new\n")
	if want := strings.Replace(readme, "old", "new", 1); err != nil || got != want {
		t.Errorf("%q, error %v; want %q", got, err, want)
	}
	for _, broken := range []string{"", "before\n", "<!-- performance -->\nno end\n", "<!-- /performance -->\n<!-- performance -->\n"} {
		if got, err := putHeadline(broken, "new\n"); err == nil {
			t.Errorf("%q became %q", broken, got)
		}
	}
}

// What can be read back is what was written: the page is made from that.
func TestReportComesBack(t *testing.T) {
	r := exampleReport()
	encoded, err := r.encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := decodeReport(encoded)
	if err != nil {
		t.Fatal(err)
	}
	again, err := back.encode()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(encoded), string(again)); diff != "" {
		t.Errorf("(-written +read back):\n%s", diff)
	}
	if diff := cmp.Diff(r.page(), back.page()); diff != "" {
		t.Errorf("page (-of the run +of the JSON):\n%s", diff)
	}
	if _, err := decodeReport([]byte("{")); err == nil {
		t.Error("half a report was read")
	}
}

// No figure of the performance page and of the README is typed by hand: both
// are what `make bench` makes of its JSON.
func TestPublishedFiguresComeFromTheReport(t *testing.T) {
	root := filepath.Join("..", "..")
	read := func(path ...string) string {
		text, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	encoded := read("docs", "performance.json")
	r, err := decodeReport([]byte(encoded))
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.encode()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(encoded, string(again)); diff != "" {
		t.Errorf("docs/performance.json is not as make bench writes it (-is +ought to be):\n%s", diff)
	}
	if diff := cmp.Diff(read("docs", "performance.md"), r.page()); diff != "" {
		t.Errorf("docs/performance.md is not what docs/performance.json says: run make bench (-is +ought to be):\n%s", diff)
	}
	block, err := r.headline()
	if err != nil {
		t.Fatal(err)
	}
	readme := read("README.md")
	renewed, err := putHeadline(readme, block)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(readme, renewed); diff != "" {
		t.Errorf("README.md does not have the figures of docs/performance.json: run make bench (-is +ought to be):\n%s", diff)
	}
}
