// SPDX-License-Identifier: Apache-2.0

package where

import (
	"errors"
	"strconv"
	"strings"
	"unicode"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

// maxNodes bounds the syntax tree, and so the depth of all recursion.
const maxNodes = 1000

// parse has the library read what scan has left. Its errors come back in the
// words of this package.
func parse(s *scanner) (root ast.Node, err error) {
	config := conf.CreateNew()
	config.MaxNodes = maxNodes
	config.DisableIfOperator = true
	for name := range config.Builtins {
		config.Disabled[name] = true // they parse as any other call
	}
	// The parser works on while it has an error, on nodes that it has not made.
	defer func() {
		if fall := recover(); fall != nil {
			root, err = nil, faultf(0, "cannot be read: %v", fall)
		}
	}()
	tree, err := parser.ParseWithConfig(string(s.plain), config)
	if err == nil {
		return tree.Node, nil
	}
	var at *file.Error
	if !errors.As(err, &at) {
		return nil, faultf(0, "%s", firstLine(err.Error()))
	}
	return nil, s.translate(at)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// translate turns an error of the parser into one of the text as it was written.
func (s *scanner) translate(e *file.Error) error {
	from := min(max(e.From, 0), len(s.text))
	token := string(s.text[from:min(max(e.To, from), len(s.text))])
	switch {
	case e.Message == "unexpected token EOF", e.Message == "unexpected end of expression":
		return faultf(len(s.text), "the expression ends too early")
	case strings.HasPrefix(e.Message, "unexpected token"):
		if better, ok := habits[strings.ToLower(token)]; ok {
			return faultf(from, "unexpected %s: did you mean %s?", token, better)
		}
		return faultf(from, "unexpected %s", printable(token))
	case strings.Contains(e.Message, "maximum allowed nodes"):
		return faultf(from, "the expression has more than %d parts", maxNodes)
	case strings.HasPrefix(e.Message, "Operator ("):
		return faultf(from, "put the operands of ?? and the whole into parentheses: (rtt ?? 1s) < 5ms")
	case strings.HasPrefix(e.Message, "unrecognized character"):
		return faultf(from, "unexpected %s", printable(token))
	case e.Message == "literal not terminated":
		return faultf(s.open, "the string has no end")
	case e.Message == "unclosed comment":
		return faultf(s.open, "the comment has no end")
	case e.Message == "invalid char escape":
		return faultf(from, `unknown escape in a string: write \\ for \, or the string in backquotes`)
	}
	return faultf(from, "%s", firstLine(e.Message))
}

// habits are what other languages write.
var habits = map[string]string{"=": `"=="`, "&": `"and"`, "and": `"and"`, "or": `"or"`, "not": `"not"`, "in": `"in"`, "is": `"=="`, "like": `"matches"`}

// printable is a token as a message can hold it: as it stands, if it prints.
func printable(token string) string {
	if token == "" {
		return "character"
	}
	for _, r := range token {
		if !unicode.IsPrint(r) {
			return strconv.Quote(token)
		}
	}
	return token
}
