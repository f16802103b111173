// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"xsweep/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// What is wrong with the command line is said in one line, with status 2,
// before anything is measured.
func TestBadUsage(t *testing.T) {
	this, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown flag", []string{"-nonsense"}, "nonsense"},
		{"argument", []string{"-xsweep", this, "more"}, `"more"`},
		{"group", []string{"-xsweep", this, "-only", "send,speed"}, `"speed"`},
		{"no program", []string{"-xsweep", "/nowhere/xsweep"}, "make build"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(tt.args, &stdout, &stderr)
			message := stderr.String()
			if status != 2 || stdout.Len() != 0 || strings.Count(message, "\n") != 1 || !strings.Contains(message, tt.want) {
				t.Errorf("status %d, stdout %q, stderr %q: want 2, nothing, and one line with %s", status, stdout.String(), message, tt.want)
			}
		})
	}
}
