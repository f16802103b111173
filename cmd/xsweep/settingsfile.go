// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// systemSettings is the configuration file of those who have none of their own.
const systemSettings = "/etc/xsweep/config.toml"

// fileSetting is one key of a configuration file.
type fileSetting struct {
	table string // the command that it is for; empty: every one that has the flag
	flag  string
	value any // as TOML has it: a string, int64, float64, bool, []any or others
	line  int
}

// settingsFile is a configuration file (TOML 1.0).
type settingsFile struct {
	path     string // empty: there is none
	settings []fileSetting
}

// at is an error of a line of the file.
func (f *settingsFile) at(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", f.path, line, fmt.Errorf(format, args...))
}

// settingsPaths are the files that are looked for where none is named, the first
// of which is taken (XDG Base Directory Specification).
func settingsPaths() []string {
	var paths []string
	if dir := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		paths = append(paths, filepath.Join(dir, "xsweep", "config.toml"))
	} else if home := os.Getenv("HOME"); filepath.IsAbs(home) {
		paths = append(paths, filepath.Join(home, ".config", "xsweep", "config.toml"))
	}
	return append(paths, systemSettings)
}

// openSettings reads the named file, which must be there, or the first that is.
func openSettings(named string, paths []string) (*settingsFile, error) {
	if named != "" {
		text, err := os.ReadFile(named)
		if err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		return parseSettings(named, text)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		switch {
		case err == nil:
			return parseSettings(path, text)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("configuration: %w: make it readable, or name another with --config", err)
		}
	}
	return &settingsFile{}, nil
}

// parseSettings reads the text of a file: its keys with their lines, in their
// order. Whether there are such flags is not its business.
func parseSettings(path string, text []byte) (*settingsFile, error) {
	f := &settingsFile{path: path}
	// The decoder knows what is valid, the parser where things stand.
	var values map[string]any
	if err := toml.Unmarshal(text, &values); err != nil {
		line, message := 1, strings.TrimPrefix(err.Error(), "toml: ")
		if decode := (*toml.DecodeError)(nil); errors.As(err, &decode) {
			line, _ = decode.Position()
		}
		return nil, f.at(line, "is not TOML: %s", message)
	}
	var p unstable.Parser
	p.Reset(text)
	var table []string
	for p.NextExpression() {
		e := p.Expression()
		key, line := keyOf(&p, e)
		switch e.Kind {
		case unstable.ArrayTable:
			return nil, f.at(line, "[[%s]]: a command has one table: write [%s]", strings.Join(key, "."), key[0])
		case unstable.Table:
			table = key
			if len(table) > 1 {
				return nil, f.at(line, "[%s]: a command's table has no tables: write [%s]", strings.Join(key, "."), key[0])
			}
			f.settings = append(f.settings, fileSetting{table: key[0], line: line})
		case unstable.KeyValue:
			if err := f.add(values, append(table[:len(table):len(table)], key...), line); err != nil {
				return nil, err
			}
		}
	}
	return f, p.Error()
}

func keyOf(p *unstable.Parser, e *unstable.Node) (key []string, line int) {
	for it := e.Key(); it.Next(); {
		if len(key) == 0 {
			line = p.Shape(it.Node().Raw).Start.Line
		}
		key = append(key, string(it.Node().Data))
	}
	return key, line
}

// add notes the value at a path of keys.
func (f *settingsFile) add(values map[string]any, path []string, line int) error {
	var value any = values
	for _, key := range path {
		value = value.(map[string]any)[key] // the decoder has been here
	}
	inline, isTable := value.(map[string]any)
	switch {
	case len(path) > 2, len(path) == 2 && isTable:
		return f.at(line, "%s: a command's table has no tables", strings.Join(path, "."))
	case isTable:
		f.settings = append(f.settings, fileSetting{table: path[0], line: line})
		for key := range inline {
			if err := f.add(values, []string{path[0], key}, line); err != nil {
				return err
			}
		}
		return nil
	}
	s := fileSetting{flag: strings.ReplaceAll(path[len(path)-1], "_", "-"), value: value, line: line}
	if len(path) == 2 {
		s.table = path[0]
	}
	for _, before := range f.settings {
		if before.flag == s.flag && before.table == s.table {
			return f.at(line, "%s is set twice, first in line %d", s.flag, before.line)
		}
	}
	f.settings = append(f.settings, s)
	return nil
}
