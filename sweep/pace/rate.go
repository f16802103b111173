// SPDX-License-Identifier: Apache-2.0

package pace

import (
	"fmt"
	"math"
	"strconv"
	"strings"
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
	number, factor := text, 1.0
	if i := len(text) - 1; i >= 0 {
		switch text[i] {
		case 'k', 'K':
			number, factor = text[:i], 1e3
		case 'm', 'M':
			number, factor = text[:i], 1e6
		case 'g', 'G':
			number, factor = text[:i], 1e9
		}
	}
	// ParseFloat also takes hexadecimal, infinities and underscores.
	if strings.Trim(number, "0123456789.") != "" {
		return 0, fmt.Errorf("rate %q: %s", text, accepted)
	}
	value, err := strconv.ParseFloat(number, 64)
	value = math.Round(value * factor)
	if err != nil || value < 1 || value > float64(Highest) {
		return 0, fmt.Errorf("rate %q: %s", text, accepted)
	}
	return Rate(value), nil
}

func (r Rate) String() string {
	if r == Max {
		return "max"
	}
	for _, unit := range []struct {
		factor Rate
		suffix string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if r >= unit.factor && r%(unit.factor/1000) == 0 {
			return strconv.FormatFloat(float64(r)/float64(unit.factor), 'f', -1, 64) + unit.suffix
		}
	}
	return strconv.FormatUint(uint64(r), 10)
}

// MarshalText writes the rate as ParseRate reads it.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
