// SPDX-License-Identifier: Apache-2.0

package where

import (
	"time"

	"xsweep/sweep/reply"
	"xsweep/sweep/target"
)

// typ is what a value is.
type typ uint8

const (
	nilType typ = iota
	boolType
	intType
	floatType
	stringType
	durationType
	timeType
	addrType
)

// String is the type with its article, as messages say it.
func (t typ) String() string {
	return [...]string{"nil", "a boolean", "an integer", "a float", "a string", "a duration", "a time", "an address"}[t]
}

// state is what a match works on.
type state struct {
	r     *reply.Record
	clock func() time.Time
	now   int64 // nanoseconds since 1970, the same for all of one match
	timed bool
	err   error  // the first
	match uint64 // how many there have been, this one included
}

func (st *state) fail(err error) {
	if st.err == nil {
		st.err = err
	}
}

// value is a checked part of an expression. The function of its type is set. All
// but booleans say whether the value is known; what compares an unknown one is
// false.
type value struct {
	typ typ
	// at is where it begins, from 0, and token its text if it is one word.
	at    int
	token string
	// column is the name of the column that it is, and empty otherwise.
	column string
	// nullable says that it can be unknown, constant that it is always the same.
	nullable, constant bool

	b func(*state) bool
	n func(*state) (int64, bool) // also duration and time, in ns (since 1970)
	f func(*state) (float64, bool)
	s func(*state) (string, bool)
	a func(*state) (target.Addr, bool)
}

// always is the function of a constant.
func always[T any](x T) func(*state) (T, bool) { return func(*state) (T, bool) { return x, true } }

// text is the value of a constant string.
func (v value) text() (string, bool) {
	if v.typ != stringType || !v.constant {
		return "", false
	}
	return v.s(nil)
}

func (v value) isNumber() bool { return v.typ == intType || v.typ == floatType }

// isWhole says whether the value is held as an integer.
func (v value) isWhole() bool {
	return v.typ == intType || v.typ == durationType || v.typ == timeType
}

// isZero says whether the value is a number that is always 0.
func (v value) isZero() bool {
	switch {
	case v.constant && v.typ == floatType:
		f, _ := v.f(nil)
		return f == 0
	case v.constant && v.isWhole():
		n, _ := v.n(nil)
		return n == 0
	}
	return false
}

// known asks whether the value is known.
func (v value) known() func(*state) bool {
	switch v.typ {
	case intType, durationType, timeType:
		return func(st *state) bool { _, ok := v.n(st); return ok }
	case floatType:
		return func(st *state) bool { _, ok := v.f(st); return ok }
	case stringType:
		return func(st *state) bool { _, ok := v.s(st); return ok }
	case addrType:
		return func(st *state) bool { _, ok := v.a(st); return ok }
	}
	return func(*state) bool { return true }
}

// memo is v where it is asked for several times in a match: it is worked out
// once. Otherwise nesting would multiply the work.
func (v value) memo() value {
	if v.constant || v.column != "" {
		return v
	}
	if b := v.b; b != nil {
		known := once(func(st *state) (bool, bool) { return b(st), true })
		v.b = func(st *state) bool { is, _ := known(st); return is }
	}
	v.n, v.f, v.s, v.a = once(v.n), once(v.f), once(v.s), once(v.a)
	return v
}

func once[T any](get func(*state) (T, bool)) func(*state) (T, bool) {
	var x T
	var known bool
	var match uint64
	return func(st *state) (T, bool) {
		if match != st.match {
			x, known = get(st)
			match = st.match
		}
		return x, known
	}
}

// toFloat is an integer as a float; others stay.
func (v value) toFloat() value {
	if v.typ == intType {
		n := v.n
		v.typ, v.n = floatType, nil
		v.f = func(st *state) (float64, bool) {
			x, ok := n(st)
			return float64(x), ok
		}
	}
	return v
}

// fold works out a value whose operands are all constant, once, so that what
// fails always fails at once.
func (v value) fold(operands ...value) (value, error) {
	for _, o := range operands {
		if !o.constant {
			return v, nil
		}
	}
	var st state
	switch v.typ {
	case intType, durationType, timeType:
		n, _ := v.n(&st)
		v.n = always(n)
	case floatType:
		f, _ := v.f(&st)
		v.f = always(f)
	case stringType:
		s, _ := v.s(&st)
		v.s = always(s)
	default:
		return v, nil
	}
	v.constant = true
	return v, st.err
}
