// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The best setting is the fastest that finds every host, whatever is faster
// still; and if there is none, the one that finds most.
func TestBestSetting(t *testing.T) {
	const live = 100
	for _, tt := range []struct {
		name    string
		senders int
		// missed tells how many hosts are missed at a rate of so many senders;
		// without a limit, a sender does 1000.
		missed func(senders int, rate float64) uint64
		want   setting
	}{
		{"nothing missed", 2, func(int, float64) uint64 { return 0 }, setting{senders: 2}},
		{"slower finds all", 1, func(_ int, rate float64) uint64 {
			if rate > 900 {
				return 1
			}
			return 0
		}, setting{1, 800}},
		{"never all", 1, func(_ int, rate float64) uint64 { return uint64(rate / 100) }, setting{1, 512}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := bestSetting(tt.senders, func(s setting) (peerResult, error) {
				rate := float64(s.rate)
				if s.rate == 0 {
					rate = 1000 * float64(s.senders)
				}
				return peerResult{rate, verdict{live: live, missed: tt.missed(s.senders, rate)}}, nil
			})
			if err != nil || got.setting != tt.want {
				t.Errorf("best is %v, error %v; want %v", got.setting, err, tt.want)
			}
		})
	}
	broken := errors.New("broken")
	if _, err := bestSetting(1, func(setting) (peerResult, error) { return peerResult{}, broken }); !errors.Is(err, broken) {
		t.Errorf("error %v, want that of the tool", err)
	}
}

// In a round the best setting is the fastest that finds all.
func TestBestOf(t *testing.T) {
	settings := []setting{{senders: 1}, {senders: 2}, {senders: 3}}
	got, err := bestOf(settings, func(s setting) (peerResult, error) {
		r := peerResult{rate: float64(s.senders) * 1000, verdict: verdict{live: 10}}
		if s.senders == 3 {
			r.missed = 1
		}
		return r, nil
	})
	if err != nil || got.setting != settings[1] {
		t.Errorf("best is %v, error %v", got.setting, err)
	}
	broken := errors.New("broken")
	if _, err := bestOf(settings, func(setting) (peerResult, error) { return peerResult{}, broken }); !errors.Is(err, broken) {
		t.Errorf("error %v, want that of the tool", err)
	}
}

// Only what a tool sends counts, from the first reading with probes to the
// last: neither its start, nor its cooldown, nor our own nudges.
func TestArrivals(t *testing.T) {
	a := arrivals{n: 3000}
	start := time.Unix(1000, 0)
	for _, tt := range []struct {
		after   time.Duration
		arrived uint64
		nudge   bool
	}{
		{0, 0, false},
		{3 * time.Second, 0, false},
		{4 * time.Second, 1000, false},
		{5 * time.Second, 2000, false},
		{6 * time.Second, 2500, false},
		{6*time.Second + peerQuiet, 2500, false},
		{7*time.Second + peerQuiet, 2500, true},
		{8*time.Second + peerQuiet, 2564, false},
		{9*time.Second + 2*peerQuiet, 2564, true},
	} {
		if got := a.look(start.Add(tt.after), tt.arrived); got != tt.nudge {
			t.Errorf("after %v: nudge %v, want %v", tt.after, got, tt.nudge)
		}
	}
	if rate, err := a.rate(); err != nil || rate != 750 {
		t.Errorf("rate is %v, error %v; want 750", rate, err)
	}

	full := arrivals{n: 2000}
	for k := range 4 {
		full.look(start.Add(time.Duration(k)*time.Second), uint64(k)*1000)
	}
	if rate, err := full.rate(); err != nil || rate != 1000 {
		t.Errorf("with others' packets behind: rate is %v, error %v; want 1000", rate, err)
	}
	if _, err := new(arrivals).rate(); !errors.Is(err, errNothingSent) {
		t.Errorf("without any: error %v", err)
	}
}

func TestPeerArguments(t *testing.T) {
	for _, tt := range []struct {
		got  []string
		want string
	}{
		{zmapArguments("240.0.0.0/13", setting{2, 0}), "--probe-module=icmp_echoscan --config=/dev/null --blocklist-file=/dev/null" +
			" --interface=lab0 --source-ip=198.18.0.1 --gateway-mac=02:78:73:00:00:02 --sender-threads=2 --rate=0 --cooldown-time=1" +
			" --quiet --disable-syslog --verbosity=0 --output-file=- 240.0.0.0/13"},
		{masscanArguments("240.0.0.0/13", setting{1, 5000}), "--ping 240.0.0.0/13 --adapter lab0 --adapter-ip 198.18.0.1" +
			" --router-mac 02-78-73-00-00-02 --rate 5000 --wait 1 --output-format list --output-filename -"},
		{fpingArguments("240.0.0.0/18", setting{1, 4000}), "--alive --quiet --retry=0 --timeout=500 --interval=0.250" +
			" --iface=lab0 --src=198.18.0.1 --generate 240.0.0.0 240.0.63.255"},
	} {
		if diff := cmp.Diff(tt.want, strings.Join(tt.got, " ")); diff != "" {
			t.Errorf("arguments (-want +got):\n%s", diff)
		}
	}
	// Without a limit each goes as fast as it can.
	if got := strings.Join(masscanArguments("240.0.0.0/13", setting{1, 0}), " "); !strings.Contains(got, "--rate 100000000 ") {
		t.Errorf("masscan without a limit: %s", got)
	}
	if got := strings.Join(fpingArguments("240.0.0.0/18", setting{1, 0}), " "); !strings.Contains(got, "--interval=0.01 ") {
		t.Errorf("fping without a limit: %s", got)
	}
}

// What the tools say of their versions: zmap with a log on standard error,
// masscan with a status that is not 0.
func TestPeerVersion(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"zmap", "echo 'Nov 23 00:13:18.179 [INFO] zmap: By default' >&2; echo 'zmap v4.3.4'", "4.3.4"},
		{"masscan", "echo; echo 'Masscan version 1.3.2 ( https://github.com/robertdavidgraham/masscan )'; echo 'Compiled on: Feb  2 2021 11:13:27'; exit 1", "1.3.2"},
		{"fping", "echo 'fping: Version 5.1'; echo 'fping: comments to david@schweikert.ch'", "5.1"},
		{"one that says nothing", "exit 1", ""},
	} {
		path := filepath.Join(t.TempDir(), tt.name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+tt.script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		got, err := peerTool{name: tt.name}.version(context.Background(), path)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: version %q, error %v; want %q", tt.name, got, err, tt.want)
		}
	}
}
