// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "man DIR",
		Short:   "Write the manual pages",
		Long:    "Write the manual pages, from the same source as --help, as files xsweep.1,\nxsweep-sweep.1, xsweep-bench-compare.1 and so on. SOURCE_DATE_EPOCH dates them;\nwithout it they have no date.",
		Example: "  xsweep man man1",
		Hidden:  true,

		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError(errors.New("name one directory for the manual pages"))
			}
			return writeManPages(c.Root(), args[0])
		},
	}
}

// writeManPages writes a page for the program and for each command.
func writeManPages(root *cobra.Command, dir string) error {
	date, err := manDate()
	if err != nil {
		return usageError(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("manual pages: %w", err)
	}
	for _, c := range manCommands(root) {
		page := manPage(c, date)
		if err := os.WriteFile(filepath.Join(dir, manName(c)+".1"), []byte(page), 0o644); err != nil {
			return fmt.Errorf("manual pages: %w", err)
		}
	}
	return nil
}

// manCommands are those that have a page: a command, and all those below it.
func manCommands(c *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{c}
	for _, sub := range subCommands(c) {
		list = append(list, manCommands(sub)...)
	}
	return list
}

// subCommands are those right below a command.
func subCommands(c *cobra.Command) (list []*cobra.Command) {
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			list = append(list, sub)
		}
	}
	return list
}

func manName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manDate is the date of a build that is to be reproducible
// (reproducible-builds.org/specs/source-date-epoch).
func manDate() (string, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return "", nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return "", fmt.Errorf("SOURCE_DATE_EPOCH %q: must be seconds since 1970", text)
	}
	return time.Unix(seconds, 0).UTC().Format(time.DateOnly), nil
}

const manExitStatus = `0 done; 1 failed while running; 2 bad usage or input, nothing was done.`

const manLabExitStatus = `That of the command; 1 if there is no lab to be had; 2 bad usage or input,
nothing was run.`

const manEnvironment = `XSWEEP_ and the name of a flag, in capitals and with underscores for dashes, sets
that flag where it is not given: XSWEEP_RATE for --rate. Lists have commas. Flags
that must be meant each time, such as --dry-run, are refused there.
XSWEEP_CONFIG names the configuration file. XDG_CONFIG_HOME and HOME say where it
is looked for. NO_COLOR and TERM=dumb turn redrawing off.`

const manFiles = `  ~/.config/xsweep/config.toml
  /etc/xsweep/config.toml

Settings, of which the first file that is there is read: keys are the names of
flags, and a table, such as [sweep], holds for its command alone. Flags and the
environment are stronger. xsweep config prints what is in force.`

// manPage is a command's page, in the language of man(7).
func manPage(c *cobra.Command, date string) string {
	var m manText
	name := manName(c)
	m.raw(".TH %q 1 %q %q %q", strings.ToUpper(name), date, "xsweep "+version(), "User Commands")
	m.section("NAME")
	m.raw("%s \\- %s", escapeRoff(name), escapeRoff(strings.ToLower(c.Short[:1])+c.Short[1:]))
	m.section("SYNOPSIS")
	for i, use := range synopses(c) {
		if i > 0 {
			m.raw(".br")
		}
		m.raw("\\fB%s\\fR%s", escapeRoff(c.CommandPath()), escapeRoff(strings.TrimPrefix(use, c.CommandPath())))
	}
	description, exit := cutExitStatus(c.Long + "\n")
	if c.Long == "" {
		description = c.Short + "."
	}
	m.section("DESCRIPTION")
	m.text(description)
	if c.HasAvailableSubCommands() {
		m.section("COMMANDS")
		for _, sub := range subCommands(c) {
			m.item("\\fB"+escapeRoff(manName(sub))+"\\fR(1)", sub.Short+".")
		}
	}
	m.section("OPTIONS")
	options := func(f *pflag.Flag) { m.option(f) }
	c.LocalFlags().VisitAll(options)
	c.InheritedFlags().VisitAll(options)
	switch {
	case exit != "":
	case c.Name() == "lab":
		exit = manLabExitStatus
	default:
		exit = manExitStatus
	}
	m.section("EXIT STATUS")
	m.text(exit)
	m.section("ENVIRONMENT")
	m.text(manEnvironment)
	m.section("FILES")
	m.text(manFiles)
	m.section("EXAMPLES")
	m.text(c.Example)
	m.section("SEE ALSO")
	m.seeAlso(c)
	return m.String()
}

// synopses are the ways to call a command.
func synopses(c *cobra.Command) (list []string) {
	if c.HasParent() || !c.HasAvailableSubCommands() {
		list = append(list, c.UseLine())
	}
	if c.HasAvailableSubCommands() {
		list = append(list, c.CommandPath()+" COMMAND [flags] [ARGS]")
	}
	return list
}

// cutExitStatus takes the paragraph about the exit status out of a help text.
func cutExitStatus(help string) (rest, exit string) {
	const begin = "\n\nExit status: "
	before, after, ok := strings.Cut(help, begin)
	if !ok {
		return help, ""
	}
	exit, after, _ = strings.Cut(after, "\n\n")
	return before + "\n\n" + after, exit
}

// manText is a page that is being written.
type manText struct{ strings.Builder }

// raw writes a line of the page's language.
func (m *manText) raw(format string, args ...any) { fmt.Fprintf(m, format+"\n", args...) }

func (m *manText) section(title string) { m.raw(".SH %s", title) }

func (m *manText) item(head, text string) {
	m.raw(".TP\n%s", head)
	m.text(text)
}

// text writes paragraphs; lines that are indented stay as they are.
func (m *manText) text(text string) {
	asItIs := false
	for line := range strings.Lines(strings.Trim(text, "\n") + "\n") {
		line = strings.TrimRight(line, " \n")
		if line == "" {
			if asItIs {
				m.raw(".fi")
			}
			asItIs = false
			m.raw(".PP")
			continue
		}
		if indented := line[0] == ' '; indented != asItIs {
			asItIs = indented
			m.raw("%s", map[bool]string{true: ".nf", false: ".fi"}[indented])
		}
		m.raw("%s", escapeRoff(line))
	}
	if asItIs {
		m.raw(".fi")
	}
}

func (m *manText) option(f *pflag.Flag) {
	if f.Hidden {
		return
	}
	value, usage := pflag.UnquoteUsage(f)
	head := "\\fB\\-\\-" + escapeRoff(f.Name) + "\\fR"
	if f.Shorthand != "" {
		head = "\\fB\\-" + f.Shorthand + "\\fR, " + head
	}
	if value != "" && f.NoOptDefVal == "" {
		head += " \\fI" + escapeRoff(value) + "\\fR"
	}
	switch f.DefValue {
	case "", "0", "0s", "false", "[]":
	default:
		usage += " (default " + f.DefValue + ")"
	}
	m.item(head, usage)
}

func (m *manText) seeAlso(c *cobra.Command) {
	var pages []string
	for _, other := range manCommands(c.Root()) {
		if other != c {
			pages = append(pages, "\\fB"+escapeRoff(manName(other))+"\\fR(1)")
		}
	}
	m.raw("%s", strings.Join(pages, ",\n"))
}

// escapeRoff makes text stand for itself: dashes that can be copied, and no line
// that is taken for a request.
func escapeRoff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}
