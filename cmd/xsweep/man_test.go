// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// Each command has a page with every section, flag and example, that groff
// takes without a warning, and that says the same on another day.
func TestManPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man1")
	t.Setenv("SOURCE_DATE_EPOCH", "86400")
	output(t, "xsweep", "man", dir)
	root := newRootCommand(&environment{})
	want := []string{
		"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO",
	}
	var expected []string
	for _, c := range manCommands(root) {
		path := filepath.Join(dir, manName(c)+".1")
		expected = append(expected, filepath.Base(path))
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		page := string(text)
		if !strings.HasPrefix(page, `.TH "`+strings.ToUpper(manName(c))+`" 1 "1970-01-02" `) {
			t.Errorf("%s begins with %.60q", path, page)
		}
		var sections []string
		for _, m := range regexp.MustCompile(`(?m)^\.SH (.*)$`).FindAllStringSubmatch(page, -1) {
			if m[1] != "COMMANDS" {
				sections = append(sections, m[1])
			}
		}
		if !slices.Equal(sections, want) {
			t.Errorf("%s has the sections %q, want %q", path, sections, want)
		}
		check := func(f *pflag.Flag) {
			if !strings.Contains(page, `\fB\-\-`+escapeRoff(f.Name)+`\fR`) {
				t.Errorf("%s lacks --%s", path, f.Name)
			}
		}
		c.LocalFlags().VisitAll(check)
		c.InheritedFlags().VisitAll(check)
		for line := range strings.Lines(c.Example) {
			if !strings.Contains(page, escapeRoff(strings.TrimRight(line, "\n"))) {
				t.Errorf("%s lacks the example %q", path, line)
			}
		}
		if c.HasParent() && !strings.Contains(page, c.CommandPath()) && !strings.Contains(page, escapeRoff(manName(c))) {
			t.Errorf("%s does not name its command", path)
		}
		if groff, err := exec.LookPath("groff"); err == nil {
			warnings, err := exec.Command(groff, "-man", "-Tutf8", "-ww", "-z", path).CombinedOutput()
			if err != nil || len(warnings) > 0 {
				t.Errorf("groff %s: %v\n%s", path, err, warnings)
			}
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
	}
	slices.Sort(expected)
	if !slices.Equal(found, expected) {
		t.Errorf("pages %q, want %q", found, expected)
	}
}

// Text stands for itself, and what is indented keeps its lines.
func TestManText(t *testing.T) {
	var m manText
	m.text(".a\nb-c\\d\n\n  'x'\n  y\nz\n  end\n")
	want := "\\&.a\nb\\-c\\ed\n.PP\n.nf\n  \\(aqx\\(aq\n  y\n.fi\nz\n.nf\n  end\n.fi\n"
	if m.String() != want {
		t.Errorf("%q, want %q", m.String(), want)
	}
	if rest, exit := cutExitStatus("One.\n\nExit status: 0 done;\n1 failed.\n\nTwo.\n"); rest != "One.\n\nTwo.\n" || exit != "0 done;\n1 failed." {
		t.Errorf("%q, %q", rest, exit)
	}
}
