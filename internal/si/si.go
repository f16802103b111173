// SPDX-License-Identifier: Apache-2.0

// Package si reads and shows numbers with the suffixes k, M and G, which stand
// for a thousand, a million and a thousand million. (Case does not matter when
// reading: nobody means thousandths of a packet.)
package si

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var units = []struct {
	factor float64
	suffix string
}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}}

// errNumber says that a text is not a number as Parse takes it.
var errNumber = errors.New("not a number, such as 500, 10k or 1.5M")

// Parse reads digits with at most one point among them and a suffix or none.
// Signs, exponents and everything else are errors.
func Parse(text string) (float64, error) {
	number, factor := text, 1.0
	for _, u := range units {
		if n, ok := strings.CutSuffix(strings.ToUpper(text), strings.ToUpper(u.suffix)); ok {
			number, factor = n, u.factor
		}
	}
	// ParseFloat also takes signs, exponents, infinities and underscores.
	if strings.Trim(number, "0123456789.") != "" {
		return 0, errNumber
	}
	value, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, errNumber
	}
	return value * factor, nil
}

// Exact shows a whole number with the largest suffix that needs at most three
// digits behind the point and loses nothing: 1500 is "1.5k", 1001 is "1001".
func Exact(n uint64) string {
	for _, u := range units {
		if factor := uint64(u.factor); n >= factor && n%(factor/1000) == 0 {
			return strconv.FormatFloat(float64(n)/u.factor, 'f', -1, 64) + u.suffix
		}
	}
	return strconv.FormatUint(n, 10)
}

// Short shows v with three digits and a suffix in front of a unit: Short(12345,
// "p/s") is "12.3 kp/s".
func Short(v float64, unit string) string {
	for _, u := range units {
		if v >= u.factor {
			return fmt.Sprintf("%.3g %s%s", v/u.factor, u.suffix, unit)
		}
	}
	return fmt.Sprintf("%.0f %s", v, unit)
}
