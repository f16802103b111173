// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"xsweep/internal/suggest"
)

// variablePrefix begins the names of the environment variables that set flags.
const variablePrefix = "XSWEEP_"

// variable is the environment variable that sets a flag.
func variable(flag string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// flagOnly are flags that must be typed, with the reasons why no file and no
// variable may set them.
var flagOnly = map[string]string{
	"help":    "it prints help instead of running",
	"dry-run": "a sweep that silently sends nothing looks like one that finds nobody",
	"force":   "what is to be overwritten must be meant each time",
	"resume":  "it names one sweep that was broken off",
	"truth":   "it says what one run of the lab prints instead of running",
}

// rivals are flags of which one excludes the other. The one from the stronger
// source wins; from the same source, both count and the command objects.
var rivals = map[string]string{"quiet": "verbose", "verbose": "quiet", "tos": "dscp", "dscp": "tos"}

// onlyWith is the annotation of flags that mean something only beside another
// one: without that, neither file nor environment sets them.
const onlyWith = "xsweep_only_with"

// The sources of settings, strongest first.
const (
	fromFlag = iota
	fromEnvironment
	fromTable // of the command
	fromTop   // of the file
	fromDefault
)

// origin is where a flag's value is from.
type origin struct {
	source int
	words  string // such as "environment XSWEEP_RATE" or "config.toml:12"
}

// settings tells of the flags of one command where their values are from.
type settings struct {
	file    *settingsFile
	origins map[string]origin
}

// typed says whether a flag was given on the command line.
func (s *settings) typed(flag string) bool {
	o, ok := s.origins[flag]
	return ok && o.source == fromFlag
}

// from says where a flag's value is from.
func (s *settings) from(flag string) string {
	if o, ok := s.origins[flag]; ok {
		return o.words
	}
	return "default"
}

// settle sets the flags of a command that were not given from the environment and
// the configuration file. Flags so set count as changed.
func settle(c *cobra.Command) (*settings, error) {
	s := &settings{file: &settingsFile{}, origins: map[string]origin{}}
	flags := c.Flags()
	flags.Visit(func(f *pflag.Flag) { s.origins[f.Name] = origin{fromFlag, "flag"} })
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := variable(f.Name)
		text := os.Getenv(name)
		if text == "" {
			return
		}
		if reason, ok := flagOnly[f.Name]; ok {
			errs = append(errs, fmt.Errorf("%s: --%s can only be given as a flag: %s: unset the variable", name, f.Name, reason))
			return
		}
		if err := s.set(flags, f, origin{fromEnvironment, "environment " + name}, splitList(f, text)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	})
	if len(errs) > 0 {
		return s, errs[0]
	}
	named, err := flags.GetString("config")
	if err != nil {
		return s, err
	}
	if s.file, err = openSettings(named, settingsPaths()); err != nil {
		return s, err
	}
	return s, s.settleFile(c)
}

// settleFile sets flags from the file: its table for the command before what
// stands above all tables.
func (s *settings) settleFile(c *cobra.Command) error {
	if err := s.file.check(c.Root()); err != nil {
		return err
	}
	for _, source := range []int{fromTable, fromTop} {
		for _, setting := range s.file.settings {
			f := c.Flags().Lookup(setting.flag)
			table := ""
			if source == fromTable {
				table = c.Name()
			}
			if f == nil || setting.table != table {
				continue
			}
			values, err := flagTexts(f, setting.value)
			if err == nil {
				err = s.set(c.Flags(), f, origin{source, fmt.Sprintf("%s:%d", s.file.path, setting.line)}, values)
			}
			if err != nil {
				return s.file.at(setting.line, "%s: %w", setting.flag, err)
			}
		}
	}
	return nil
}

// set gives a flag its value, unless a stronger source has spoken.
func (s *settings) set(flags *pflag.FlagSet, f *pflag.Flag, from origin, values []string) error {
	if _, ok := s.origins[f.Name]; ok {
		return nil
	}
	if rival, ok := s.origins[rivals[f.Name]]; ok && rival.source < from.source {
		return nil
	}
	for _, other := range f.Annotations[onlyWith] {
		if !flags.Changed(other) {
			return nil
		}
	}
	s.origins[f.Name] = from
	if list, ok := f.Value.(pflag.SliceValue); ok {
		f.Changed = true
		return list.Replace(values)
	}
	err := flags.Set(f.Name, strings.Join(values, ","))
	if invalid := (*pflag.InvalidValueError)(nil); errors.As(err, &invalid) {
		err = invalid.Unwrap()
	}
	return err
}

// check refuses what no command knows, with what may have been meant.
func (f *settingsFile) check(root *cobra.Command) error {
	commands, every := settledCommands(root)
	for _, s := range f.settings {
		known := every
		if s.table != "" {
			var ok bool
			if known, ok = commands[s.table]; !ok {
				return f.at(s.line, "[%s]: there is no such command%s", s.table, meant("[%s]", s.table, names(commands)))
			}
		}
		_, isCommand := commands[s.flag]
		reason, refused := flagOnly[s.flag]
		switch {
		case s.flag == "":
		case s.flag == "config":
			return f.at(s.line, "config: a configuration file cannot name another: use --config or %s", variable("config"))
		case refused:
			return f.at(s.line, "%s: can only be given as a flag: %s", s.flag, reason)
		case isCommand && (s.table == "" || !known[s.flag]): // bench has a flag --sweep
			return f.at(s.line, "%s: is a command: its settings stand in a table [%s]", s.flag, s.flag)
		case !known[s.flag] && every[s.flag]:
			return f.at(s.line, "%s: `xsweep %s` has no such flag, but other commands do", s.flag, s.table)
		case !known[s.flag]:
			return f.at(s.line, "%s: there is no such setting%s", s.flag, meant("%s", s.flag, names(known)))
		}
	}
	return nil
}

// settledCommands are the commands that files and the environment set flags of,
// each with its flags, and the flags of all of them.
func settledCommands(root *cobra.Command) (commands map[string]map[string]bool, every map[string]bool) {
	commands, every = map[string]map[string]bool{}, map[string]bool{}
	for _, c := range root.Commands() {
		if !settles(c) {
			continue
		}
		flags := map[string]bool{}
		add := func(f *pflag.Flag) { flags[f.Name], every[f.Name] = true, true }
		c.NonInheritedFlags().VisitAll(add)
		c.InheritedFlags().VisitAll(add)
		commands[c.Name()] = flags
	}
	return commands, every
}

// settles says whether files and the environment set a command's flags. The
// others must go on working where a file is broken.
func settles(c *cobra.Command) bool {
	return c.HasParent() && !c.Hidden && !strings.HasPrefix(c.Name(), "__") &&
		!slices.Contains([]string{"help", "completion", "config", "man", "version"}, c.Parent().Name()) &&
		!slices.Contains([]string{"help", "completion", "config", "man", "version"}, c.Name())
}

func names[V any](m map[string]V) []string {
	var list []string
	for name := range m {
		if _, refused := flagOnly[name]; !refused {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// meant suggests the nearest of some words, if one is near.
func meant(form, word string, from []string) string {
	near, ok := suggest.Nearest(word, from)
	if !ok {
		return ""
	}
	return ": did you mean " + fmt.Sprintf(form, near) + "?"
}

// aboutFlag is how errors about a flag begin.
var aboutFlag = regexp.MustCompile(`^--([a-z][a-z-]*)`)

// locate says where a value is from that a command found fault with, if nobody
// typed it.
func (s *settings) locate(message string) string {
	m := aboutFlag.FindStringSubmatch(message)
	if s == nil || m == nil {
		return message
	}
	if o, ok := s.origins[m[1]]; ok && o.source != fromFlag {
		return strings.TrimPrefix(o.words, "environment ") + ": " + message
	}
	return message
}
