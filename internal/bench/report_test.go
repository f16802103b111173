// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func exampleReport() report {
	best := newRow("rate 1k: worst second off by", "%", series{3, 0.1}).atMost(0.5, 0)
	best.Value = 0.1
	return report{
		Machine: machine{CPU: "Some CPU", Cores: 2, Kernel: "6.1", Arch: "amd64", Go: "go1.26", Clang: "14.0.6"},
		Commit:  "0123456789ab",
		Started: time.Unix(1, 0),
		Rows: []row{
			inGroup("send", newRow("packet: sweep", perSecond, series{90_000, 180_000}).against("fixed frames", series{100_000, 200_000}).ratioAtLeast(0.85, 0.95)),
			inGroup("memory", newRow("memory", "MiB", series{80}).atMost(64, 0)),
			inGroup("promise", best),
			inGroup("promise", newRow("cpu", "s", series{1.5, 2.5})),
		},
		Notes: []note{{"peers", "fping: not installed."}},
	}
}

func inGroup(name string, r row) row {
	r.Group = name
	return r
}

func TestTable(t *testing.T) {
	const want = `Some CPU, 2 cores, Linux 6.1 amd64, go1.26, objects of clang 14.0.6

what                          measured  min..max       compared with          ratio  goal                     result
packet: sweep                 135.0k/s  90.0k..180.0k  fixed frames 150.0k/s  0.9    ratio >= 0.85, aim 0.95  ok

memory                        80 MiB                                                 <= 64 MiB                missed

rate 1k: worst second off by  0.1%      0.1..3                                       <= 0.5%                  ok
cpu                           2 s       1.5..2.5

peers: fping: not installed.

every round:
  rate 1k: worst second off by  3%  0.1%
`
	var text strings.Builder
	r := exampleReport()
	if err := r.writeTable(&text); err != nil {
		t.Fatal(err)
	}
	if err := r.writeRounds(&text, "rate"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestNoRounds(t *testing.T) {
	var text strings.Builder
	if err := exampleReport().writeRounds(&text, "nothing"); err != nil || text.Len() != 0 {
		t.Errorf("%q, error %v: want neither", text.String(), err)
	}
}

// Whoever reads the JSON finds every figure with all its rounds.
func TestJSON(t *testing.T) {
	encoded, err := exampleReport().encode()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(encoded, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"machine": map[string]any{"cpu": "Some CPU", "cores": 2.0, "kernel": "6.1", "arch": "amd64", "go": "go1.26", "clang": "14.0.6"},
		"commit":  "0123456789ab",
		"started": "1970-01-01T00:00:01Z",
		"figures": []any{
			map[string]any{
				"group": "send", "what": "packet: sweep", "unit": "/s", "value": 135_000.0, "rounds": []any{90_000.0, 180_000.0},
				"limit": map[string]any{"what": "fixed frames", "value": 150_000.0, "rounds": []any{100_000.0, 200_000.0}, "ratio": 0.9},
				"goal":  map[string]any{"of": "ratio", "sense": ">=", "bound": 0.85, "aim": 0.95}, "verdict": "ok",
			},
			map[string]any{
				"group": "memory", "what": "memory", "unit": "MiB", "value": 80.0, "rounds": []any{80.0},
				"goal": map[string]any{"of": "value", "sense": "<=", "bound": 64.0}, "verdict": "missed",
			},
			map[string]any{
				"group": "promise", "what": "rate 1k: worst second off by", "unit": "%", "value": 0.1, "rounds": []any{3.0, 0.1},
				"goal": map[string]any{"of": "value", "sense": "<=", "bound": 0.5}, "verdict": "ok",
			},
			map[string]any{"group": "promise", "what": "cpu", "unit": "s", "value": 2.0, "rounds": []any{1.5, 2.5}},
		},
		"notes": []any{map[string]any{"group": "peers", "text": "fping: not installed."}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestJSONRefusesWhatIsNoFigure(t *testing.T) {
	for _, value := range []float64{math.NaN(), math.Inf(1)} {
		r := report{Rows: []row{{What: "broken", Value: value}}}
		if _, err := r.encode(); err == nil || !strings.Contains(err.Error(), "broken") {
			t.Errorf("a figure of %v: error %v, want one that names it", value, err)
		}
	}
}
