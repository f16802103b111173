// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"xsweep/loader"
	"xsweep/sweep"
)

// doctorReport is what --json prints; docs/doctor.md explains the keys.
type doctorReport struct {
	Version      string             `json:"version"`
	Ready        bool               `json:"ready"`
	Kernel       doctorKernel       `json:"kernel"`
	Capabilities []doctorCapability `json:"capabilities"`
	Features     []doctorFeature    `json:"features"`
	Interfaces   []doctorInterface  `json:"interfaces"`
	Lacks        []doctorLack       `json:"lacks"` // of the machine as a whole
}

type doctorKernel struct {
	Release    string `json:"release"`
	Minimum    string `json:"minimum"`
	Sufficient bool   `json:"sufficient"`
}

type doctorCapability struct {
	Name string `json:"name"`
	Held bool   `json:"held"`
}

type doctorFeature struct {
	Name     string `json:"name"`
	Title    string `json:"title"`
	Optional bool   `json:"optional"`
	State    string `json:"state"`
	Reason   string `json:"reason"`
	Advice   string `json:"advice"`
}

type doctorInterface struct {
	Name          string         `json:"name"`
	Index         int            `json:"index"`
	Usable        bool           `json:"usable"`
	State         string         `json:"state"`
	LinkType      string         `json:"link_type"`
	Encapsulation string         `json:"encapsulation"`
	MTU           int            `json:"mtu"`
	Driver        string         `json:"driver"`
	Queues        doctorQueues   `json:"queues"`
	XDP           doctorXDP      `json:"xdp"`
	IPv4          []netip.Prefix `json:"ipv4"`
	Transmitter   string         `json:"transmitter"`
	TxThreads     int            `json:"tx_threads"`
	Lacks         []doctorLack   `json:"lacks"`
}

type doctorQueues struct {
	Combined uint32 `json:"combined"`
	Rx       uint32 `json:"rx"`
	Tx       uint32 `json:"tx"`
}

type doctorXDP struct {
	Native         string         `json:"native"`  // yes, no or unknown
	Generic        string         `json:"generic"` // yes or no
	Features       []string       `json:"features"`
	FeaturesReason string         `json:"features_reason"` // why Features is nil
	Program        *doctorProgram `json:"program"`
	Transmit       string         `json:"transmit"`        // yes, no or unknown: frames from programs
	TransmitReason string         `json:"transmit_reason"` // why not yes
}

type doctorProgram struct {
	ID   uint32 `json:"id"`
	Name string `json:"name"`
}

// doctorLack is something that is not there. About is the row that it belongs
// to, among those of the machine or of an interface.
type doctorLack struct {
	About    string `json:"about"`
	Optional bool   `json:"optional"`
	Problem  string `json:"problem"`
	Advice   string `json:"advice"`
}

// doctorRow is one line for people, and what to do about it on a second one.
type doctorRow struct{ mark, label, value, advice string }

func (r *doctorReport) print(w io.Writer) error {
	var b strings.Builder
	section := func(title string, rows []doctorRow) {
		width := 0
		for _, row := range rows {
			width = max(width, len(row.label))
		}
		fmt.Fprintln(&b, title)
		for n, row := range rows {
			line := fmt.Sprintf("  %-8s  %-*s  %s", row.mark, width, row.label, row.value)
			fmt.Fprintln(&b, strings.TrimRight(line, " "))
			// The same advice for several in a row is given once.
			if row.advice != "" && (n+1 == len(rows) || rows[n+1].advice != row.advice) {
				fmt.Fprintf(&b, "  %-8s  -> %s\n", "", row.advice)
			}
		}
	}

	kernel := doctorRow{"ok", r.Kernel.Release, "(xsweep is built for " + r.Kernel.Minimum + " and later)", ""}
	if !r.Kernel.Sufficient {
		kernel = doctorRow{"unknown", r.Kernel.Release, "older than " + r.Kernel.Minimum + ", for which xsweep is built: the features decide", ""}
	}
	section("kernel", []doctorRow{kernel})

	var rows []doctorRow
	for _, c := range r.Capabilities {
		rows = append(rows, doctorRow{mark: "ok", label: c.Name})
		if !c.Held {
			rows[len(rows)-1].mark = "missing"
		}
	}
	if len(r.Lacks) > 0 && r.Lacks[0].About == "capabilities" {
		rows[len(rows)-1].advice = r.Lacks[0].Advice
	}
	section("capabilities", rows)

	rows = nil
	for _, f := range r.Features {
		row := doctorRow{f.State, f.Title, f.Reason, ""}
		if f.State == loader.FeatureMissing.String() && f.Optional {
			row.mark = "optional"
		}
		// What privileges would bring is said above already.
		if slices.ContainsFunc(r.Lacks, func(l doctorLack) bool { return l.About == f.Name }) {
			row.advice = f.Advice
		}
		rows = append(rows, row)
	}
	section("features", rows)

	var usable []string
	for _, i := range r.Interfaces {
		section("interface "+i.Name, i.rows())
		if i.Usable {
			usable = append(usable, i.Name)
		}
	}
	switch {
	case r.Ready:
		fmt.Fprintf(&b, "\nready: a sweep can run on %s\n", strings.Join(usable, ", "))
	case len(usable) == 0:
		fmt.Fprintln(&b, "\nnot ready: no interface can be used")
	default:
		fmt.Fprintln(&b, "\nnot ready: a capability or feature is not there")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (i *doctorInterface) rows() []doctorRow {
	modes := []string{}
	if i.XDP.Native == "yes" {
		modes = append(modes, "native")
	}
	if i.XDP.Generic == "yes" {
		modes = append(modes, "generic")
	}
	if i.XDP.Native == "unknown" {
		modes = append(modes, "native unknown")
	}
	features := list(i.XDP.Features)
	if i.XDP.FeaturesReason != "" {
		features = "unknown (" + i.XDP.FeaturesReason + ")"
	}
	program := "none"
	if p := i.XDP.Program; p != nil {
		program = loader.AttachedXDP{ID: p.ID, Name: p.Name}.String()
	}
	var addrs []string
	for _, p := range i.IPv4 {
		addrs = append(addrs, p.String())
	}
	rows := []struct{ about, label, value string }{
		{"state", "state", i.State},
		{"link", "link", fmt.Sprintf("%s (%s), MTU %d", i.LinkType, i.Encapsulation, i.MTU)},
		{"", "driver", cmp.Or(i.Driver, "none")},
		{"", "queues", i.Queues.String()},
		{"modes", "XDP modes", list(modes)},
		{"", "XDP features", features},
		{"program", "XDP program", program},
		{"ipv4", "IPv4", list(addrs)},
		{"", "transmitter", cmp.Or(i.Transmitter, "none")},
		{"", "XDP sending", i.xdpSending()},
		{"", "send threads", fmt.Sprintf("%d at most by default", i.TxThreads)},
	}
	var out []doctorRow
	for _, row := range rows {
		o := doctorRow{label: row.label, value: row.value}
		if row.about != "" {
			o.mark = "ok"
		}
		var advice []string
		for _, l := range i.Lacks {
			if l.About != row.about {
				continue
			}
			if !l.Optional {
				o.mark = "missing"
			} else if o.mark == "ok" {
				o.mark = "optional"
			}
			advice = append(advice, l.Problem+": "+l.Advice)
		}
		o.advice = strings.Join(advice, "; ")
		out = append(out, o)
	}
	return out
}

// xdpSending says when the automatic choice considers the transmitter xdp.
func (i *doctorInterface) xdpSending() string {
	if i.XDP.Transmit == "yes" {
		return fmt.Sprintf("yes: above %v packets a second, where it measures faster", sweep.PacketEnough)
	}
	return i.XDP.Transmit + ": " + i.XDP.TransmitReason
}

func (q doctorQueues) String() string {
	var parts []string
	for _, p := range []struct {
		n    uint32
		kind string
	}{{q.Combined, "combined"}, {q.Rx, "rx"}, {q.Tx, "tx"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.kind))
		}
	}
	return list(parts)
}

func list(items []string) string { return cmp.Or(strings.Join(items, ", "), "none") }
