// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"fmt"
	"testing"

	"xsweep/internal/lab/labtest"
)

// instructionLimit is how many instructions the verifier walks through before it
// gives up (BPF_COMPLEXITY_LIMIT_INSNS). Other kernels walk through more or fewer
// than this one: some room must be left.
const instructionLimit = 1_000_000

// The verifier takes the filter with every set of kinds, since what a constant
// rules out is not looked at; with nothing and with everything to be recorded.
// (TestDifferential loads it with every choice in between.)
func TestVerified(t *testing.T) {
	t.Run("in one piece", func(t *testing.T) { testVerified(t, false) })
	if havePieces(t) {
		t.Run("in several", func(t *testing.T) { testVerified(t, true) })
	}
}

func testVerified(t *testing.T, pieces bool) {
	most, by := uint32(0), ""
	for _, probes := range kindSets() {
		for _, everything := range []bool{false, true} {
			for _, many := range []bool{false, true} {
				if many && (len(probes) > 1 || probes[0].Request != 8) {
					continue
				}
				c := defaultConfig()
				c.Probes, c.Pieces, c.Many, c.BareIP = probes, pieces, many, !everything
				c.RecordFirst, c.RecordAll, c.RecordErrors = everything, everything, everything
				n, ok := load(t, c).VerifiedInstructions()
				if !ok {
					labtest.Lacking(t, "Linux 5.16, which tells how many instructions it walked through")
				}
				if n > most {
					most, by = n, fmt.Sprintf("%v, everything %t, many %t", probes, everything, many)
				}
			}
		}
	}
	t.Logf("the verifier walks through %d instructions at most: %s", most, by)
	if most > instructionLimit/2 {
		t.Errorf("%d instructions of %d", most, instructionLimit)
	}
}
