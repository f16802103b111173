// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// startLab makes a lab in the test's namespace.
func startLab(t *testing.T, c lab.Config) *lab.Lab {
	t.Helper()
	labtest.Kernel(t)
	c.InPlace = true
	l, err := lab.Start(c)
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

// open opens a session that ends with the test.
func open(t *testing.T, c Config) *Session {
	t.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	if c.Targets == nil {
		c.Targets = addrs("198.18.2.7")
	}
	if c.Size == 0 {
		c.Size = DefaultSize
	}
	if c.MaxRate == 0 {
		c.MaxRate = 100_000
	}
	if c.Drain == 0 {
		c.Drain = 300 * time.Millisecond
	}
	s, err := Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func addrs(texts ...string) (list []netip.Addr) {
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

// try runs a trial.
func try(t *testing.T, s *Session, load Load) Trial {
	t.Helper()
	trial, err := s.Trial(context.Background(), load)
	if err != nil {
		t.Fatal(err)
	}
	return trial
}

// conclusion is the verdict on trials.
func conclusion(trials ...Trial) string {
	r := Result{Trials: trials}
	r.Conclude()
	return r.Verdict
}
