// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// Flags whose values are strings to pflag, but more to people.
var (
	commaFlags   = []string{"probe", "fields"} // lists with commas
	numericFlags = []string{"seed", "dscp"}    // numbers, or words as well
)

// splitList cuts an environment variable up where its flag can be repeated.
func splitList(f *pflag.Flag, text string) []string {
	if _, ok := f.Value.(pflag.SliceValue); !ok {
		return []string{text}
	}
	list := strings.Split(text, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// flagTexts turns a value of a configuration file into what would be typed: one
// text, or several for flags that can be repeated.
func flagTexts(f *pflag.Flag, value any) ([]string, error) {
	kind := f.Value.Type()
	_, repeatable := f.Value.(pflag.SliceValue)
	counter := f.NoOptDefVal == "+1"
	numeric := kind != "string" && kind != "bool" && kind != "duration" && !repeatable || slices.Contains(numericFlags, f.Name)
	words := kind != "bool" && !counter && !isInteger(kind) && kind != "float64"
	switch v := value.(type) {
	case bool:
		if kind == "bool" {
			return []string{strconv.FormatBool(v)}, nil
		}
		if counter {
			return []string{strconv.Itoa(map[bool]int{true: 1}[v])}, nil
		}
	case int64:
		if numeric {
			return []string{strconv.FormatInt(v, 10)}, nil
		}
	case float64:
		if numeric && !isInteger(kind) && !counter {
			return []string{strconv.FormatFloat(v, 'f', -1, 64)}, nil
		}
	case string:
		if words {
			return []string{v}, nil
		}
	case []any:
		if repeatable || slices.Contains(commaFlags, f.Name) {
			return listTexts(v)
		}
	}
	return nil, fmt.Errorf("must be %s, not %s", wanted(f, numeric, words, repeatable, counter), kindOfTOML(value))
}

func isInteger(kind string) bool {
	return strings.TrimRight(strings.TrimPrefix(kind, "u"), "0123456789") == "int"
}

func listTexts(list []any) ([]string, error) {
	var texts []string
	for _, v := range list {
		text, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("must be a list of strings, and %s is in it", kindOfTOML(v))
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// wanted says what a flag takes in a file, by an example where its default is
// one.
func wanted(f *pflag.Flag, numeric, words, repeatable, counter bool) string {
	example := f.DefValue
	switch {
	case f.Value.Type() == "bool":
		return "true or false"
	case repeatable:
		return `a list of strings, such as ["one", "two"]`
	case counter:
		return "true, false or a number"
	case numeric && words && example != "":
		return fmt.Sprintf("a number or a string, such as %q", example)
	case numeric && words:
		return "a number or a string"
	case numeric:
		return "a number"
	case example != "":
		return fmt.Sprintf("a string, such as %q", example)
	}
	return "a string"
}

// kindOfTOML names a value's type as TOML does.
func kindOfTOML(value any) string {
	switch value.(type) {
	case bool:
		return "a boolean"
	case int64:
		return "an integer"
	case float64:
		return "a float"
	case string:
		return "a string"
	case []any:
		return "an array"
	}
	return "a date or time"
}
