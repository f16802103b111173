// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const configHelp = `Print every setting of a command, or of all commands, with its value and where
that is from: a flag, an environment variable, a line of the configuration file,
or the default. Nothing is run.

Flags of xsweep config itself (--config, --json) stand before COMMAND; what stands
behind it is taken as if that command were run.

A flag is stronger than the environment (XSWEEP_RATE for --rate), which is
stronger than the file, where a command's table is stronger than what stands above
all tables. The file is that of --config, else $XDG_CONFIG_HOME/xsweep/config.toml
(by default ~/.config/xsweep/config.toml), else /etc/xsweep/config.toml.
docs/configuration.md says more.`

const configExamples = `  xsweep config
  xsweep config sweep --rate 50k
  xsweep config --json sweep`

// settingRow is one setting as it is in force.
type settingRow struct {
	Command string `json:"command"`
	Setting string `json:"setting"`
	Value   string `json:"value"`
	From    string `json:"from"`
}

// settingsReport is all that config prints.
type settingsReport struct {
	File     string       `json:"file"` // empty: there is none
	Settings []settingRow `json:"settings"`
	Ignored  []string     `json:"ignored"` // variables that no flag answers to
}

func newConfigCommand(env *environment) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "config [flags] [COMMAND [FLAGS]]",
		Short:   "Print the settings in force, and where they are from",
		Long:    configHelp,
		Example: configExamples,

		ValidArgsFunction: completeSettled,
		RunE: func(c *cobra.Command, args []string) error {
			r, err := reportSettings(env, c, args)
			if err != nil {
				return usageError(err)
			}
			if asJSON {
				e := json.NewEncoder(env.stdout)
				e.SetIndent("", "  ")
				e.SetEscapeHTML(false)
				return e.Encode(r)
			}
			return r.print(env)
		},
	}
	c.Flags().SetInterspersed(false) // what stands behind the command is the command's
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// reportSettings settles one command, or each.
func reportSettings(env *environment, c *cobra.Command, args []string) (*settingsReport, error) {
	r := &settingsReport{Settings: []settingRow{}, Ignored: []string{}}
	// Of its own, so that nothing that was typed for config is in it.
	root := newRootCommand(&environment{stdin: env.stdin, stdout: env.stdout, stderr: env.stderr})
	commands, every := settledCommands(root)
	which := names(commands)
	if len(args) > 0 {
		if _, ok := commands[args[0]]; !ok {
			return nil, fmt.Errorf("%q is no command with settings%s", args[0], meant("%s", args[0], which))
		}
		which = args[:1]
		args = args[1:]
	}
	for _, name := range which {
		command, _, err := root.Find([]string{name})
		if err != nil {
			return nil, err
		}
		if err := command.ParseFlags(args); err != nil {
			return nil, fmt.Errorf("%w: see `%s --help`", err, command.CommandPath())
		}
		if own := c.Flag("config"); own.Changed && !command.Flag("config").Changed {
			if err := command.Flags().Set("config", own.Value.String()); err != nil {
				return nil, err
			}
		}
		s, err := settle(command)
		if err != nil {
			return nil, err
		}
		r.File = s.file.path
		command.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" {
				r.Settings = append(r.Settings, settingRow{name, f.Name, shownValue(f), s.from(f.Name)})
			}
		})
	}
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if flag, ok := strings.CutPrefix(name, variablePrefix); ok && !every[strings.ToLower(strings.ReplaceAll(flag, "_", "-"))] {
			r.Ignored = append(r.Ignored, name)
		}
	}
	slices.Sort(r.Ignored)
	return r, nil
}

// shownValue is a flag's value as it would be typed.
func shownValue(f *pflag.Flag) string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return strings.Join(list.GetSlice(), ",")
	}
	return f.Value.String()
}

// print prints a table for each command.
func (r *settingsReport) print(env *environment) error {
	w := tabwriter.NewWriter(env.stdout, 0, 8, 2, ' ', 0)
	command := ""
	for _, row := range r.Settings {
		if row.Command != command {
			if command != "" {
				fmt.Fprintln(w)
			}
			command = row.Command
			fmt.Fprintf(w, "%s\n  setting\tvalue\tfrom\n", command)
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", row.Setting, row.Value, row.From)
	}
	if len(r.Ignored) > 0 {
		fmt.Fprintln(w)
	}
	for _, name := range r.Ignored {
		fmt.Fprintf(w, "ignored: %s, which is no flag's\n", name)
	}
	return w.Flush()
}
