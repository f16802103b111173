// SPDX-License-Identifier: Apache-2.0

package where

import (
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
)

// methods are what can be asked of a time, in UTC.
var methods = map[string]func(time.Time) int{
	"Year":    time.Time.Year,
	"Month":   func(t time.Time) int { return int(t.Month()) },
	"Day":     time.Time.Day,
	"Hour":    time.Time.Hour,
	"Minute":  time.Time.Minute,
	"Second":  time.Time.Second,
	"Weekday": func(t time.Time) int { return int(t.Weekday()) },
}

func (c *compiler) method(n *ast.MemberNode, args []value) (value, error) {
	v, err := c.value(n.Node)
	if err != nil {
		return value{}, err
	}
	at := n.Location().From
	name, ok := n.Property.(*ast.StringNode)
	if !ok || n.Optional {
		return value{}, faultf(at, "this is no part of the language")
	}
	names := sorted(methods)
	apply, ok := methods[name.Value]
	switch {
	case v.typ != timeType:
		return value{}, faultf(at, "%s: only times have methods, but %s", printable(name.Value), c.is(v))
	case !ok:
		return value{}, faultf(at, "unknown method %q of times: must be one of %s", name.Value, strings.Join(names, ", "))
	case len(args) > 0:
		return value{}, faultf(args[0].at, "%s takes nothing", name.Value)
	}
	t := v.n
	out := value{typ: intType, at: v.at, nullable: v.nullable}
	out.n = func(st *state) (int64, bool) {
		x, ok := t(st)
		return int64(apply(time.Unix(0, x).UTC())), ok
	}
	return out.fold(v)
}
