// SPDX-License-Identifier: Apache-2.0

package where

import (
	"cmp"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"xsweep/internal/suggest"
)

// call compiles a call of a function, or of a method of times.
func (c *compiler) call(n *ast.CallNode) (value, error) {
	at := start(n)
	args := make([]value, len(n.Arguments))
	for i, arg := range n.Arguments {
		var err error
		if args[i], err = c.value(arg); err != nil {
			return value{}, err
		}
	}
	if m, ok := n.Callee.(*ast.MemberNode); ok {
		return c.method(m, args)
	}
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return value{}, faultf(at, "this is no part of the language")
	}
	f, ok := functions[callee.Value]
	if !ok {
		return value{}, c.unknownFunction(c.token(callee), at)
	}
	if len(args) < len(f.takes) || len(args) > len(f.takes) && !f.more {
		return value{}, faultf(at, "%s takes %s", callee.Value, f.usage)
	}
	v := value{at: at}
	for i, arg := range args {
		takes := f.takes[min(i, len(f.takes)-1)]
		if !fits(arg.typ, takes) {
			return value{}, faultf(arg.at, "%s takes %s, but %s", callee.Value, f.usage, c.is(arg))
		}
		v.nullable = v.nullable || arg.nullable
	}
	if err := f.make(c, &v, args); err != nil {
		return value{}, err
	}
	if len(args) == 0 { // a clock
		return v, nil
	}
	return v.fold(args...)
}

func (c *compiler) unknownFunction(name string, at int) error {
	if _, ok := columnOf(name); ok {
		return faultf(at, "%s is a column: it takes no parentheses", name)
	}
	names := sorted(functions)
	if near, ok := suggest.Nearest(name, names); ok {
		return faultf(at, "unknown function %q: did you mean %s?", name, near)
	}
	return faultf(at, "unknown function %q: must be one of %s", name, strings.Join(names, ", "))
}

// fits says whether a function that takes one type can be given another.
// nilType stands for every type that has an order.
func fits(given, takes typ) bool {
	switch takes {
	case nilType:
		return given != nilType && given != boolType
	case floatType:
		return given == floatType || given == intType
	}
	return given == takes
}

type function struct {
	// takes are the types of its parameters; more says that the last can be given
	// several times.
	takes []typ
	more  bool
	// usage is how messages put it.
	usage string
	// make sets type and function of what it gives.
	make func(c *compiler, v *value, args []value) error
}

var functions map[string]function

func init() { // the table needs the compiler, which needs the table
	functions = map[string]function{
		"now":      {nil, false, "nothing", now},
		"date":     {[]typ{stringType}, false, `a constant string, as in date("2026-11-25")`, date},
		"duration": {[]typ{stringType}, false, `a constant string, as in duration("5ms")`, duration},
		"len":      {[]typ{stringType}, false, "a string", length},
		"lower":    {[]typ{stringType}, false, "a string", onString(strings.ToLower)},
		"upper":    {[]typ{stringType}, false, "a string", onString(strings.ToUpper)},
		"trim":     {[]typ{stringType}, false, "a string", onString(strings.TrimSpace)},
		"indexOf":  {[]typ{stringType, stringType}, false, "two strings", indexOf},
		"abs":      {[]typ{nilType}, false, "a number or a duration", absolute},
		"ceil":     {[]typ{floatType}, false, "a number", onFloat(math.Ceil)},
		"floor":    {[]typ{floatType}, false, "a number", onFloat(math.Floor)},
		"round":    {[]typ{floatType}, false, "a number", onFloat(math.Round)},
		"int":      {[]typ{floatType}, false, "a number", toInt},
		"float":    {[]typ{floatType}, false, "a number", onFloat(func(x float64) float64 { return x })},
		"min":      {[]typ{nilType, nilType}, true, "two values or more", extreme("<")},
		"max":      {[]typ{nilType, nilType}, true, "two values or more", extreme(">")},
	}
}

func now(_ *compiler, v *value, _ []value) error {
	v.typ = timeType
	v.n = func(st *state) (int64, bool) {
		if !st.timed {
			st.now, st.timed = st.clock().UnixNano(), true
		}
		return st.now, true
	}
	return nil
}

func date(c *compiler, v *value, args []value) error {
	read, err := c.read(args[0], timeType)
	if err == nil && read.typ != timeType {
		err = faultf(v.at, "date takes %s", functions["date"].usage)
	}
	v.typ, v.n = timeType, read.n
	return err
}

func duration(_ *compiler, v *value, args []value) error {
	text, constant := args[0].text()
	if !constant {
		return faultf(v.at, "duration takes %s", functions["duration"].usage)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return faultf(args[0].at, "%q is no duration: write it as in 300us, 1.5ms, 1h30m", text)
	}
	v.typ, v.n = durationType, always(int64(d))
	return nil
}

func length(_ *compiler, v *value, args []value) error {
	s := args[0].s
	v.typ = intType
	v.n = func(st *state) (int64, bool) { x, ok := s(st); return int64(utf8.RuneCountInString(x)), ok }
	return nil
}

func indexOf(_ *compiler, v *value, args []value) error {
	x, y := args[0].s, args[1].s
	v.typ = intType
	v.n = func(st *state) (int64, bool) {
		s, part, ok := both(st, x, y)
		at := strings.Index(s, part)
		if at > 0 {
			at = utf8.RuneCountInString(s[:at])
		}
		return int64(at), ok
	}
	return nil
}

func onString(apply func(string) string) func(*compiler, *value, []value) error {
	return func(_ *compiler, v *value, args []value) error {
		s := args[0].s
		v.typ = stringType
		v.s = func(st *state) (string, bool) { x, ok := s(st); return apply(x), ok }
		return nil
	}
}

func onFloat(apply func(float64) float64) func(*compiler, *value, []value) error {
	return func(_ *compiler, v *value, args []value) error {
		f := args[0].toFloat().f
		v.typ = floatType
		v.f = func(st *state) (float64, bool) { x, ok := f(st); return apply(x), ok }
		return nil
	}
}

func toInt(_ *compiler, v *value, args []value) error {
	v.typ = intType
	if args[0].typ == intType {
		v.n = args[0].n
		return nil
	}
	f, at := args[0].f, v.at
	v.n = func(st *state) (int64, bool) {
		x, ok := f(st)
		return whole(st, at, x, ok)
	}
	return nil
}

func absolute(c *compiler, v *value, args []value) error {
	switch v.typ = args[0].typ; v.typ {
	case floatType:
		return onFloat(math.Abs)(c, v, args)
	case intType, durationType:
		v.n = combine(v.at, args[0].n, always(int64(0)), func(x, _ int64) (int64, error) {
			if x < 0 {
				return subtract(0, x)
			}
			return x, nil
		})
		return nil
	}
	return faultf(args[0].at, "abs takes a number or a duration, but %s", c.is(args[0]))
}

// extreme is the one of its arguments that stands before all others in an order;
// unknown if one is.
func extreme(op string) func(*compiler, *value, []value) error {
	return func(c *compiler, v *value, args []value) error {
		at, nullable := v.at, v.nullable
		best := args[0]
		for _, arg := range args[1:] {
			l, r, err := c.unify("compare", best, arg)
			if err != nil {
				return err
			}
			best = value{
				typ: l.typ, at: at, nullable: nullable,
				n: better(op, l.n, r.n), f: better(op, l.f, r.f), s: better(op, l.s, r.s), a: better(op, l.a, r.a),
			}
		}
		*v = best
		return nil
	}
}

func better[T cmp.Ordered](op string, l, r func(*state) (T, bool)) func(*state) (T, bool) {
	return func(st *state) (T, bool) {
		x, y, ok := both(st, l, r)
		if op == "<" {
			return min(x, y), ok
		}
		return max(x, y), ok
	}
}
