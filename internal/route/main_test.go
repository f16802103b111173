// SPDX-License-Identifier: Apache-2.0

package route

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"xsweep/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// random returns a generator whose seed is logged, and can be given back in
// XSWEEP_TEST_SEED.
func random(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("XSWEEP_TEST_SEED"); text != "" {
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("XSWEEP_TEST_SEED: %v", err)
		}
		seed = v
	}
	t.Logf("XSWEEP_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
