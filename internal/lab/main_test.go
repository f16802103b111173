// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"os"
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
		checkSums(t, s)
	}
	return s
}

// checkSums checks the identities of Stats.
func checkSums(t testing.TB, s Stats) {
	t.Helper()
	if s.Seen != s.Passed+s.Malformed+s.Requests() ||
		s.Requests() != s.Sunk+s.Silent+s.Unanswered+s.Outage+s.Lost+s.OverCapacity+s.OverLimit+s.Failed+s.HostsAnswered+s.Errors()+s.Broken ||
		s.Answered != s.HostsAnswered+s.Errors()+s.Broken+s.Duplicated {
		t.Errorf("counters do not add up: %+v", s)
	}
	if d := s.Delay; d != nil && (d.Taken != d.NoRoom+d.QueueFull+d.Departed+d.Pending || d.Departed+d.Twice != d.Sent+d.Refused ||
		d.Injected.Count != d.Departed || d.Actual.Count != d.Departed || d.Lateness.Count != d.Departed) {
		t.Errorf("counters of delays do not add up: %+v", d)
	}
}
