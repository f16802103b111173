// SPDX-License-Identifier: Apache-2.0

package sweep

// maxParts bounds the memory that a pass leaves behind.
const maxParts = 1024

// parts says when a pass was through with each part of the order.
type parts struct {
	size  uint64   // targets of the shard in a part, all threads'
	taken []uint64 // probes that the transmitter had taken when a part was given to it
	ends  []int64  // when the last of those had been handed over, CLOCK_MONOTONIC
	given int      // parts that the present pass has given to the transmitter
	done  int      // parts that the present pass is through with
}

// plan cuts a shard into parts of whole batches of each thread.
func (p *parts) plan(targets, threads, batch uint64) {
	unit := threads * batch
	units := (targets + unit - 1) / unit
	p.size = max((units+maxParts-1)/maxParts, 1) * unit
	p.ends = make([]int64, (targets+p.size-1)/p.size)
	p.taken = make([]uint64, len(p.ends))
}

// begin begins a pass.
func (p *parts) begin() { p.given, p.done = 0, 0 }

// give notes that all targets below place were given to the transmitter, which
// has taken so many probes by then.
func (p *parts) give(place uint64, last bool, taken uint64) {
	for p.given < len(p.ends) && (last || uint64(p.given+1)*p.size <= place) {
		p.taken[p.given] = taken
		p.given++
	}
}

// settle notes that so many probes were handed over by now.
func (p *parts) settle(handed uint64, now int64) {
	for p.done < p.given && p.taken[p.done] <= handed {
		p.ends[p.done] = now
		p.done++
	}
}
