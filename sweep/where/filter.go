// SPDX-License-Identifier: Apache-2.0

package where

import (
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"xsweep/sweep/reply"
)

// maxText is how long an expression can be, in bytes.
const maxText = 4096

// Filter is a checked expression. It is used by one goroutine at a time.
type Filter struct {
	text  string
	match func(*state) bool
	state state
}

// Compile checks an expression, of 4 KiB at most. Its errors are of type [*Error].
func Compile(text string) (*Filter, error) {
	f := &Filter{text: text, state: state{clock: time.Now}}
	var err error
	if f.match, err = compile(text); err != nil {
		return nil, f.explain(err)
	}
	return f, nil
}

func compile(text string) (func(*state) bool, error) {
	if len(text) > maxText {
		return nil, faultf(utf8.RuneCountInString(text[:maxText]), "the expression is longer than %d bytes", maxText)
	}
	if valid := strings.ToValidUTF8(text, ""); valid != text {
		at := 0
		for i, r := range text {
			if _, size := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && size == 1 {
				break
			}
			at++
		}
		return nil, faultf(at, "the expression is not in UTF-8")
	}
	if strings.TrimSpace(text) == "" {
		return nil, faultf(0, `the expression is empty; rtt < 5ms is one`)
	}
	s, err := scan([]rune(text))
	if err != nil {
		return nil, err
	}
	root, err := parse(s)
	if err != nil {
		return nil, err
	}
	c := &compiler{text: s.text, durations: s.durations, shared: map[ast.Node]*value{}}
	v, err := c.value(root)
	if err != nil {
		return nil, err
	}
	if v.typ != boolType {
		return nil, faultf(v.at, "the expression must be true or false, but %s%s", c.is(v), askInstead(v))
	}
	return v.b, nil
}

// askInstead is what a value alone may have been meant for.
func askInstead(v value) string {
	if v.column != "" && v.nullable {
		return "; whether it is known is asked by " + v.column + " != nil"
	}
	return ""
}

// Match says whether the expression is true of a record. An error, of type
// [*Error], is of the values that it met: a division by zero, or a number beyond
// 64 bits. It keeps nothing of r.
func (f *Filter) Match(r *reply.Record) (bool, error) {
	f.state.r = r
	f.state.match++
	matched := f.match(&f.state)
	f.state.r, f.state.timed = nil, false
	if f.state.err != nil {
		err := f.state.err
		f.state.err = nil
		return false, f.explain(err)
	}
	return matched, nil
}

// String is the expression as it was written.
func (f *Filter) String() string { return f.text }

func (f *Filter) explain(err error) error {
	e := &Error{Text: f.text, Offset: 1, Message: err.Error()}
	var at *fault
	if errors.As(err, &at) {
		e.Offset = at.at + 1
	}
	return e
}
