// SPDX-License-Identifier: Apache-2.0

// Package testrand gives tests random numbers that can be had again.
package testrand

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// seedEnv holds the seed of an earlier run.
const seedEnv = "XSWEEP_TEST_SEED"

// New returns a generator whose seed it logs. With XSWEEP_TEST_SEED set it takes
// the seed from there.
func New(t testing.TB) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(Seed(t), 0))
}

// Seed is the seed alone, logged as New does, for tests that make several
// generators.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv(seedEnv); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s=%q: must be a whole number: %v", seedEnv, text, err)
		}
	}
	t.Logf("%s=%d", seedEnv, seed)
	return seed
}
