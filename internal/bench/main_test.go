// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
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
		{"nothing to make of a report", []string{"-from", "report.json"}, "-page"},
		{"measure and do not", []string{"-from", "report.json", "-page", "page.md", "-only", "send"}, "-only"},
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

// What is made of an earlier report needs neither root nor a built program.
func TestFrom(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	r := exampleReport()
	encoded, err := r.encode()
	if err == nil {
		err = os.WriteFile(path("report.json"), encoded, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if status := run([]string{"-from", path("report.json"), "-page", path("page.md"), "-json", path("again.json")}, &stdout, &stderr); status != 0 {
		t.Fatalf("status %d: %s", status, &stderr)
	}
	for name, want := range map[string]string{"page.md": r.page(), "again.json": string(encoded)} {
		if got, err := os.ReadFile(path(name)); err != nil || string(got) != want {
			t.Errorf("%s: error %v, %q; want %q", name, err, got, want)
		}
	}
	// The example has nothing of the whole loop.
	if status := run([]string{"-from", path("report.json"), "-readme", path("page.md")}, &stdout, &stderr); status != 1 || !strings.Contains(stderr.String(), "loop") {
		t.Errorf("status %d, %q: want 1 and a word about the loop", status, &stderr)
	}
	if status := run([]string{"-from", path("none.json"), "-page", path("page.md")}, &stdout, &stderr); status != 1 {
		t.Errorf("without a report: status %d", status)
	}
}
