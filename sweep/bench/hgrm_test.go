// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"xsweep/loader"
)

// The distribution is written as HdrHistogram's tools write it: shares ascend to
// 1, and each count is that of all up to the value.
func TestHGRM(t *testing.T) {
	l := Latency{Count: 1000, Max: 9_000_000, Mean: 20_000}
	for i := range 999 {
		l.Bins = append(l.Bins, Bin{NS: uint64(1000 * (i + 1)), Count: 1})
	}
	l.Bins = append(l.Bins, Bin{NS: 9_000_000, Count: 1})
	last, lastCount := -1.0, uint64(0)
	for _, p := range l.Percentiles() {
		if p.Share <= last || p.Count < lastCount || float64(p.Count) < p.Share*1000 {
			t.Errorf("%+v behind %v", p, last)
		}
		if p.Share < 1 && p.NS != float64(p.Count)*1000 {
			t.Errorf("%+v", p)
		}
		last, lastCount = p.Share, p.Count
	}
	if last != 1 || lastCount != 1000 {
		t.Errorf("ends with %v, %d", last, lastCount)
	}
	var out bytes.Buffer
	if err := l.WriteHGRM(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"       Value     Percentile TotalCount 1/(1-Percentile)\n\n", "     500.000 0.500000000000        500           2.00\n",
		"    9000.000 1.000000000000       1000            inf\n#[Mean    =       20.000, StdDeviation", "Total count    =         1000]",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q:\n%s", want, &out)
		}
	}
	if (&Latency{}).Percentiles() != nil {
		t.Error("points of nothing")
	}
}

// drawn is a distribution as the kernel keeps it, of values that are known as
// well: most are some microseconds, some a thousand times as much.
func drawn(n int) (Latency, []uint64) {
	random := rand.New(rand.NewPCG(1, 2))
	var l loader.BenchLatency
	var values []uint64
	for range n {
		v := 200 + uint64(2000*math.Exp(random.NormFloat64()))
		if random.IntN(100) == 0 {
			v *= 1000
		}
		values = append(values, v)
		bin := 0
		for low, high := 0, len(l.Bins)-1; low <= high; { // of the last one that begins at or below v
			middle := (low + high) / 2
			if from, _ := loader.BenchBin(middle); from <= float64(v) {
				bin, low = middle, middle+1
			} else {
				high = middle - 1
			}
		}
		l.Bins[bin]++
		l.Count++
		l.Sum += v
		l.Max = max(l.Max, v)
		if l.Min == 0 || v < l.Min {
			l.Min = v
		}
	}
	return newLatency(&l), values
}

// plotted is a line of a percentile distribution as HdrHistogram's plotter reads
// it: four columns with blanks between, the first in front of the last.
type plotted struct{ value, share, count, inverse float64 }

func plot(t *testing.T, text string) (list []plotted) {
	t.Helper()
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) != 4 || words[0][0] == '#' || words[0] == "Value" {
			continue
		}
		var n [4]float64
		for i, word := range words {
			v, err := strconv.ParseFloat(word, 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			n[i] = v
		}
		list = append(list, plotted{n[0], n[1], n[2], n[3]})
	}
	return list
}

// What is written says the same as HdrHistogram's own writer does of the same
// values, within the width of the bins, and reads as that does.
func TestHGRMAgrees(t *testing.T) {
	l, values := drawn(50_000)
	truth := hdrhistogram.New(1, 1e12, 4)
	for _, v := range values {
		if err := truth.RecordValue(int64(v)); err != nil {
			t.Fatal(err)
		}
	}
	var out, theirs bytes.Buffer
	if err := l.WriteHGRM(&out); err != nil {
		t.Fatal(err)
	}
	if _, err := truth.PercentilesPrint(&theirs, 5, 1000); err != nil {
		t.Fatal(err)
	}
	ours, want := plot(t, out.String()), plot(t, theirs.String())
	library := map[float64]plotted{}
	for _, p := range want {
		library[p.share] = p
	}
	compared := 0
	for _, p := range ours {
		w, ok := library[math.Round(p.share*1e6)/1e6] // it has six digits
		if !ok {
			continue
		}
		compared++
		if math.Abs(p.value-w.value) > 0.005*w.value+0.002 || math.Abs(p.count-w.count) > 0.01*float64(l.Count) {
			t.Errorf("%v: %v µs, %v answers, the library's are %v and %v", p.share, p.value, p.count, w.value, w.count)
		}
		if wrong := p.inverse / w.inverse; p.share < 1 && math.Abs(wrong-1) > 0.01 {
			t.Errorf("%v: 1/(1-Percentile) is %v, the library's %v", p.share, p.inverse, w.inverse)
		}
	}
	if compared < 50 || compared < len(ours)-5 {
		t.Errorf("%d of %d lines have the library's percentiles, which has %d", compared, len(ours), len(want))
	}
	last, theirLast := ours[len(ours)-1], want[len(want)-1]
	if last.share != theirLast.share || last.count != theirLast.count || !math.IsInf(last.inverse, 1) || !math.IsInf(theirLast.inverse, 1) {
		t.Errorf("ends with %+v, the library's with %+v", last, theirLast)
	}
	if last.value != float64(l.Max)/1000 {
		t.Errorf("ends at %v, the maximum is %d ns", last.value, l.Max)
	}
	// The same remarks.
	for _, word := range []string{"#[Mean    = ", ", StdDeviation   = ", "#[Max     = ", ", Total count    = ", "#[Buckets = ", ", SubBuckets     = "} {
		if !strings.Contains(out.String(), word) || !strings.Contains(theirs.String(), word) {
			t.Errorf("%q is missing", word)
		}
	}
}

// The log can be read by HdrHistogram's reader: of each trial two distributions
// with the same counts, quantiles, ends and times.
func TestHLog(t *testing.T) {
	sent, _ := drawn(5000)
	scheduled, _ := drawn(3000)
	one := Latency{Count: 1, Min: 777, Max: 777, Mean: 777, Bins: []Bin{{777, 1}}}
	began := time.Date(2026, 3, 1, 12, 0, 0, 250e6, time.UTC)
	r := &Result{Started: began, Trials: []Trial{
		{Valid: true, Started: began, Duration: 2, RateOffered: 50_000, Size: 56, RTT: sent, RTTScheduled: scheduled},
		{Started: began, Duration: 1}, // without answers: nothing to tell
		{Started: began.Add(time.Minute), Duration: 0.5, RateOffered: 100_000, Size: 20, RTT: one, RTTScheduled: sent, Reason: "the device refused 3 frames"},
	}}
	var out bytes.Buffer
	if err := r.WriteHLog(&out); err != nil {
		t.Fatal(err)
	}
	head := "#[Histogram log format version 1.3]\n#[StartTime: 1772366400 (seconds since epoch), 2026-03-01T12:00:00Z]\n"
	if !strings.HasPrefix(out.String(), head) || !strings.Contains(out.String(), "\n\"StartTimestamp\",\"Interval_Length\",") {
		t.Errorf("begins with\n%.300s", &out)
	}
	if !strings.Contains(out.String(), "#[trial 3 is not valid: the device refused 3 frames]\n") {
		t.Errorf("does not say which trial is not valid")
	}
	reader := hdrhistogram.NewHistogramLogReader(&out)
	for _, want := range []struct {
		tag       string
		latency   Latency
		from, end time.Time
	}{
		{"sent-50000pps-56B", sent, began, began.Add(2 * time.Second)},
		{"scheduled-50000pps-56B", scheduled, began, began.Add(2 * time.Second)},
		{"not-valid-sent-100000pps-20B", one, began.Add(time.Minute), began.Add(60500 * time.Millisecond)},
		{"not-valid-scheduled-100000pps-20B", sent, began.Add(time.Minute), began.Add(60500 * time.Millisecond)},
	} {
		h, err := reader.NextIntervalHistogram()
		if err != nil || h == nil {
			t.Fatalf("%s: %v", want.tag, err)
		}
		if h.Tag() != want.tag || h.TotalCount() != int64(want.latency.Count) {
			t.Errorf("%s: tag %q, %d values of %d", want.tag, h.Tag(), h.TotalCount(), want.latency.Count)
		}
		if h.StartTimeMs() != want.from.UnixMilli() || h.EndTimeMs() != want.end.UnixMilli() {
			t.Errorf("%s: from %d to %d", want.tag, h.StartTimeMs(), h.EndTimeMs())
		}
		for _, q := range []float64{0.1, 0.5, 0.9, 0.99, 0.999} {
			got, expected := float64(h.ValueAtPercentile(100*q)), float64(want.latency.Quantile(q))
			if math.Abs(got-expected) > 0.002*expected+1 {
				t.Errorf("%s: %v is %v, want %v", want.tag, q, got, expected)
			}
		}
		if !h.ValuesAreEquivalent(h.Max(), int64(want.latency.Max)) || !h.ValuesAreEquivalent(h.Min(), int64(want.latency.Min)) {
			t.Errorf("%s: %d to %d, want %d to %d", want.tag, h.Min(), h.Max(), want.latency.Min, want.latency.Max)
		}
	}
	if h, err := reader.NextIntervalHistogram(); h != nil || err != nil {
		t.Errorf("more: %v, %v", h, err)
	}
	// A result without anything is a log too.
	if err := (&Result{}).WriteHLog(&out); err != nil {
		t.Error(err)
	}
}
