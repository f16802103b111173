// SPDX-License-Identifier: Apache-2.0

package sweep

// maxParts bounds the memory that a pass leaves behind.
const maxParts = 1024

// parts says when a pass was through with each part of the order.
type parts struct {
	size uint64  // targets of the shard in a part, all threads'
	ends []int64 // when the last of a part was handed over, CLOCK_MONOTONIC
	done int     // parts that the present pass is through with
}

// plan cuts a shard into parts of whole batches of each thread.
func (p *parts) plan(targets, threads, batch uint64) {
	unit := threads * batch
	units := (targets + unit - 1) / unit
	p.size = max((units+maxParts-1)/maxParts, 1) * unit
	p.ends = make([]int64, (targets+p.size-1)/p.size)
}

// mark notes that all targets below place are through.
func (p *parts) mark(place uint64, last bool, now int64) {
	for p.done < len(p.ends) && (last || uint64(p.done+1)*p.size <= place) {
		p.ends[p.done] = now
		p.done++
	}
}
