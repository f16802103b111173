// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"xsweep/loader"
	"xsweep/sweep/reply"
)

// echoReplies are records as a sweep of the internet brings them: addresses in
// no order, times that rise, hop limits and round-trip times that vary.
func echoReplies(r *rand.Rand, n int) []reply.Record {
	records := make([]reply.Record, n)
	at := time.Unix(1_800_000_000, 0).UTC()
	for i := range records {
		at = at.Add(time.Duration(r.IntN(1000)))
		addr := netip.AddrFrom4([4]byte{byte(1 + r.IntN(223)), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
		records[i] = reply.Record{Time: at, Addr: addr, From: addr, Kind: reply.EchoReply, TTL: uint8(40 + r.IntN(20)),
			Attempt: 1, Verdict: loader.First, Size: 28, RTT: time.Millisecond + time.Duration(r.ExpFloat64()*3e7),
			ClockOffset: reply.OffsetUnknown}
	}
	return records
}

func BenchmarkParquet(b *testing.B) {
	const batch = 4096
	records := echoReplies(rand.New(rand.NewPCG(1, 2)), parquetGroupRows)
	p := newParquetStream(io.Discard, Config{Format: Parquet})
	written := 0
	for b.Loop() {
		for i := 0; i < len(records); i += batch {
			if err := p.Write(records[i : i+batch]); err != nil {
				b.Fatal(err)
			}
		}
		written += len(records)
	}
	b.ReportMetric(float64(written)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(written), "ns/record")
}
