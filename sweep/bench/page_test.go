// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"
)

// searched is the result of a search of a simulated target.
func searched(t *testing.T) *Result {
	t.Helper()
	s := &simulated{capacity: 100_000}
	found, trials, err := Search(context.Background(), s, SearchConfig{Goals: goals(0, 0.005), Min: 10, Max: 1_000_000, Warmup: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	r := &Result{Command: []string{"xsweep", "bench", "<script>alert(1)</script>"}, Trials: trials, NDR: found[:1], PDR: found[1:]}
	latency := Latency{Count: 3, Min: 1000, P50: 2000, P99: 3000, Max: 3000, Bins: []Bin{{1000, 1}, {2000, 1}, {3000, 1}}}
	r.Trials = append(r.Trials, Trial{
		Valid: true, RateOffered: 50_000, Sent: 10, Answered: 10, RTT: latency, RTTScheduled: latency, Purpose: "latency at 50 %",
		Seconds: []Second{{At: 1, Sent: 5, Answered: 5}, {At: 2, Sent: 5, Answered: 4}},
	}, Trial{Reason: "the device refused 3 frames", RateOffered: 200_000, Sent: 5, Lost: 5})
	r.Conclude()
	return r
}

// The page stands for itself: nothing is fetched, nothing is run, all that is
// drawn has a place, and the verdict is there.
func TestPage(t *testing.T) {
	r := searched(t)
	var out bytes.Buffer
	if err := r.WritePage(&out); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, want := range []string{r.Verdict, "NDR", "PDR 0.5 %", "the device refused 3 frames", "Seconds of the longest trial", "The search&#39;s path", "&lt;script&gt;"} {
		if !strings.Contains(text, want) && !strings.Contains(text, strings.ReplaceAll(want, "&#39;", "'")) {
			t.Errorf("lacks %q", want)
		}
	}
	if bad := regexp.MustCompile(`<script|src=|href=|url\(|@import|NaN|Inf|ZgotmplZ`).FindString(text); bad != "" {
		t.Errorf("has %q", bad)
	}
	charts := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1)
	if len(charts) != 5 {
		t.Errorf("%d charts", len(charts))
	}
	for _, c := range charts {
		d := xml.NewDecoder(strings.NewReader(c))
		for {
			_, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%v: %s", err, c)
			}
		}
	}
	// A result without anything is a page too.
	if err := (&Result{}).WritePage(io.Discard); err != nil {
		t.Error(err)
	}
}

// Axes have a few round ticks between their ends, whatever the values.
func TestAxis(t *testing.T) {
	for _, high := range []float64{1e-3, 0.7, 1, 3, 99, 1234, 5e6, 7e9} {
		for _, log := range []bool{false, true} {
			a := axis{log: log, from: 0, to: 100}
			a.fit([]series{{points: []point{{y: high}, {y: high / 1000}}}}, func(p point) float64 { return p.y })
			ticks := a.ticks()
			if len(ticks) < 2 || len(ticks) > 8 {
				t.Errorf("%v, log %t: %v", high, log, ticks)
			}
			for _, v := range append(ticks, high, high/1000) {
				if at := a.at(v); at < -0.1 || at > 100.1 || math.IsNaN(at) {
					t.Errorf("%v is at %v", v, at)
				}
			}
		}
	}
}
