// SPDX-License-Identifier: Apache-2.0

package where

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"
)

// search compiles the operators that look into strings. Negated as plain, they
// are false if an operand is unknown.
func (c *compiler) search(op string, l, r value, negate bool) (func(*state) bool, error) {
	for _, v := range []value{l, r} {
		if v.typ == addrType {
			return nil, faultf(v.at, `%s looks into strings, but %s: use "in" with a prefix`, op, c.is(v))
		}
		if v.typ != stringType {
			return nil, faultf(v.at, "%s looks into strings, but %s", op, c.is(v))
		}
	}
	if op == "matches" {
		return c.matches(l, r, negate)
	}
	find := map[string]func(s, part string) bool{
		"contains": strings.Contains, "startsWith": strings.HasPrefix, "endsWith": strings.HasSuffix,
	}[op]
	x, y := l.s, r.s
	return func(st *state) bool {
		s, part, ok := both(st, x, y)
		return ok && find(s, part) != negate
	}, nil
}

func (c *compiler) matches(l, r value, negate bool) (func(*state) bool, error) {
	pattern, constant := r.text()
	if !constant {
		return nil, faultf(r.at, "the pattern behind matches must be a constant string")
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		var bad *syntax.Error
		if errors.As(err, &bad) {
			return nil, faultf(r.at, "pattern %q: %s: %q", pattern, bad.Code, bad.Expr)
		}
		return nil, faultf(r.at, "pattern %q: %v", pattern, err)
	}
	s := l.s
	return func(st *state) bool {
		s, ok := s(st)
		return ok && re.MatchString(s) != negate
	}, nil
}
