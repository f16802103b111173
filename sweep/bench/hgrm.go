// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bufio"
	"fmt"
	"io"
	"math"
)

// ticksPerHalfDistance is how many lines the percentile distribution has for each
// halving of what is left to 100 %, as HdrHistogram's own tools have by default.
const ticksPerHalfDistance = 5

// WriteHGRM writes a distribution as HdrHistogram's percentile distribution (the
// .hgrm files that its plotter reads), in microseconds. Its tools agree on four
// columns, of which the last one is inf at 100 %, and on # before remarks.
func (l *Latency) WriteHGRM(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")
	for _, p := range l.Percentiles() {
		if p.Share < 1 {
			fmt.Fprintf(out, "%12.3f %2.12f %10d %14.2f\n", p.NS/1e3, p.Share, p.Count, 1/(1-p.Share))
		} else {
			fmt.Fprintf(out, "%12.3f %2.12f %10d %14s\n", p.NS/1e3, p.Share, p.Count, "inf")
		}
	}
	fmt.Fprintf(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", l.Mean/1e3, l.deviation()/1e3)
	fmt.Fprintf(out, "#[Max     = %12.3f, Total count    = %12d]\n", float64(l.Max)/1e3, l.Count)
	fmt.Fprintf(out, "#[Buckets = %12d, SubBuckets     = %12d]\n", 30, 128)
	return out.Flush()
}

// Percentile is one point of a distribution: Count, which is a share of all, took
// no longer than NS.
type Percentile struct {
	NS    float64
	Share float64
	Count uint64
}

// Percentiles are points of the distribution, closer together towards 100 %.
func (l *Latency) Percentiles() []Percentile {
	var total uint64
	for _, b := range l.Bins {
		total += b.Count
	}
	if total == 0 {
		return nil
	}
	var list []Percentile
	share, seen, i := 0.0, uint64(0), 0
	for {
		rank := max(uint64(math.Ceil(share*float64(total))), 1)
		for seen < rank {
			seen += l.Bins[i].Count
			i++
		}
		ns := float64(l.Bins[i-1].NS)
		if seen == total {
			return append(list, Percentile{float64(l.Max), 1, total})
		}
		list = append(list, Percentile{ns, share, seen})
		// A step is a part of what is left to the next halving.
		halvings := math.Floor(math.Log2(1/(1-share))) + 1
		share += math.Pow(0.5, halvings) / ticksPerHalfDistance
	}
}

// deviation is the standard deviation in ns, by the bins' middles.
func (l *Latency) deviation() float64 {
	var sum, n float64
	for _, b := range l.Bins {
		d := float64(b.NS) - l.Mean
		sum += d * d * float64(b.Count)
		n += float64(b.Count)
	}
	if n == 0 {
		return 0
	}
	return math.Sqrt(sum / n)
}
