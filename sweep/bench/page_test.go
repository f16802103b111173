// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
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
		Seconds: []Second{
			{At: 1, Sent: 5, Answered: 5, P50: 2000, P99: 3000, Max: 3000}, {At: 2, Sent: 5, Answered: 4, Lost: new(uint64), P50: 2000, P99: 3000, Max: 3000},
			{At: 2.3, Answered: 1, P50: 2000, P99: 2000, Max: 2000}, {At: 2.31, Answered: 1, P50: 9000, P99: 9000, Max: 9000},
		},
	}, Trial{Reason: "the device refused 3 frames", RateOffered: 200_000, Sent: 5, Lost: 5})
	r.Ceiling = &Ceiling{Rate: 123_456, Transmitter: TxXDP, Threads: 1}
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
	for _, want := range []string{r.Verdict, "NDR", "PDR 0.5 %", "the device refused 3 frames", "Seconds of the longest trial", "2 s: 5 sent, 4 answered, 0 lost", "2.3 s: p99 2 µs", "123,456 probes a second, by xdp", "The search&#39;s path", "&lt;script&gt;"} {
		if !strings.Contains(text, want) && !strings.Contains(text, strings.ReplaceAll(want, "&#39;", "'")) {
			t.Errorf("lacks %q", want)
		}
	}
	if bad := regexp.MustCompile(`<script|src=|href=|url\(|@import|NaN|Inf|ZgotmplZ`).FindString(text); bad != "" {
		t.Errorf("has %q", bad)
	}
	if strings.Contains(text, "0 sent, 1 answered") || strings.Contains(text, "2.31 s") {
		t.Error("a part of a second has a rate, or a latency")
	}
	charts := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1)
	if len(charts) != 2*7 {
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

// Axes have a few round ticks between their ends, whatever the values and
// however little room there is, and their labels find it.
func TestAxis(t *testing.T) {
	for _, high := range []float64{1e-3, 0.7, 1, 3, 99, 1234, 5e6, 7e9} {
		for _, spread := range []float64{1.001, 3, 1000, 1e6} {
			for _, a := range []axis{{}, {log: true}, {log: true, decades: true}} {
				for _, pixels := range []float64{300, 800} {
					a.from, a.to, a.high, a.show = 0, pixels, 0, func(v float64) string { return fmt.Sprintf("%.4g", v) }
					a.fit([]series{{points: []point{{y: high}, {y: high / spread}}}}, func(p point) float64 { return p.y })
					ticks := a.ticks(a.apart)
					if len(ticks) < 1 || len(ticks) < 2 && !a.decades || len(ticks) > 20 || !a.apart(ticks) {
						t.Errorf("%v to %v, log %t, %v pixels: %v", high/spread, high, a.log, pixels, ticks)
					}
					for _, v := range append(ticks, high, high/spread) {
						if at := a.at(v); at < -0.1 || at > pixels+0.1 || math.IsNaN(at) {
							t.Errorf("%v is at %v of %v", v, at, pixels)
						}
					}
				}
			}
		}
	}
}
