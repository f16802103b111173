// SPDX-License-Identifier: Apache-2.0

package where

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/expr-lang/expr"

	"xsweep/internal/testrand"
	"xsweep/sweep/reply"
)

// writer makes random expressions of what this package and the library agree on:
// known values, without addresses. text is what this package is given, theirs
// what the library is.
type writer struct{ *rand.Rand }

type twin struct{ text, theirs string }

func same(text string) twin { return twin{text, text} }

func (w writer) one(texts ...string) twin { return same(texts[w.IntN(len(texts))]) }

func join(format string, of ...twin) twin {
	ours, theirs := make([]any, len(of)), make([]any, len(of))
	for i, t := range of {
		ours[i], theirs[i] = t.text, t.theirs
	}
	return twin{fmt.Sprintf(format, ours...), fmt.Sprintf(format, theirs...)}
}

func (w writer) integer(depth int) twin {
	if depth == 0 || w.IntN(3) == 0 {
		return w.one("ttl", "code", "hops", "size", "type", strconv.Itoa(w.IntN(300)), "0x1f", "1_0")
	}
	switch w.IntN(6) {
	case 0:
		return join("-%s", w.integer(0))
	case 1:
		return join("(%s %% 7)", w.integer(depth-1))
	case 2:
		return join("len(%s)", w.text(depth-1))
	case 3:
		return join("("+w.one("max", "min").text+"(%s, %s) + abs(%s))", w.integer(depth-1), w.integer(depth-1), w.integer(depth-1))
	case 4:
		return join("(%s ? %s : %s)", w.boolean(depth-1), w.integer(depth-1), w.integer(depth-1))
	}
	return join("%s "+w.one("+", "-", "*").text+" %s", w.integer(depth-1), w.integer(depth-1))
}

func (w writer) float(depth int) twin {
	if depth == 0 || w.IntN(3) == 0 {
		return w.one("1.5", ".25", "2e1")
	}
	if w.IntN(3) == 0 {
		return join(w.one("floor", "ceil", "round").text+"(%s)", w.float(depth-1))
	}
	return join("(%s "+w.one("+ 0.5 -", "* 1.5 +", "/ 3 +", "/ 2.5 -").text+" %s)", w.integer(depth-1), w.float(depth-1))
}

func (w writer) text(depth int) twin {
	if depth == 0 || w.IntN(2) == 0 {
		return w.one(`"echo-reply"`, "'redirect'", "`redirect`", `"network unreachable"`, "lower(kind)", "upper(reason)", "trim(reason)", "kind + reason")
	}
	return join("(%s + %s)", w.text(depth-1), w.text(depth-1))
}

func (w writer) duration(depth int) twin {
	if depth == 0 || w.IntN(2) == 0 {
		text := w.one("5ms", "1.5ms", "300us", "2ms500us", ".001s", "7000000ns", "3000µs").text
		return []twin{same("rtt"), {text, `duration("` + text + `")`}}[w.IntN(2)]
	}
	return join("(%s "+w.one("+", "-").text+" %s)", w.duration(depth-1), w.duration(depth-1))
}

func (w writer) boolean(depth int) twin {
	if depth == 0 {
		return w.one("duplicate", "true", "false", "ttl > 64", `kind == "redirect"`)
	}
	order := w.one("==", "!=", "<", "<=", ">", ">=").text
	switch w.IntN(12) {
	case 0:
		return join("not (%s)", w.boolean(depth-1))
	case 1:
		return join("(%s) and %s", w.boolean(depth-1), w.boolean(depth-1))
	case 2:
		return join("%s or %s", w.boolean(depth-1), w.boolean(depth-1))
	case 3:
		return join("%s "+order+" %s", w.text(depth-1), w.text(depth-1))
	case 4:
		return join("%s "+order+" %s", w.float(depth-1), w.float(depth-1))
	case 5:
		return join("%s "+order+" %s", w.duration(depth-1), w.duration(depth-1))
	case 6:
		return join("%s "+w.one("contains", "startsWith", "endsWith", "not contains").text+" %s", w.text(depth-1), w.text(0))
	case 7:
		return join("%s "+w.one("in", "not in").text+" [1, 64, 3, 5, 200, 255, 7, 57]", w.integer(depth-1))
	case 8:
		return join(`kind ` + w.one("in", "not in").text + ` ["redirect", "echo-reply"]`)
	case 9:
		return join("%s matches %s", w.text(depth-1), w.one(`"^echo"`, `"re(d|p)"`, `"(?i)UNREACHABLE$"`))
	case 10:
		return join("(%s ? %s : %s)", w.boolean(depth-1), w.boolean(depth-1), w.boolean(depth-1))
	}
	return join("%s "+order+" %s", w.integer(depth-1), w.integer(depth-1))
}

// The library's own machine comes to the same result.
func TestAgainstLibrary(t *testing.T) {
	w := writer{testrand.New(t)}
	results := map[bool]int{}
	for range 3000 {
		r := random(w.Rand)
		r.Kind, r.RTT = reply.Redirect, max(r.RTT, 0)
		r.Type = r.Kind.Type()
		of := w.boolean(4)
		f, err := Compile(of.text)
		if err != nil && strings.Contains(err.Error(), "more than") {
			continue
		}
		if err != nil {
			t.Fatalf("%s\n%v", of.text, err)
		}
		got, err := f.Match(&r)
		if err != nil && strings.Contains(err.Error(), errOverflow.Error()) {
			continue // there numbers wrap
		}
		if err != nil {
			t.Fatalf("%s\n%v", of.text, err)
		}
		want, err := expr.Eval(of.theirs, map[string]any{
			"ttl": int(r.TTL), "code": int(r.Code), "hops": int(r.Hops()), "size": int(r.Size), "type": int(r.Type),
			"kind": r.Kind.String(), "reason": reply.Reason(r.Type, r.Code), "rtt": r.RTT, "duplicate": r.Duplicate,
		})
		if err != nil {
			t.Fatalf("%s: the library: %v", of.theirs, err)
		}
		if got != want {
			t.Errorf("%s\nis %v, but %v to the library, of %+v", of.text, got, want, r)
		}
		results[got]++
	}
	if results[true] < 300 || results[false] < 300 {
		t.Errorf("results are %v: too few of one", results)
	}
}
