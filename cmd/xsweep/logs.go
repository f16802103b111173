// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"xsweep/sweep"
)

// The forms that standard error can have.
const (
	logText = "text"
	logJSON = "json" // one object a line, whatever is said
)

var logFormats = []string{logText, logJSON}

// registerLogs adds the flag that all commands have.
func (env *environment) registerLogs(flags *pflag.FlagSet) {
	flags.StringVar(&env.logFormat, "log-format", logText, "form of all that goes to standard error: text, or json with one object a line")
}

func (env *environment) checkLogFormat() error {
	if !slices.Contains(logFormats, env.logFormat) {
		return fmt.Errorf("--log-format %q: must be text or json", env.logFormat)
	}
	return nil
}

// jsonLogs says whether standard error is for programs.
func (env *environment) jsonLogs() bool { return env.logFormat == logJSON }

// wantLogs takes the form of standard error from arguments that are yet to be
// parsed, since an error in them is to have that form too.
func (env *environment) wantLogs(args []string) {
	want := func(format string) {
		if slices.Contains(logFormats, format) {
			env.logFormat = format
		}
	}
	want(os.Getenv(variable("log-format")))
	for i, arg := range args {
		value, ok := strings.CutPrefix(arg, "--log-format")
		switch {
		case arg == "--":
			return
		case ok && value == "" && i+1 < len(args):
			want(args[i+1])
		case ok && strings.HasPrefix(value, "="):
			want(value[1:])
		}
	}
}

// logger is what a command speaks through, in lines to w that are each written
// at once: warnings, with verbose 1 what was decided too, and with 2 every step.
// Quiet, it says nothing.
func (env *environment) logger(w io.Writer, verbose int, quiet bool) *slog.Logger {
	level := slog.LevelWarn
	switch {
	case verbose == 1:
		level = slog.LevelInfo
	case verbose > 1:
		level = slog.LevelDebug
	}
	options := &slog.HandlerOptions{Level: level}
	switch {
	case quiet:
		return slog.New(slog.DiscardHandler)
	case env.jsonLogs():
		return slog.New(slog.NewJSONHandler(w, options))
	case verbose > 0:
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(plainHandler{w})
}

// objects is a logger of objects for programs, whatever is said to people.
func objects(w io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(w, nil)) }

// fail prints the error that a command ends with.
func (env *environment) fail(message string) {
	if env.jsonLogs() {
		objects(env.stderr).Error(message)
		return
	}
	fmt.Fprintf(env.stderr, "xsweep: %s\n", message)
}

// say tells at the end what the user should know, such as what was lost.
func (env *environment) say(text string) {
	if env.jsonLogs() {
		objects(env.stderr).Warn(text)
		return
	}
	fmt.Fprintf(env.stderr, "xsweep: %s\n", text)
}

// sumUp tells how a sweep went: people in a few lines, programs in one object,
// which is that of --summary.
func (env *environment) sumUp(s *sweep.Summary) {
	if !env.jsonLogs() {
		printSummary(env.stderr, s)
		return
	}
	text, err := s.JSON()
	if err != nil {
		env.fail(err.Error())
		return
	}
	objects(env.stderr).Info("summary", "summary", json.RawMessage(text))
}

// plainHandler prints warnings as lines for people, without attributes.
type plainHandler struct{ w io.Writer }

func (h plainHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}
func (h plainHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h plainHandler) WithGroup(string) slog.Handler      { return h }

func (h plainHandler) Handle(_ context.Context, r slog.Record) error {
	_, err := fmt.Fprintf(h.w, "xsweep: %s\n", r.Message)
	return err
}

// logProgress is the status line for programs.
func logProgress(w io.Writer, p sweep.Progress) {
	objects(w).Info("progress",
		"phase", p.Phase.String(), "elapsed", p.Elapsed.Seconds(), "cooldown_left", p.CooldownLeft.Seconds(),
		"due", p.Due, "handed", p.Handed, "skipped", p.Skipped, "accepted", p.Accepted, "refused", p.Refused,
		"unconfirmed", p.Unconfirmed, "judged", p.Judged, "first", p.First, "repeat", p.Repeat,
		"duplicate", p.Duplicate, "lost", p.Lost)
}
