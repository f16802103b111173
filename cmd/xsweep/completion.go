// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

const completionHelp = `Print a script that makes a shell complete commands, flags and their values:
interfaces of this machine, kinds of probes, columns, files where they make
sense, and as targets the prefixes that this machine is attached to.

Where the scripts go, for one user or for all:
  bash  ~/.local/share/bash-completion/completions/xsweep
        /usr/share/bash-completion/completions/xsweep
        (it needs the package bash-completion)
  zsh   _xsweep in a directory of $fpath, such as /usr/share/zsh/site-functions
  fish  ~/.config/fish/completions/xsweep.fish
        /usr/share/fish/vendor_completions.d/xsweep.fish

A new shell takes them up. make install puts them there.`

const completionExamples = `  source <(xsweep completion bash)       # for this shell alone
  xsweep completion zsh >_xsweep
  xsweep completion fish >xsweep.fish`

// completionShells write the scripts of their shells.
var completionShells = map[string]func(root *cobra.Command, w io.Writer) error{
	"bash": func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) },
	"zsh":  func(root *cobra.Command, w io.Writer) error { return root.GenZshCompletion(w) },
	"fish": func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
}

func newCompletionCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:       "completion bash|zsh|fish",
		Short:     "Print a script that makes a shell complete xsweep's arguments",
		Long:      completionHelp,
		Example:   completionExamples,
		ValidArgs: names(completionShells),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError(fmt.Errorf("name one shell, bash, zsh or fish: see `%s --help`", c.CommandPath()))
			}
			write, ok := completionShells[args[0]]
			if !ok {
				return usageError(fmt.Errorf("shell %q: must be bash, zsh or fish", args[0]))
			}
			return write(c.Root(), env.stdout)
		},
	}
}
