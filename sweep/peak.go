// SPDX-License-Identifier: Apache-2.0

package sweep

import "time"

// peak finds the largest rate over about a second among readings of a counter.
type peak struct {
	at    time.Time
	count uint64
	rate  float64
}

func (p *peak) add(now time.Time, count uint64) {
	if elapsed := now.Sub(p.at); elapsed > 0 {
		p.rate = max(p.rate, float64(count-p.count)/elapsed.Seconds())
	}
	p.at, p.count = now, count
}
