// SPDX-License-Identifier: Apache-2.0

package where

import (
	"math"
	"math/big"
	"testing"
)

// At the edges of 64 bits, against numbers without edges.
func TestIntegers(t *testing.T) {
	edges := []int64{math.MinInt64, math.MinInt64 + 1, -1 << 32, -3, -2, -1, 0, 1, 2, 3, 1 << 31, 1 << 32, math.MaxInt64 / 2, math.MaxInt64 - 1, math.MaxInt64}
	for name, op := range map[string]struct {
		apply func(x, y int64) (int64, error)
		exact func(z, x, y *big.Int) *big.Int
	}{
		"+": {add, (*big.Int).Add},
		"-": {subtract, (*big.Int).Sub},
		"*": {multiply, (*big.Int).Mul},
		"/": {divide, (*big.Int).Quo},
		"%": {remainder, (*big.Int).Rem},
	} {
		for _, x := range edges {
			for _, y := range edges {
				got, err := op.apply(x, y)
				if y == 0 && (name == "/" || name == "%") {
					if err != errZero {
						t.Errorf("%d %s 0: error %v", x, name, err)
					}
					continue
				}
				want := op.exact(new(big.Int), big.NewInt(x), big.NewInt(y))
				if fits := want.IsInt64(); fits != (err == nil) || fits && got != want.Int64() || !fits && err != errOverflow {
					t.Errorf("%d %s %d: %d, error %v, want %v", x, name, y, got, err, want)
				}
			}
		}
	}
}
