// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
)

// Who leaves the loop ends the sweep, at once and wholly; its account is there.
func TestRecordsLeft(t *testing.T) {
	labtest.Kernel(t)
	startLab(t, lab.Config{Live: 1})
	before := runtime.NumGoroutine()
	c := Config{Targets: named(t, "240.0.0.0/8"), Rate: 20_000, Cooldown: time.Hour, Monitor: new(Monitor)}
	got := 0
	for _, err := range Records(t.Context(), c) {
		if err != nil {
			t.Fatal(err)
		}
		if got++; got == 10 {
			break
		}
	}
	s, ok := c.Monitor.Summary()
	if !ok || !s.Interrupted || s.Targets.Answered < 10 || s.Targets.Unprobed == 0 {
		t.Errorf("summary %t: %+v", ok, s.Targets)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	// What waits for the loop's end alone may take a moment to be gone.
	for end := time.Now().Add(within); runtime.NumGoroutine() > before && time.Now().Before(end); {
		runtime.Gosched()
	}
	if now := runtime.NumGoroutine(); now > before {
		t.Errorf("%d goroutines, %d before", now, before)
	}
}

// A sweep that cannot begin is one error.
func TestRecordsError(t *testing.T) {
	var errs []error
	for record, err := range Records(t.Context(), Config{}) {
		if record.Addr.IsValid() {
			t.Errorf("a record: %+v", record)
		}
		errs = append(errs, err)
	}
	if len(errs) != 1 || !errors.As(errs[0], new(*StartError)) || !strings.Contains(errs[0].Error(), "no targets") {
		t.Errorf("errors %v", errs)
	}
}
