// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"io"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// hlogDigits is how exact the log's distributions are, in decimal digits: more
// than the kernel's bins.
const hlogDigits = 3

// WriteHLog writes the latencies of all trials as an HdrHistogram log (.hlog, log
// format 1.3, which the HistogramLogProcessor and HistogramLogAnalyzer read), in
// ns: of each trial that was answered an interval from the send stamp and one from
// the scheduled time. Tags tell which, and load and size. An interval begins with
// its trial, warm-up included, and is as long as what counts.
func (r *Result) WriteHLog(w io.Writer) error {
	log := hdrhistogram.NewHistogramLogWriter(w)
	if err := log.OutputLogFormatVersion(); err != nil {
		return err
	}
	if err := log.OutputStartTime(r.Started.UnixMilli()); err != nil {
		return err
	}
	if err := log.OutputComment("[xsweep bench: values in nanoseconds, Interval_Max in milliseconds]"); err != nil {
		return err
	}
	if err := log.OutputLegend(); err != nil {
		return err
	}
	for i := range r.Trials {
		if err := r.Trials[i].log(log, i+1); err != nil {
			return fmt.Errorf("trial %d: %w", i+1, err)
		}
	}
	return nil
}

func (t *Trial) log(log *hdrhistogram.HistogramLogWriter, number int) error {
	mark := ""
	if !t.Valid && t.RTT.Count > 0 {
		mark = "not-valid-" // so that nobody adds it to those that are
		if err := log.OutputComment(fmt.Sprintf("[trial %d is not valid: %s]", number, t.Reason)); err != nil {
			return err
		}
	}
	for _, l := range []struct {
		*Latency
		from string
	}{{&t.RTT, "sent"}, {&t.RTTScheduled, "scheduled"}} {
		if len(l.Bins) == 0 {
			continue
		}
		h, err := l.histogram()
		if err != nil {
			return err
		}
		h.SetTag(fmt.Sprintf("%s%s-%.0fpps-%dB", mark, l.from, t.RateOffered, t.Size))
		h.SetStartTimeMs(t.Started.UnixMilli())
		h.SetEndTimeMs(t.Started.UnixMilli() + int64(1000*t.Duration+0.5))
		if err := log.OutputIntervalHistogram(h); err != nil {
			return err
		}
	}
	return nil
}

// histogram is the distribution as HdrHistogram keeps it: the middles of the bins,
// but minimum and maximum as they are.
func (l *Latency) histogram() (*hdrhistogram.Histogram, error) {
	h := hdrhistogram.New(1, max(int64(l.Max), 2), hlogDigits)
	last := len(l.Bins) - 1
	for i, b := range l.Bins {
		n := int64(b.Count)
		if i == last && n > 0 {
			if err := h.RecordValue(int64(l.Max)); err != nil {
				return nil, err
			}
			n--
		}
		if i == 0 && n > 0 {
			if err := h.RecordValue(int64(l.Min)); err != nil {
				return nil, err
			}
			n--
		}
		if err := h.RecordValues(int64(b.NS), n); err != nil {
			return nil, err
		}
	}
	return h, nil
}
