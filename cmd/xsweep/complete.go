// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"xsweep/internal/lab"
	"xsweep/loader"
	"xsweep/sweep"
	"xsweep/sweep/bench"
	"xsweep/sweep/probe"
	"xsweep/sweep/sink"
)

// completer says what a value can be that begins with text.
type completer func(text string) ([]cobra.Completion, cobra.ShellCompDirective)

// flagCompleters are those of flags, by name; a command's own (as "lab seed")
// come before. Flags that have none take files if their value is called FILE,
// devices if DEVICE, and otherwise what nobody can guess.
var flagCompleters = map[string]completer{
	"tx":            oneOf(string(sweep.TxAuto), string(sweep.TxPacket), string(sweep.TxRaw), string(sweep.TxXDP)),
	"bench tx":      oneOf(string(bench.TxAuto), string(bench.TxPacket), string(bench.TxXDP)),
	"bench format":  oneOf("text", "hgrm"),
	"xdp":           oneOf(loader.Auto.String(), loader.Native.String(), loader.Generic.String()),
	"format":        oneOf(formatNames()...),
	"replies":       oneOf(string(sweep.PositiveReplies), string(sweep.ErrorReplies), string(sweep.AllReplies)),
	"on-sink-error": oneOf(string(sweep.StopOnSinkError), string(sweep.ContinueOnSinkError)),
	"probe":         someOf(kindNames()...),
	"fields":        someOf(sink.FieldNames()...),
	"dscp":          oneOf(names(dscpNames)...),
	"rate":          oneOf("1k", "10k", "100k", "1M", "max"),
	"log-format":    oneOf(logFormats...),
	"responder":     oneOf(lab.Simnet.String(), lab.Delay.String(), lab.Kernel.String()),
	"behaviour":     weighted,
	"truth":         func(string) ([]cobra.Completion, cobra.ShellCompDirective) { return attachedPrefixes() },
}

// valueCompleters go by what help calls the value.
var valueCompleters = map[string]completer{
	"FILE": func(string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault
	},
	"DIR": func(string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	},
	"DEVICE": devices,
}

func formatNames() []string {
	return sink.EncodingNames()
}

func kindNames() []string {
	var list []string
	for k := range probe.NumKinds {
		list = append(list, k.String())
	}
	return list
}

// oneOf completes one of some words.
func oneOf(words ...string) completer {
	return func(string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// someOf completes a list of some words with commas between, each once.
func someOf(words ...string) completer {
	return func(text string) ([]cobra.Completion, cobra.ShellCompDirective) {
		done := text[:strings.LastIndexByte(text, ',')+1]
		given := strings.Split(done, ",")
		var list []cobra.Completion
		for _, word := range words {
			if !slices.Contains(given, word) {
				list = append(list, done+word)
			}
		}
		return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveKeepOrder
	}
}

// weighted completes the names of the lab's behaviours, which can have weights.
func weighted(text string) ([]cobra.Completion, cobra.ShellCompDirective) {
	words := []string{"all"}
	for b := range lab.NumBehaviours {
		words = append(words, b.String())
	}
	return someOf(words...)(text)
}

// interfaces are the names of this machine's, each with its IPv4 prefixes.
func interfaces() (list []net.Interface, prefixes map[string][]netip.Prefix) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, nil // there is nobody to tell
	}
	prefixes = map[string][]netip.Prefix{}
	for _, device := range list {
		addrs, _ := device.Addrs()
		for _, addr := range addrs {
			if p, err := netip.ParsePrefix(addr.String()); err == nil && p.Addr().Is4() {
				prefixes[device.Name] = append(prefixes[device.Name], p)
			}
		}
	}
	return list, prefixes
}

// devices completes the names of interfaces.
func devices(string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var words []cobra.Completion
	list, prefixes := interfaces()
	for _, device := range list {
		var about []string
		for _, p := range prefixes[device.Name] {
			about = append(about, p.String())
		}
		words = append(words, cobra.CompletionWithDesc(device.Name, strings.Join(about, " ")))
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// attachedPrefixes completes the IPv4 networks that this machine is attached to.
func attachedPrefixes() ([]cobra.Completion, cobra.ShellCompDirective) {
	var words []cobra.Completion
	list, prefixes := interfaces()
	for _, device := range list {
		if device.Flags&net.FlagLoopback != 0 {
			continue
		}
		for _, p := range prefixes[device.Name] {
			words = append(words, cobra.CompletionWithDesc(p.Masked().String(), device.Name))
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// programs completes the programs in PATH.
func programs(text string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var words []cobra.Completion
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), text) && !info.IsDir() && (info.Mode()&0o111 != 0 || info.Mode()&os.ModeSymlink != 0) {
				words = append(words, e.Name())
			}
		}
	}
	slices.Sort(words)
	return slices.Compact(words), cobra.ShellCompDirectiveDefault
}

// registerCompletions gives each flag of each command its completer, and
// commands those of their arguments.
func registerCompletions(root *cobra.Command) {
	for _, c := range append(root.Commands(), root) {
		flags := c.LocalFlags()
		flags.VisitAll(func(f *pflag.Flag) {
			complete := completerOf(c, f)
			err := c.RegisterFlagCompletionFunc(f.Name, func(_ *cobra.Command, _ []string, text string) ([]cobra.Completion, cobra.ShellCompDirective) {
				return complete(text)
			})
			_ = err // only if it has one already, which then is more special
		})
		if c.ValidArgsFunction == nil && c.ValidArgs == nil {
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
}

func completerOf(c *cobra.Command, f *pflag.Flag) completer {
	if complete, ok := flagCompleters[c.Name()+" "+f.Name]; ok {
		return complete
	}
	if complete, ok := flagCompleters[f.Name]; ok {
		return complete
	}
	value, _ := pflag.UnquoteUsage(f)
	if complete, ok := valueCompleters[value]; ok {
		return complete
	}
	return oneOf()
}

// completeTargets completes a sweep's targets.
func completeTargets(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return attachedPrefixes()
}

// completeCommand completes the command that runs in the lab: a program, then
// what it takes, which is known of this one and may be files of others.
func completeCommand(_ *cobra.Command, args []string, text string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch {
	case len(args) == 0:
		return programs(text)
	case filepath.Base(args[0]) == "xsweep":
		return completeOwn(args[1:], text)
	}
	return nil, cobra.ShellCompDirectiveDefault
}

// completeOwn completes arguments of a command line of our own. What cobra would
// print for a shell is words, one a line, and then the directive.
func completeOwn(args []string, text string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var out bytes.Buffer
	root := newRootCommand(&environment{stdin: strings.NewReader(""), stdout: &out, stderr: io.Discard})
	root.SetArgs(slices.Concat([]string{cobra.ShellCompRequestCmd}, args, []string{text}))
	if err := root.Execute(); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	last := len(lines) - 1
	directive, err := strconv.Atoi(strings.TrimPrefix(lines[last], ":"))
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return lines[:last], cobra.ShellCompDirective(directive)
}

// completeSettled completes the name of a command that has settings.
func completeSettled(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []cobra.Completion
	for _, other := range c.Root().Commands() {
		if settles(other) {
			words = append(words, cobra.CompletionWithDesc(other.Name(), other.Short))
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
