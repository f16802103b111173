// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is how many columns help takes at most.
const helpWidth = 100

// printUsage prints how a command is used: its commands and flags, and at the
// end, where the eye is, its examples.
func printUsage(c *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:\n")
	if c.HasAvailableSubCommands() {
		if c.HasParent() { // it does something by itself too
			fmt.Fprintf(&b, "  %s\n", c.UseLine())
		}
		fmt.Fprintf(&b, "  %s COMMAND [flags] [ARGS]\n\nCommands:\n", c.CommandPath())
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(&b, "  %-11s %s\n", sub.Name(), sub.Short)
			}
		}
		fmt.Fprintf(&b, "\n`%s COMMAND --help` says more of a command.\n", c.CommandPath())
	} else {
		fmt.Fprintf(&b, "  %s\n", c.UseLine())
	}
	flagUsage(&b, "Flags", c.LocalFlags())
	flagUsage(&b, "Flags of every command", c.InheritedFlags())
	if c.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", c.Example)
	}
	_, err := c.OutOrStderr().Write([]byte(b.String()))
	return err
}

func flagUsage(b *strings.Builder, title string, flags *pflag.FlagSet) {
	if flags.HasAvailableFlags() {
		fmt.Fprintf(b, "\n%s:\n%s\n", title, strings.TrimRight(flags.FlagUsagesWrapped(helpWidth), "\n "))
	}
}
