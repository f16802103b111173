// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// writeSettings makes a configuration file that the environment names.
func writeSettings(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XSWEEP_CONFIG", path)
	return path
}

// settled is a command whose flags are settled after so many were typed.
func settled(t *testing.T, name string, args ...string) (*cobra.Command, *settings, error) {
	t.Helper()
	c, _, err := newRootCommand(&environment{stdout: io.Discard, stderr: io.Discard}).Find([]string{name})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	s, err := settle(c)
	return c, s, err
}

// The stronger source wins, whichever others there are, and what any of them has
// set counts as given.
func TestSettingsPrecedence(t *testing.T) {
	for n := range 8 {
		flag, variable, file := n&1 > 0, n&2 > 0, n&4 > 0
		t.Run(fmt.Sprintf("flag %v, environment %v, file %v", flag, variable, file), func(t *testing.T) {
			writeSettings(t, "")
			want, value := "default", "20"
			if file {
				path := writeSettings(t, "# one\n\nsize = 33\n")
				want, value = path+":3", "33"
			}
			if variable {
				t.Setenv("XSWEEP_SIZE", "44")
				want, value = "environment XSWEEP_SIZE", "44"
			}
			var args []string
			if flag {
				args = []string{"--size", "55"}
				want, value = "flag", "55"
			}
			c, s, err := settled(t, "sweep", args...)
			if err != nil {
				t.Fatal(err)
			}
			f := c.Flag("size")
			if s.from("size") != want || f.Value.String() != value || f.Changed != (n > 0) {
				t.Errorf("%s from %s, changed %v; want %s from %s", f.Value, s.from("size"), f.Changed, value, want)
			}
		})
	}
}

func TestSettingsValues(t *testing.T) {
	writeSettings(t, `
rate = 100000
probes = 2
seed = 42
cooldown = "1s"
probe = ["echo", "mask"]
fields = "addr,rtt"
exclude_file = ["a", "b"]
exclude = "198.18.0.0/24"
quiet = true
batch = "1k"
max-results = 7.0
tos = 1
[sweep]
tos = 2
format = "csv"
interface = "eth7"
[lab]
live = 1
loss = 0.25
queues = 2
format = "jsonl"
`)
	t.Setenv("XSWEEP_FILE", "x, y")
	t.Setenv("XSWEEP_TEST_SEED", "13") // no flag's
	for _, tc := range []struct{ command, args, flag, want string }{
		{"sweep", "", "rate", "100k"},
		{"sweep", "", "probes", "2"},
		{"sweep", "", "seed", "42"},
		{"lab", "", "seed", "42"},
		{"sweep", "", "cooldown", "1s"},
		{"sweep", "", "probe", "echo,mask"},
		{"sweep", "", "fields", "addr,rtt"},
		{"sweep", "", "exclude-file", "a,b"},
		{"sweep", "", "exclude", "198.18.0.0/24"},
		{"sweep", "", "file", "x,y"},
		{"sweep", "-f z", "file", "z"},
		{"sweep", "", "batch", "1000"},
		{"sweep", "", "max-results", "7"},
		{"sweep", "", "quiet", "true"},
		{"sweep", "", "tos", "2"},    // the table is stronger
		{"sweep", "-v", "quiet", ""}, // a rival that was typed
		{"sweep", "", "format", "csv"},
		{"doctor", "", "interface", ""}, // not its table
		{"lab", "", "live", "1"},
		{"lab", "", "loss", "0.25"},
		{"lab", "", "probes", "1"}, // that flag is about --truth
		{"lab", "", "format", "text"},
		{"lab", "--truth 198.18.0.1", "probes", "2"},
		{"lab", "--truth 198.18.0.1", "format", "jsonl"},
	} {
		c, _, err := settled(t, tc.command, strings.Fields(tc.args)...)
		if err != nil {
			t.Fatal(err)
		}
		want := tc.want
		if tc.flag == "quiet" && want == "" {
			want = "false"
		}
		if got := shownValue(c.Flag(tc.flag)); got != want {
			t.Errorf("%s %s: --%s is %q, want %q", tc.command, tc.args, tc.flag, got, want)
		}
	}
}

func TestSettingsErrors(t *testing.T) {
	for _, tc := range []struct{ file, want string }{
		{"quiet = true\n\nrtae = 5", ":3: rtae: there is no such setting: did you mean rate?"},
		{"zzzzzz = 5", ":1: zzzzzz: there is no such setting"},
		{"[sweeep]\nrate = 5", ":1: [sweeep]: there is no such command: did you mean [sweep]?"},
		{"[sweep]\nlvie = 5", ":2: lvie: there is no such setting"},
		{"[sweep]\nlive = 5", ":2: live: `xsweep sweep` has no such flag, but other commands do"},
		{"sweep = 5", ":1: sweep: is a command: its settings stand in a table [sweep]"},
		{"[[sweep]]\nrate = 5", ":1: [[sweep]]: a command has one table: write [sweep]"},
		{"[sweep.rate]\nx = 5", ":1: [sweep.rate]: a command's table has no tables"},
		{"sweep.rate.x = 5", ":1: sweep.rate.x: a command's table has no tables"},
		{"sweep = { rate = true }", ":1: rate: must be a number or a string"},
		{"rate = true", `:1: rate: must be a number or a string, such as "10k", not a boolean`},
		{"quiet = 1", ":1: quiet: must be true or false, not an integer"},
		{"verbose = 1.5", ":1: verbose: must be true, false or a number, not a float"},
		{"cooldown = 5", `:1: cooldown: must be a string, such as "8s", not an integer`},
		{`ttl = "5"`, ":1: ttl: must be a number, not a string"},
		{"ttl = 1979-05-27", ":1: ttl: must be a number, not a date or time"},
		{"exclude-file = [1]", ":1: exclude-file: must be a list of strings, and an integer is in it"},
		{"exclude-file = 1", `:1: exclude-file: must be a list of strings, such as ["one", "two"], not an integer`},
		{`summary = ["a"]`, ":1: summary: must be a string"},
		{`rate = "fast"`, `:1: rate: rate "fast": must be packets per second`},
		{"exclude-file = []\nexclude_file = []", ":2: exclude-file is set twice, first in line 1"},
		{"dry-run = true", ":1: dry-run: can only be given as a flag: "},
		{"force = true", ":1: force: can only be given as a flag: "},
		{"[lab]\ntruth = \"x\"", ":2: truth: can only be given as a flag: "},
		{"help = true", ":1: help: can only be given as a flag: "},
		{`config = "x"`, ":1: config: a configuration file cannot name another"},
		{"quiet = true\nrate = ", ":2: is not TOML: "},
		{"rate = 1\nrate = 2", ":2: is not TOML: "},
	} {
		path := writeSettings(t, tc.file)
		_, _, err := settled(t, "sweep")
		if err == nil || !strings.HasPrefix(err.Error(), path+tc.want) {
			t.Errorf("%q:\n%v, want\n%s%s", tc.file, err, path, tc.want)
		}
	}
}

// The first file that is there is taken, and one that is named must be.
func TestSettingsFiles(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	open := func(named string) string {
		f, err := openSettings(named, []string{first, second})
		if err != nil {
			return err.Error()
		}
		return f.path
	}
	if got := open(""); got != "" {
		t.Errorf("without a file: %q", got)
	}
	for _, path := range []string{second, first} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := open(""); got != path {
			t.Errorf("%q is taken, want %q", got, path)
		}
	}
	if got := open(second); got != second {
		t.Errorf("%q is taken, want %q", got, second)
	}
	if got := open(filepath.Join(dir, "none")); !strings.Contains(got, "no such file") {
		t.Errorf("a file that is not there: %q", got)
	}

	t.Setenv("HOME", "/home/ann")
	t.Setenv("XDG_CONFIG_HOME", "")
	if got := settingsPaths(); got[0] != "/home/ann/.config/xsweep/config.toml" || got[1] != "/etc/xsweep/config.toml" {
		t.Errorf("paths %q", got)
	}
	t.Setenv("XDG_CONFIG_HOME", "/ann")
	if got := settingsPaths(); got[0] != "/ann/xsweep/config.toml" || len(got) != 2 {
		t.Errorf("paths %q", got)
	}
}
