// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"io"
	"testing"
)

// Batches as the collector hands them over, with all fields.
func benchmark(b *testing.B, c Config) {
	records := numbered(4096)
	for i := range records {
		records[i].Time = records[i].Time.Add(1017 * 1017 * 7)
	}
	w := NewWriter(io.Discard, c)
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Write(records); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(records))*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkText(b *testing.B)      { benchmark(b, Config{Format: Text}) }
func BenchmarkCSV(b *testing.B)       { benchmark(b, Config{Format: CSV}) }
func BenchmarkJSONLines(b *testing.B) { benchmark(b, Config{Format: JSONLines}) }
func BenchmarkCSVGzip(b *testing.B)   { benchmark(b, Config{Format: CSV, Compression: Gzip}) }
func BenchmarkCSVZstd(b *testing.B)   { benchmark(b, Config{Format: CSV, Compression: Zstd}) }
func BenchmarkJSONZstd(b *testing.B)  { benchmark(b, Config{Format: JSONLines, Compression: Zstd}) }
func BenchmarkLines(b *testing.B)     { benchmark(b, Config{Format: CSV, Fields: []Field{Addr, RTT, TTL}}) }
