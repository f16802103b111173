// SPDX-License-Identifier: Apache-2.0

package where

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"xsweep/sweep/target"
)

// unify gives two values one type: an integer beside a float becomes one, and a
// constant string beside an address or a time is read as such. verb says what
// was to be done with them.
func (c *compiler) unify(verb string, l, r value) (value, value, error) {
	l, r, err := c.readBeside(l, r)
	if err != nil {
		return l, r, err
	}
	if l.isNumber() && r.isNumber() && l.typ != r.typ {
		l, r = l.toFloat(), r.toFloat()
	}
	if l.typ != r.typ || l.typ == nilType {
		return l, r, faultf(r.at, "cannot %s %s and %s%s", verb, c.told(l), c.told(r), mend(l, r))
	}
	return l, r, nil
}

// readBeside reads a constant string beside an address or a time.
func (c *compiler) readBeside(l, r value) (value, value, error) {
	var err error
	if l.typ == addrType || l.typ == timeType {
		r, err = c.read(r, l.typ)
	} else if r.typ == addrType || r.typ == timeType {
		l, err = c.read(l, r.typ)
	}
	return l, r, err
}

// read reads a constant string as an address or a time. Others stay.
func (c *compiler) read(v value, as typ) (value, error) {
	text, ok := v.text()
	if !ok {
		return v, nil
	}
	if as == timeType {
		t, err := parseTime(text)
		if err != nil {
			return v, faultf(v.at, "%v", err)
		}
		v.typ, v.s, v.n = timeType, nil, always(t)
		return v, nil
	}
	r, err := parseRange(text)
	if err != nil {
		return v, faultf(v.at, "%v", err)
	}
	if r.First != r.Last {
		return v, faultf(v.at, `%s is more than one address: write in %s`, text, strconv.Quote(text))
	}
	v.typ, v.s, v.a = addrType, nil, always(r.First)
	return v, nil
}

// mend is a hint for two values that cannot be compared.
func mend(l, r value) string {
	if l.typ == nilType || r.typ == nilType {
		return "; nil stands only beside == and !="
	}
	if r.typ == durationType || r.typ == intType && l.typ == stringType {
		l, r = r, l
	}
	text, constant := r.text()
	_, notDuration := time.ParseDuration(text)
	_, notNumber := strconv.ParseFloat(text, 64)
	switch {
	case l.typ == durationType && r.isNumber() && r.token != "":
		return fmt.Sprintf(": a duration has a unit, as in %sms", r.token)
	case l.typ == durationType && r.isNumber():
		return ": a duration has a unit, as in 5ms"
	case l.typ == durationType && constant && notDuration == nil,
		l.isNumber() && constant && notNumber == nil:
		return fmt.Sprintf(": write %s without quotes", text)
	}
	return ""
}

func (c *compiler) compare(op string, l, r value) (func(*state) bool, error) {
	if (l.typ == nilType) != (r.typ == nilType) {
		return c.compareNil(op, l, r)
	}
	l, r, err := c.unify("compare", l, r)
	if err != nil {
		return nil, err
	}
	equality := op == "==" || op == "!="
	switch l.typ {
	case boolType:
		if !equality {
			return nil, faultf(r.at, "booleans have no order: %s cannot compare them", op)
		}
		x, y, equal := l.b, r.b, op == "=="
		return func(st *state) bool { return (x(st) == y(st)) == equal }, nil
	case floatType:
		return ordered(op, l.f, r.f), nil
	case stringType:
		if equality {
			if err := checkDomain(l, r); err != nil {
				return nil, err
			}
		}
		return ordered(op, l.s, r.s), nil
	case addrType:
		return ordered(op, l.a, r.a), nil
	}
	return ordered(op, l.n, r.n), nil
}

// compareNil asks whether a value is known.
func (c *compiler) compareNil(op string, l, r value) (func(*state) bool, error) {
	v, null := l, r
	if l.typ == nilType {
		v, null = r, l
	}
	switch {
	case op != "==" && op != "!=":
		return nil, faultf(null.at, "nil has no order: only == and != ask whether a value is known")
	case !v.nullable && v.token != "":
		return nil, faultf(v.at, "%s is always known: it is never nil", printable(v.token))
	case !v.nullable:
		return nil, faultf(v.at, "this is always known: it is never nil")
	}
	known := v.known()
	if op == "!=" {
		return known, nil
	}
	return func(st *state) bool { return !known(st) }, nil
}

// ordered compares two values, and is false if one of them is unknown.
func ordered[T cmp.Ordered](op string, l, r func(*state) (T, bool)) func(*state) bool {
	switch op {
	case "==":
		return func(st *state) bool { x, y, ok := both(st, l, r); return ok && x == y }
	case "!=":
		return func(st *state) bool { x, y, ok := both(st, l, r); return ok && x != y }
	case "<":
		return func(st *state) bool { x, y, ok := both(st, l, r); return ok && x < y }
	case "<=":
		return func(st *state) bool { x, y, ok := both(st, l, r); return ok && x <= y }
	case ">":
		return func(st *state) bool { x, y, ok := both(st, l, r); return ok && x > y }
	default:
		return func(st *state) bool { x, y, ok := both(st, l, r); return ok && x >= y }
	}
}

func both[T any](st *state, l, r func(*state) (T, bool)) (x, y T, ok bool) {
	if x, ok = l(st); !ok {
		return x, y, false
	}
	y, ok = r(st)
	return x, y, ok
}

// parseRange reads an address, a prefix or a range of addresses in the notation
// of targets.
func parseRange(text string) (target.Range, error) {
	found, err := target.Parse(context.Background(), nil, text)
	if err != nil {
		return target.Range{}, fmt.Errorf("address %q: %w", text, errors.Unwrap(err))
	}
	return found[0].Range, nil
}

// timeLayouts are how a time can be written. Without a zone it is in UTC.
var timeLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"}

// parseTime reads a time, in nanoseconds since 1970.
func parseTime(text string) (int64, error) {
	for _, layout := range timeLayouts {
		t, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		if n := t.UnixNano(); time.Unix(0, n).Equal(t) {
			return n, nil
		}
		return 0, fmt.Errorf("time %q: must lie between the years 1678 and 2262", text)
	}
	return 0, fmt.Errorf("%q is no time: write 2026-11-25T10:00:00Z or 2026-11-25", text)
}
