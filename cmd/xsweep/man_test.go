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

// Commands below commands have pages as well, which the others name; a list of
// commands has those right below, and who can be called with and without one says
// both.
func TestManPagesBelow(t *testing.T) {
	dir := t.TempDir()
	output(t, "xsweep", "man", dir)
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const compare = `\fBxsweep\-bench\-compare\fR(1)`
	cut := func(page, section string) string {
		_, text, _ := strings.Cut(page, ".SH "+section+"\n")
		text, _, _ = strings.Cut(text, ".SH ")
		return text
	}
	if page := read("xsweep-bench-compare.1"); !strings.Contains(page, `\fBxsweep bench compare\fR [flags] A.json B.json`) || !strings.Contains(cut(page, "SEE ALSO"), `\fBxsweep\-bench\fR(1)`) {
		t.Errorf("xsweep-bench-compare.1:\n%s", page)
	}
	bench := read("xsweep-bench.1")
	if !strings.Contains(cut(bench, "COMMANDS"), compare) || !strings.Contains(cut(bench, "SEE ALSO"), compare) {
		t.Error("xsweep-bench.1 does not name xsweep-bench-compare")
	}
	if want := "\\fBxsweep bench\\fR [flags] TARGET...\n.br\n\\fBxsweep bench\\fR COMMAND [flags] [ARGS]\n"; cut(bench, "SYNOPSIS") != want {
		t.Errorf("xsweep-bench.1 is called %q", cut(bench, "SYNOPSIS"))
	}
	root := read("xsweep.1")
	if strings.Contains(cut(root, "COMMANDS"), compare) || !strings.Contains(cut(root, "SEE ALSO"), compare) {
		t.Error("xsweep.1 does not have xsweep-bench-compare in SEE ALSO alone")
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
