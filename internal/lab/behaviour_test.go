// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"math"
	"os"
	"regexp"
	"strings"
	"testing"

	"xsweep/bpf"
)

func TestParseWeights(t *testing.T) {
	for _, tc := range []struct {
		text string
		want Weights
		err  string // empty: none
	}{
		{"host", only(Normal), ""},
		{"host=50,silent=20", Weights{Normal: 50, SilentHost: 20}, ""},
		{" echo = 1", Weights{}, `behaviour "echo "`},
		{"echo, timestamp=3", Weights{EchoOnly: 1, TimestampOnly: 3}, ""},
		{"all", Weights{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, ""},
		{"broken=0,all=2,host=9", Weights{9, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0}, ""},
		{"mtu=65535", Weights{PathMTU: 65535}, ""},
		{"mtu=65536", Weights{}, `behaviour mtu: weight "65536" must be a whole number from 0 to 65535`},
		{"mtu=-1", Weights{}, `weight "-1"`},
		{"mtu=1.5", Weights{}, `weight "1.5"`},
		{"mtu=", Weights{}, `weight ""`},
		{"host,", Weights{}, `behaviour "": must be host, echo, timestamp, mask, silent, unreachable, redirect, source-quench, parameter-problem, mtu, broken or all`},
		{"", Weights{}, `behaviour ""`},
		{"host,host=2", Weights{}, `behaviour "host": is named twice`},
		{"all,all", Weights{}, `behaviour "all": is named twice`},
		{"host=0,silent=0", Weights{}, "one weight at least must not be 0"},
	} {
		got, err := ParseWeights(tc.text)
		if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
			t.Errorf("%q: error %v, want %q", tc.text, err, tc.err)
		}
		if got != tc.want {
			t.Errorf("%q: %v, want %v", tc.text, got, tc.want)
		}
	}
}

func TestWeightThresholds(t *testing.T) {
	const all = 1 << 32
	half := Weights{Normal: 1, Broken: 1}.thresholds()
	for b, got := range half {
		want := uint64(all / 2)
		if Behaviour(b) == Broken {
			want = all
		}
		if got != want {
			t.Errorf("half: threshold of %v is %d, want %d", Behaviour(b), got, want)
		}
	}
	for _, w := range []Weights{{}, only(Normal), {Normal: 7}} {
		if w.thresholds()[Normal] != all || !w.uniform() {
			t.Errorf("%v: not all are hosts", w)
		}
	}
	if only(SilentHost).uniform() || only(SilentHost).thresholds()[MaskOnly] != 0 {
		t.Error("only silent ones: some are not")
	}
	var most Weights
	for b := range most {
		most[b] = math.MaxUint16
	}
	if got := most.thresholds()[NumBehaviours-1]; got != all {
		t.Errorf("the largest weights end at %d", got)
	}
}

// Hosts behave as the weights say, within five standard deviations.
func TestBehaviourShares(t *testing.T) {
	const n = 200_000
	c := Config{Live: 1, Seed: 5, Behaviours: Weights{Normal: 50, SilentHost: 20, Unreachable: 10, PathMTU: 20}}
	var got [NumBehaviours]int
	for a := range span(0xf0000000, n).All() {
		got[c.Host(a).Behaviour]++
	}
	for b, weight := range c.Behaviours {
		p := float64(weight) / 100
		if off := math.Abs(float64(got[b]) - n*p); off > 5*math.Sqrt(n*p*(1-p)) {
			t.Errorf("%d of %d are %v, want about %.0f", got[b], n, Behaviour(b), n*p)
		}
	}
}

// Go and C name the same behaviours and flaws in the same order.
func TestBehaviourNames(t *testing.T) {
	if got := int(bpf.SimnetBehaviourBEHAVIOUR_COUNT); got != int(NumBehaviours) {
		t.Errorf("%d behaviours in C, %d in Go", got, NumBehaviours)
	}
	if got := int(bpf.SimnetFlawFLAW_COUNT); got != int(flawCount) {
		t.Errorf("%d flaws in C, %d in Go", got, flawCount)
	}
	text, err := os.ReadFile("../../bpf/include/simnet.h")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)^\tBEHAVIOUR_([A-Z_]+),`).FindAllSubmatch(text, -1)
	for b, name := range behaviourNames {
		if got := strings.ReplaceAll(strings.ToLower(string(names[b][1])), "_", "-"); got != name {
			t.Errorf("behaviour %d is %s in C, %s in Go", b, got, name)
		}
	}
	flaws := regexp.MustCompile(`(?m)^\tFLAW_([A-Z_]+),`).FindAllSubmatch(text, -1)
	for f, name := range map[flaw]string{
		flawReplyChecksum: "REPLY_CHECKSUM", flawReplyHeader: "REPLY_HEADER", flawReplyLength: "REPLY_LENGTH",
		flawReplyCookie: "REPLY_COOKIE", flawReplyCode: "REPLY_CODE", flawErrorChecksum: "ERROR_CHECKSUM",
		flawErrorHeader: "ERROR_HEADER", flawErrorLength: "ERROR_LENGTH", flawQuoteShort: "QUOTE_SHORT",
		flawQuoteCookie: "QUOTE_COOKIE", flawQuoteSource: "QUOTE_SOURCE", flawQuoteProtocol: "QUOTE_PROTOCOL",
		flawObjectsChecksum: "OBJECTS_CHECKSUM", flawObjectsLength: "OBJECTS_LENGTH",
	} {
		if got := string(flaws[f][1]); got != name {
			t.Errorf("flaw %d is %s in C, %s in Go", f, got, name)
		}
	}
}
