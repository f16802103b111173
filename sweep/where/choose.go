// SPDX-License-Identifier: Apache-2.0

package where

import "github.com/expr-lang/expr/ast"

// conditional is c ? a : b.
func (c *compiler) conditional(n *ast.ConditionalNode) (value, error) {
	var parts [3]value
	for i, part := range []ast.Node{n.Cond, n.Exp1, n.Exp2} {
		var err error
		if parts[i], err = c.value(part); err != nil {
			return value{}, err
		}
	}
	if parts[0].typ != boolType {
		return value{}, faultf(parts[0].at, "? wants a boolean before it, but %s", c.is(parts[0]))
	}
	l, r, err := c.unify("choose between", parts[1], parts[2])
	if err != nil {
		return value{}, err
	}
	return choose(parts[0].at, parts[0].b, l, r), nil
}

// otherwise is l where it is known, and r elsewhere.
func (c *compiler) otherwise(l, r value) (value, error) {
	if !l.nullable {
		return value{}, faultf(l.at, "what stands before ?? is always known")
	}
	l, r, err := c.unify("choose between", l, r)
	if err != nil {
		return value{}, err
	}
	return value{
		typ: l.typ, at: l.at, nullable: r.nullable,
		n: first(l.n, r.n), f: first(l.f, r.f), s: first(l.s, r.s), a: first(l.a, r.a),
	}, nil
}

// choose is l where the condition holds, and r elsewhere. Both are of one type.
func choose(at int, when func(*state) bool, l, r value) value {
	return value{
		typ: l.typ, at: at, nullable: l.nullable || r.nullable,
		b: func(st *state) bool {
			if when(st) {
				return l.b(st)
			}
			return r.b(st)
		},
		n: pick(when, l.n, r.n), f: pick(when, l.f, r.f), s: pick(when, l.s, r.s), a: pick(when, l.a, r.a),
	}
}

func first[T any](l, r func(*state) (T, bool)) func(*state) (T, bool) {
	return func(st *state) (T, bool) {
		if x, ok := l(st); ok {
			return x, true
		}
		return r(st)
	}
}

func pick[T any](when func(*state) bool, l, r func(*state) (T, bool)) func(*state) (T, bool) {
	return func(st *state) (T, bool) {
		if when(st) {
			return l(st)
		}
		return r(st)
	}
}
