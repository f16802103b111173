// SPDX-License-Identifier: Apache-2.0

package where

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"

	"xsweep/internal/suggest"
)

// compiler checks a syntax tree and makes closures of it.
type compiler struct {
	text      []rune
	durations durations
	// shared are the nodes that stand twice in the tree, b of a < b < c, and their
	// values once they are known.
	shared map[ast.Node]*value
}

// value checks a node and all below it.
func (c *compiler) value(n ast.Node) (value, error) {
	known, isShared := c.shared[n]
	if known != nil {
		return *known, nil
	}
	v, err := c.check(n)
	if err == nil && isShared {
		v = v.memo()
		c.shared[n] = &v
	}
	return v, err
}

func (c *compiler) check(n ast.Node) (value, error) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return c.name(n)
	case *ast.IntegerNode:
		return c.literal(n, value{typ: intType, n: always(int64(n.Value))}), nil
	case *ast.FloatNode:
		return c.literal(n, value{typ: floatType, f: always(n.Value)}), nil
	case *ast.StringNode:
		return c.literal(n, value{typ: stringType, s: always(n.Value)}), nil
	case *ast.BoolNode:
		is := n.Value
		return c.literal(n, value{typ: boolType, b: func(*state) bool { return is }}), nil
	case *ast.NilNode:
		return c.literal(n, value{typ: nilType}), nil
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.conditional(n)
	case *ast.CallNode:
		return c.call(n)
	case *ast.ArrayNode:
		return value{}, faultf(start(n), `a list stands only behind "in"`)
	case *ast.BuiltinNode:
		return value{}, c.unknownFunction(n.Name, start(n))
	}
	return value{}, faultf(start(n), "this is no part of the language")
}

// start is where a node begins: the library places operators, not what they join.
func start(n ast.Node) int {
	at := n.Location().From
	switch n := n.(type) {
	case *ast.BinaryNode:
		at = min(at, start(n.Left))
	case *ast.ConditionalNode:
		at = min(at, start(n.Cond))
	case *ast.MemberNode:
		at = min(at, start(n.Node))
	case *ast.ChainNode:
		at = min(at, start(n.Node))
	case *ast.SequenceNode:
		at = min(at, start(n.Nodes[0]))
	case *ast.SliceNode:
		at = min(at, start(n.Node))
	case *ast.UnaryNode:
		if _, infix := infixNot(n); infix {
			at = start(n.Node)
		}
	case *ast.CallNode:
		at = min(at, start(n.Callee))
	}
	return at
}

// token is the word of the text that a node stands for.
func (c *compiler) token(n ast.Node) string {
	l := n.Location()
	from := min(max(l.From, 0), len(c.text))
	return string(c.text[from:min(max(l.To, from), len(c.text))])
}

func (c *compiler) literal(n ast.Node, v value) value {
	v.at, v.token, v.constant = start(n), c.token(n), true
	return v
}

// name is a duration that scan has replaced, or a column.
func (c *compiler) name(n *ast.IdentifierNode) (value, error) {
	if d, ok := c.durations[n.Location().From]; ok {
		return c.literal(n, value{typ: durationType, n: always(int64(d))}), nil
	}
	name := c.token(n)
	if v, ok := columnOf(name); ok {
		v.at, v.token = start(n), name
		return v, nil
	}
	return value{}, faultf(start(n), "unknown column %q%s", name, meantInstead(name))
}

// meantInstead is a hint at what an unknown name was meant for.
func meantInstead(name string) string {
	if _, ok := functions[name]; ok {
		return fmt.Sprintf(": it is a function, as in %s(...)", name)
	}
	for _, column := range []string{"kind", "os", "reason"} {
		for _, text := range domainOf(column) {
			if text == name || strings.HasPrefix(text, name+"-") {
				return fmt.Sprintf(`: strings stand in quotes, as in %s == %q`, column, text)
			}
		}
	}
	if near, ok := suggest.Nearest(name, columnNames); ok {
		return fmt.Sprintf(": did you mean %s?", near)
	}
	if better, ok := habits[strings.ToLower(name)]; ok {
		return fmt.Sprintf(": did you mean %s?", better)
	}
	return ": must be one of " + strings.Join(columnNames, ", ")
}

// is says what v is: rtt is a duration.
func (c *compiler) is(v value) string {
	if v.token == "" {
		return "this is " + v.typ.String()
	}
	if v.typ == nilType {
		return "nil is no value"
	}
	return printable(v.token) + " is " + v.typ.String()
}

// told is v and its type, for a message that has a verb already.
func (c *compiler) told(v value) string {
	if v.token == "" || v.typ == nilType {
		return v.typ.String()
	}
	return printable(v.token) + " (" + v.typ.String() + ")"
}

// infixNot says whether n is the not of "x not in y", which the library makes of
// "not (x in y)", at the place of the operator.
func infixNot(n *ast.UnaryNode) (*ast.BinaryNode, bool) {
	b, ok := n.Node.(*ast.BinaryNode)
	return b, ok && n.Operator == "not" && n.Location().From == b.Location().From
}

func (c *compiler) unary(n *ast.UnaryNode) (value, error) {
	if b, ok := infixNot(n); ok {
		return c.test(b, true)
	}
	v, err := c.value(n.Node)
	if err != nil {
		return value{}, err
	}
	at := start(n)
	switch n.Operator {
	case "not", "!":
		if v.typ != boolType {
			return value{}, faultf(v.at, "%s wants a boolean, but %s; it binds before comparisons: write %s (a == b)", n.Operator, c.is(v), n.Operator)
		}
		b := v.b
		return value{typ: boolType, at: at, b: func(st *state) bool { return !b(st) }}, nil
	case "-":
		return c.negate(v, at)
	}
	if !v.isNumber() && v.typ != durationType {
		return value{}, faultf(v.at, "+ wants a number or a duration, but %s", c.is(v))
	}
	v.at, v.token, v.column = at, "", ""
	return v, nil
}

func (c *compiler) binary(n *ast.BinaryNode) (value, error) {
	switch n.Operator {
	case "in", "contains", "startsWith", "endsWith", "matches":
		return c.test(n, false)
	case "..":
		return value{}, faultf(n.Location().From, `a range stands only behind "in"`)
	}
	c.share(n)
	l, err := c.value(n.Left)
	if err != nil {
		return value{}, err
	}
	r, err := c.value(n.Right)
	if err != nil {
		return value{}, err
	}
	at := n.Location().From
	switch n.Operator {
	case "and", "&&", "or", "||":
		return c.join(n.Operator, l, r)
	case "==", "!=", "<", "<=", ">", ">=":
		b, err := c.compare(n.Operator, l, r)
		return value{typ: boolType, at: l.at, b: b}, err
	case "??":
		return c.otherwise(l, r)
	}
	return c.arithmetic(n.Operator, at, l, r)
}

// share notes what both sides of an "and" compare, as the library writes
// a < b < c.
func (c *compiler) share(n *ast.BinaryNode) {
	right, ok := n.Right.(*ast.BinaryNode)
	if !ok || n.Operator != "&&" {
		return
	}
	left, ok := n.Left.(*ast.BinaryNode)
	if ok && left.Operator == "&&" {
		left, ok = left.Right.(*ast.BinaryNode)
	}
	if ok && left.Right == right.Left {
		c.shared[right.Left] = nil
	}
}

// test is one of the operators that can stand behind a not.
func (c *compiler) test(n *ast.BinaryNode, negate bool) (value, error) {
	l, err := c.value(n.Left)
	if err != nil {
		return value{}, err
	}
	v := value{typ: boolType, at: l.at}
	if n.Operator == "in" {
		v.b, err = c.in(l, n.Right, negate)
		return v, err
	}
	r, err := c.value(n.Right)
	if err != nil {
		return value{}, err
	}
	v.b, err = c.search(n.Operator, l, r, negate)
	return v, err
}

func (c *compiler) join(op string, l, r value) (value, error) {
	for _, v := range []value{l, r} {
		if v.typ != boolType {
			return value{}, faultf(v.at, "%s joins booleans, but %s", op, c.is(v))
		}
	}
	x, y := l.b, r.b
	v := value{typ: boolType, at: l.at, b: func(st *state) bool { return x(st) && y(st) }}
	if op == "or" || op == "||" {
		v.b = func(st *state) bool { return x(st) || y(st) }
	}
	return v, nil
}
