// SPDX-License-Identifier: Apache-2.0

package pace

import (
	"fmt"
	"math"

	"xsweep/internal/si"
)

// Rate is in packets per second, from 1 to [Highest], or [Max].
type Rate uint64

// Max means as fast as the device accepts without refusing.
const Max Rate = math.MaxUint64

// Highest is the largest rate that can be asked for by number.
const Highest Rate = 1_000_000_000

// ParseRate reads a number with an optional k, M or G behind it ("10k",
// "1.5M"), or "max".
func ParseRate(text string) (Rate, error) {
	if text == "max" {
		return Max, nil
	}
	const accepted = `must be packets per second from 1 to 1G, such as 500, 10k or 1.5M, or "max"`
	value, err := si.Parse(text)
	value = math.Round(value)
	if err != nil || value < 1 || value > float64(Highest) {
		return 0, fmt.Errorf("rate %q: %s", text, accepted)
	}
	return Rate(value), nil
}

func (r Rate) String() string {
	if r == Max {
		return "max"
	}
	return si.Exact(uint64(r))
}
