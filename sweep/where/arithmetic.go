// SPDX-License-Identifier: Apache-2.0

package where

import (
	"errors"
	"math"
	"math/bits"
)

var (
	errOverflow = errors.New("the number is beyond 64 bits")
	errZero     = errors.New("division by zero")
)

// negate is -v.
func (c *compiler) negate(v value, at int) (value, error) {
	out := value{typ: v.typ, at: at, nullable: v.nullable}
	switch v.typ {
	case intType, durationType:
		out.n = combine(at, always(int64(0)), v.n, subtract)
	case floatType:
		f := v.f
		out.f = func(st *state) (float64, bool) { x, ok := f(st); return -x, ok }
	default:
		return value{}, faultf(v.at, "- wants a number or a duration, but %s", c.is(v))
	}
	return out.fold(v)
}

// arithmetic is + - * / % ** and ^. at is the place of the operator.
func (c *compiler) arithmetic(op string, at int, l, r value) (value, error) {
	if op == "-" {
		var err error
		if l, r, err = c.readBeside(l, r); err != nil {
			return value{}, err
		}
	}
	v := value{at: l.at, nullable: l.nullable || r.nullable}
	if l.isNumber() && r.isNumber() && (l.typ != r.typ || op == "/" || op == "**" || op == "^") && op != "%" {
		l, r = l.toFloat(), r.toFloat()
	}
	switch do := (operation{op, l.typ, r.typ}); {
	case integers[do].apply != nil:
		v.typ, v.n = integers[do].typ, combine(at, l.n, r.n, integers[do].apply)
	case floats[op] != nil && l.typ == floatType && r.typ == floatType:
		v.typ, v.f = floatType, combine(at, l.f, r.f, floats[op])
	case do == operation{"+", stringType, stringType}:
		v.typ, v.s = stringType, combine(at, l.s, r.s, func(x, y string) (string, error) { return x + y, nil })
	case do == operation{"/", durationType, durationType}:
		v.typ, v.f = floatType, ratio(at, l.n, r.n)
	case do == operation{"*", durationType, floatType}:
		v.typ, v.n = durationType, scale(at, l.n, r.f, floats["*"])
	case do == operation{"*", floatType, durationType}:
		v.typ, v.n = durationType, scale(at, r.n, l.f, floats["*"])
	case do == operation{"/", durationType, floatType}:
		v.typ, v.n = durationType, scale(at, l.n, r.f, floats["/"])
	default:
		hint := ""
		if (op == "+" || op == "-") && (l.typ == durationType || r.typ == durationType) {
			hint = mend(l, r)
		}
		return value{}, faultf(at, "%s has no meaning between %s and %s%s", op, c.told(l), c.told(r), hint)
	}
	if (op == "/" || op == "%") && r.isZero() {
		return value{}, faultf(at, "%v", errZero)
	}
	return v.fold(l, r)
}

// operation is an operator between two types.
type operation struct {
	op   string
	l, r typ
}

// integers are the operations on what is held as an integer.
var integers = map[operation]struct {
	typ   typ
	apply func(x, y int64) (int64, error)
}{
	{"+", intType, intType}:           {intType, add},
	{"+", durationType, durationType}: {durationType, add},
	{"+", timeType, durationType}:     {timeType, add},
	{"+", durationType, timeType}:     {timeType, add},
	{"-", intType, intType}:           {intType, subtract},
	{"-", durationType, durationType}: {durationType, subtract},
	{"-", timeType, durationType}:     {timeType, subtract},
	{"-", timeType, timeType}:         {durationType, subtract},
	{"*", intType, intType}:           {intType, multiply},
	{"*", durationType, intType}:      {durationType, multiply},
	{"*", intType, durationType}:      {durationType, multiply},
	{"/", durationType, intType}:      {durationType, divide},
	{"%", intType, intType}:           {intType, remainder},
	{"%", durationType, durationType}: {durationType, remainder},
}

// floats are the operations on floats.
var floats = map[string]func(x, y float64) (float64, error){
	"+": func(x, y float64) (float64, error) { return x + y, nil },
	"-": func(x, y float64) (float64, error) { return x - y, nil },
	"*": func(x, y float64) (float64, error) { return x * y, nil },
	"/": func(x, y float64) (float64, error) {
		if y == 0 {
			return 0, errZero
		}
		return x / y, nil
	},
	"**": func(x, y float64) (float64, error) { return math.Pow(x, y), nil },
	"^":  func(x, y float64) (float64, error) { return math.Pow(x, y), nil },
}

func add(x, y int64) (int64, error) {
	sum := x + y
	if (sum > x) != (y > 0) {
		return 0, errOverflow
	}
	return sum, nil
}

func subtract(x, y int64) (int64, error) {
	difference := x - y
	if (difference < x) != (y > 0) {
		return 0, errOverflow
	}
	return difference, nil
}

func multiply(x, y int64) (int64, error) {
	high, low := bits.Mul64(magnitude(x), magnitude(y))
	negative := (x < 0) != (y < 0)
	if high != 0 || low > math.MaxInt64 && !(negative && low == 1<<63) {
		return 0, errOverflow
	}
	if negative {
		return -int64(low), nil
	}
	return int64(low), nil
}

// magnitude is right for the lowest number too.
func magnitude(x int64) uint64 {
	if x < 0 {
		return -uint64(x)
	}
	return uint64(x)
}

func divide(x, y int64) (int64, error) {
	switch {
	case y == 0:
		return 0, errZero
	case x == math.MinInt64 && y == -1:
		return 0, errOverflow
	}
	return x / y, nil
}

func remainder(x, y int64) (int64, error) {
	if y == 0 {
		return 0, errZero
	}
	return x % y, nil // of the lowest number and -1 it is 0
}

// combine applies an operation where both operands are known. An operation that
// fails leaves an unknown value, and its error for the end of the match.
func combine[T any](at int, l, r func(*state) (T, bool), apply func(x, y T) (T, error)) func(*state) (T, bool) {
	return func(st *state) (out T, ok bool) {
		x, y, ok := both(st, l, r)
		if !ok {
			return out, false
		}
		out, err := apply(x, y)
		if err != nil {
			st.fail(&fault{at, err.Error()})
			return out, false
		}
		return out, true
	}
}

// ratio is how many times a duration goes into another.
func ratio(at int, l, r func(*state) (int64, bool)) func(*state) (float64, bool) {
	return combine(at, value{typ: intType, n: l}.toFloat().f, value{typ: intType, n: r}.toFloat().f, floats["/"])
}

// scale applies an operation to a duration and a float.
func scale(at int, d func(*state) (int64, bool), by func(*state) (float64, bool), apply func(x, y float64) (float64, error)) func(*state) (int64, bool) {
	scaled := combine(at, value{typ: intType, n: d}.toFloat().f, by, apply)
	return func(st *state) (int64, bool) {
		x, ok := scaled(st)
		return whole(st, at, x, ok)
	}
}

// whole is a float without its fraction.
func whole(st *state, at int, x float64, ok bool) (int64, bool) {
	if !ok {
		return 0, false
	}
	if !(x >= math.MinInt64 && x < math.MaxInt64) { // nor NaN
		st.fail(&fault{at, errOverflow.Error()})
		return 0, false
	}
	return int64(x), true
}
