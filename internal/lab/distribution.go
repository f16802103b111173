// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// maxDelay bounds every duration that a [Distribution] names.
const maxDelay = time.Minute

// point is a quantile: the share q of all delays is at most d.
type point struct {
	q float64
	d time.Duration
}

// Distribution is that of a delay. Nil stands for none at all.
type Distribution struct {
	text     string
	quantile func(u float64) float64 // ns; of u between 0 and 1
}

// distributions read what follows the name of a distribution and a colon.
var distributions = map[string]func(text string) (func(float64) float64, error){
	"normal": func(text string) (func(float64) float64, error) {
		mean, deviation, both := strings.Cut(text, ",")
		m, err := parseDelay(mean)
		if err != nil {
			return nil, err
		}
		if !both {
			return nil, errors.New("must be normal:MEAN,DEVIATION")
		}
		d, err := parseDelay(deviation)
		return func(u float64) float64 {
			return float64(m) + float64(d)*math.Sqrt2*math.Erfinv(2*u-1)
		}, err
	},
	"exp": func(text string) (func(float64) float64, error) {
		mean, err := parseDelay(text)
		return func(u float64) float64 { return -float64(mean) * math.Log1p(-u) }, err
	},
	"quantiles": func(text string) (func(float64) float64, error) {
		points, err := parsePoints(text)
		return func(u float64) float64 { return interpolate(points, u) }, err
	},
}

// ParseDistribution reads the distribution of a delay: a duration for one that is
// always the same, A..B for any between the two alike, normal:MEAN,DEVIATION (what
// would be below 0 is 0), exp:MEAN, or quantiles:0=A,...,1=B with straight lines
// between those named. Errors are one line.
func ParseDistribution(text string) (*Distribution, error) {
	quantile, err := parseQuantile(text)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	return &Distribution{text, quantile}, nil
}

func parseQuantile(text string) (func(float64) float64, error) {
	if name, rest, named := strings.Cut(text, ":"); named {
		parse, known := distributions[name]
		if !known {
			return nil, errors.New("must be a duration, A..B, normal:MEAN,DEVIATION, exp:MEAN or quantiles:0=A,...,1=B")
		}
		return parse(rest)
	}
	first, last, span := strings.Cut(text, "..")
	a, err := parseDelay(first)
	if err != nil {
		return nil, err
	}
	b := a
	if span {
		if b, err = parseDelay(last); err != nil {
			return nil, err
		}
	}
	if b < a {
		return nil, errors.New("the longer delay stands first")
	}
	return func(u float64) float64 { return float64(a) + u*float64(b-a) }, nil
}

func parseDelay(text string) (time.Duration, error) {
	d, err := time.ParseDuration(strings.TrimSpace(text))
	if err != nil || d < 0 || d > maxDelay {
		return 0, fmt.Errorf("a delay must be a duration from 0s to %v, such as 2ms", maxDelay)
	}
	return d, nil
}

func parsePoints(text string) ([]point, error) {
	var points []point
	for item := range strings.SplitSeq(text, ",") {
		share, delay, _ := strings.Cut(item, "=")
		q, err := strconv.ParseFloat(strings.TrimSpace(share), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return nil, fmt.Errorf("quantile %q must be a fraction from 0 to 1 with a delay, such as 0.5=2ms", share)
		}
		d, err := parseDelay(delay)
		if err != nil {
			return nil, err
		}
		if n := len(points); n > 0 && (q <= points[n-1].q || d < points[n-1].d) {
			return nil, errors.New("quantiles and their delays must ascend")
		}
		points = append(points, point{q, d})
	}
	if points[0].q != 0 || points[len(points)-1].q != 1 {
		return nil, errors.New("the first quantile must be 0 and the last 1")
	}
	return points, nil
}

func interpolate(points []point, u float64) float64 {
	for k, p := range points[1:] {
		if u <= p.q {
			before := points[k]
			return float64(before.d) + (u-before.q)/(p.q-before.q)*float64(p.d-before.d)
		}
	}
	return float64(points[len(points)-1].d)
}

// Quantile is the delay that the share u of all is not longer than.
func (d *Distribution) Quantile(u float64) time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(max(0, math.Round(d.quantile(u))))
}

func (d *Distribution) String() string {
	if d == nil {
		return "0s"
	}
	return d.text
}

// unit turns a random number into one between 0 and 1, without either.
func unit(x uint64) float64 { return (float64(x>>12) + 0.5) / (1 << 52) }
