// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"xsweep/internal/lab/labtest"
)

// helperEnv makes a copy of the test binary do one of the jobs of helpers.
const helperEnv = "XSWEEP_LAB_TEST_HELPER"

// TestMain is also the main function of labs and of commands inside labs that
// tests start.
func TestMain(m *testing.M) {
	MaybeInit()
	if name := os.Getenv(helperEnv); name != "" {
		os.Exit(helpers[name](os.Args[1:]))
	}
	labtest.Main(m)
}

// helper returns the environment for a copy of the test binary that does the
// named job. Its path is /proc/self/exe.
func helper(name string) []string {
	return append(os.Environ(), helperEnv+"="+name)
}

// random returns a source whose seed is logged and can be given back in the
// environment.
func random(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("XSWEEP_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(fmt.Errorf("XSWEEP_TEST_SEED: %w", err))
		}
	}
	t.Logf("XSWEEP_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// start starts a lab that ends with the test.
func start(t testing.TB, c Config) *Lab {
	t.Helper()
	labtest.Kernel(t)
	l, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func stats(t testing.TB, l *Lab) Stats {
	t.Helper()
	s, err := l.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if l.simnet != nil {
		if s.Seen != s.Passed+s.Malformed+s.EchoRequests ||
			s.EchoRequests != s.Sunk+s.Silent+s.Lost+s.HostsAnswered ||
			s.Answered != s.HostsAnswered+s.Duplicated {
			t.Errorf("counters do not add up: %+v", s)
		}
	}
	return s
}
