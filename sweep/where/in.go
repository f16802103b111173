// SPDX-License-Identifier: Apache-2.0

package where

import (
	"github.com/expr-lang/expr/ast"

	"xsweep/sweep/target"
)

// in compiles x in y and, negated, x not in y. The first is true if x equals one
// of the elements, the second if x is unequal to all of them; both are false if x
// is unknown, and an element that is unknown is neither equal nor unequal.
func (c *compiler) in(x value, right ast.Node, negate bool) (func(*state) bool, error) {
	if x.typ == nilType {
		return nil, faultf(x.at, "nil is in nothing: only == and != ask whether a value is known")
	}
	elements := []ast.Node{right}
	if list, ok := right.(*ast.ArrayNode); ok {
		if elements = list.Nodes; len(elements) == 0 {
			return nil, faultf(start(right), "the list is empty")
		}
	}
	m := members{compiler: c, x: x.memo(), negate: negate}
	for _, n := range elements {
		if err := m.add(n); err != nil {
			return nil, err
		}
	}
	if len(elements) == 1 && elements[0] == right && !m.alone {
		return nil, c.noList(x, right)
	}
	return m.test(), nil
}

// noList explains what can stand behind in.
func (c *compiler) noList(x value, right ast.Node) error {
	at := start(right)
	if x.typ == stringType {
		return faultf(at, `"in" wants a list, as in kind in ["redirect", "unreachable"]; parts of strings are found by "contains"`)
	}
	if x.typ == addrType {
		return faultf(at, `"in" wants a prefix, or a list of addresses, prefixes and ranges`)
	}
	return faultf(at, `"in" wants a list or a range, as in ttl in [1, 64..128]`)
}

// members are what stands behind an in. Constants are gathered: matching looks
// them up.
type members struct {
	*compiler
	x      value
	negate bool
	// alone says that an element can stand without brackets.
	alone   bool
	numbers map[int64]bool
	strings map[string]bool
	ranges  []target.Range
	// others are tests of x against one element each.
	others []func(*state) bool
}

func (m *members) add(n ast.Node) error {
	if b, ok := n.(*ast.BinaryNode); ok && b.Operator == ".." {
		m.alone = true
		return m.addRange(b)
	}
	v, err := m.value(n)
	if err != nil {
		return err
	}
	text, constant := v.text()
	switch {
	case constant && m.x.typ == addrType:
		m.alone = true
		r, err := parseRange(text)
		if err != nil {
			return faultf(v.at, "%v", err)
		}
		m.ranges = append(m.ranges, r)
		return nil
	case constant && m.x.typ == stringType:
		if err := checkDomain(m.x, v); err != nil {
			return err
		}
		m.strings = put(m.strings, text)
		return nil
	case v.constant && v.typ == m.x.typ && v.isWhole():
		number, _ := v.n(nil)
		m.numbers = put(m.numbers, number)
		return nil
	case v.typ == nilType:
		return faultf(v.at, "nil is in no list: only == and != ask whether a value is known")
	}
	op := "=="
	if m.negate {
		op = "!="
	}
	test, err := m.compare(op, m.x, v)
	m.others = append(m.others, test)
	return err
}

func put[T comparable](set map[T]bool, x T) map[T]bool {
	if set == nil {
		set = map[T]bool{}
	}
	set[x] = true
	return set
}

// addRange adds the elements from one value to another, both included.
func (m *members) addRange(n *ast.BinaryNode) error {
	var ends [2]func(*state) bool
	for i, end := range []ast.Node{n.Left, n.Right} {
		v, err := m.value(end)
		if err != nil {
			return err
		}
		inside, outside := ">=", "<"
		if i == 1 {
			inside, outside = "<=", ">"
		}
		if m.negate {
			inside = outside
		}
		if ends[i], err = m.compare(inside, m.x, v); err != nil {
			return err
		}
	}
	from, to := ends[0], ends[1]
	if m.negate {
		m.others = append(m.others, func(st *state) bool { return from(st) || to(st) })
	} else {
		m.others = append(m.others, func(st *state) bool { return from(st) && to(st) })
	}
	return nil
}

// test joins the tests: one must hold, or negated all.
func (m *members) test() func(*state) bool {
	tests := m.others
	set := target.NewSet(m.ranges...)
	switch {
	case m.numbers != nil:
		tests = append(tests, lookup(m.x.n, m.numbers, m.negate))
	case m.strings != nil:
		tests = append(tests, lookup(m.x.s, m.strings, m.negate))
	case len(set.Ranges()) == 1:
		r, a, negate := set.Ranges()[0], m.x.a, m.negate
		tests = append(tests, func(st *state) bool { x, ok := a(st); return ok && r.Contains(x) != negate })
	case !set.Empty():
		a, negate := m.x.a, m.negate
		tests = append(tests, func(st *state) bool { x, ok := a(st); return ok && set.Contains(x) != negate })
	}
	if len(tests) == 1 {
		return tests[0]
	}
	negate := m.negate
	return func(st *state) bool {
		for _, test := range tests {
			if test(st) != negate {
				return !negate
			}
		}
		return negate
	}
}

// fewMembers is up to how many constants are compared one by one.
const fewMembers = 6

func lookup[T comparable](x func(*state) (T, bool), set map[T]bool, negate bool) func(*state) bool {
	if len(set) > fewMembers {
		return func(st *state) bool { x, ok := x(st); return ok && set[x] != negate }
	}
	list := make([]T, 0, len(set))
	for member := range set {
		list = append(list, member)
	}
	return func(st *state) bool {
		x, ok := x(st)
		if !ok {
			return false
		}
		for _, member := range list {
			if member == x {
				return !negate
			}
		}
		return negate
	}
}
