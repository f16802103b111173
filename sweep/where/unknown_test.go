// SPDX-License-Identifier: Apache-2.0

package where

import (
	"fmt"
	"testing"
)

// literals are a known value of each type and, of those with arithmetic, a term
// over X.
var literals = map[typ][2]string{
	intType:      {"3", "X * 2 + 1"},
	stringType:   {`upper(kind)`, `lower(X) + "x"`},
	durationType: {"5ms", "abs(-X / 2)"},
	addrType:     {`"10.0.0.1"`, ""},
}

// Whatever is asked of an unknown value is false, but for nil; and the opposite
// of it too, unless it is a not before a parenthesis.
func TestUnknown(t *testing.T) {
	asked := 0
	for _, c := range columns {
		if !c.nullable {
			continue
		}
		asked++
		unknown, known := 0, 0
		for name, r := range records {
			is := matches(t, c.column+" == nil", r)
			if is == matches(t, c.column+" != nil", r) || is != matches(t, "nil == "+c.column, r) {
				t.Errorf("%s of %s: both nil and not", c.column, name)
			}
			if !is {
				known++
				continue
			}
			unknown++
			literal := literals[c.typ][0]
			terms := []string{c.column, fmt.Sprintf("min(%s, %s)", c.column, literal), fmt.Sprintf("max(%s, %s)", literal, c.column),
				fmt.Sprintf("(duplicate ? %s : %[1]s)", c.column)}
			if term := literals[c.typ][1]; term != "" {
				terms = append(terms, replaceX(term, c.column))
			}
			for _, term := range terms {
				for _, op := range []string{"==", "!=", "<", "<=", ">", ">="} {
					checkFalse(t, fmt.Sprintf("%s %s %s", term, op, literal), name)
					checkFalse(t, fmt.Sprintf("%s %s %s", literal, op, term), name)
					checkFalse(t, fmt.Sprintf("%s %s %s", term, op, term), name)
				}
				checkFalse(t, fmt.Sprintf("%s in [%s]", term, literal), name)
				checkFalse(t, fmt.Sprintf("%s not in [%s]", term, literal), name)
				checkFalse(t, fmt.Sprintf("%s in [%s, %[1]s]", term, literal), name)
				checkFalse(t, fmt.Sprintf("%s not in [%s, %[1]s]", term, literal), name)
				checkFalse(t, fmt.Sprintf("%s in %s..%[2]s", term, literal), name)
				checkFalse(t, fmt.Sprintf("%s not in %s..%[2]s", term, literal), name)
				checkFalse(t, fmt.Sprintf("%s in [%s]", literal, term), name)
				checkFalse(t, fmt.Sprintf("%s not in [%s]", literal, term), name)
				checkTrue(t, fmt.Sprintf("not (%s == %s)", term, literal), name)
				checkTrue(t, fmt.Sprintf("%s == nil", term), name)
			}
			checkTrue(t, fmt.Sprintf("(%s ?? %s) == %[2]s", c.column, literal), name)
			if c.typ == stringType {
				for _, op := range []string{"contains", "startsWith", "endsWith", "matches"} {
					checkFalse(t, fmt.Sprintf(`%s %s ""`, c.column, op), name)
					checkFalse(t, fmt.Sprintf(`%s not %s ""`, c.column, op), name)
				}
				checkFalse(t, fmt.Sprintf(`len(%s) == 0`, c.column), name)
				checkFalse(t, fmt.Sprintf(`indexOf(%s, "x") < 9`, c.column), name)
				checkFalse(t, fmt.Sprintf(`"" contains %s`, c.column), name)
			}
			if c.typ == addrType {
				checkFalse(t, c.column+` in "0.0.0.0/0"`, name)
				checkFalse(t, c.column+` not in "0.0.0.0/0"`, name)
				checkFalse(t, c.column+` not in ["10.0.0.0/8", "192.0.2.0/24"]`, name)
				checkFalse(t, "addr == "+c.column, name)
				checkFalse(t, "addr != "+c.column, name)
			}
			if c.typ == intType {
				checkFalse(t, fmt.Sprintf("float(%s) / 3 != round(1.5)", c.column), name)
				checkFalse(t, fmt.Sprintf("int(%s * 1.5) != 0", c.column), name)
			}
			if c.typ == durationType {
				checkFalse(t, fmt.Sprintf("%s / 1ms != 0", c.column), name)
				checkFalse(t, fmt.Sprintf("time + %s != time", c.column), name)
			}
		}
		if unknown == 0 || known == 0 {
			t.Errorf("%s is known in %d of the records and unknown in %d: need both", c.column, known, unknown)
		}
	}
	if asked != 12 {
		t.Errorf("%d columns can be unknown, want 12", asked)
	}
}

func replaceX(term, column string) (text string) {
	for _, r := range term {
		if r == 'X' {
			text += column
		} else {
			text += string(r)
		}
	}
	return text
}

func checkFalse(t *testing.T, text, name string) {
	t.Helper()
	if matches(t, text, records[name]) {
		t.Errorf("%s: true of %s, where it is unknown", text, name)
	}
}

func checkTrue(t *testing.T, text, name string) {
	t.Helper()
	if !matches(t, text, records[name]) {
		t.Errorf("%s: false of %s", text, name)
	}
}

// A known value in the same place as an unknown one counts.
func TestUnknownBeside(t *testing.T) {
	for text, want := range map[string]bool{
		`addr in [gateway, "192.0.2.1"]`:     true,
		`addr not in [gateway, "10.0.0.1"]`:  false,
		`addr not in ["10.0.0.1"]`:           true,
		`mtu > 3 or rtt < 5ms`:               true,
		`mtu > 3 and rtt < 5ms`:              false,
		`(mtu ?? 3) == 3`:                    true,
		`(rtt ?? 3s) == 4200us`:              true,
		`(mtu != nil ? mtu : 7) == 7`:        true,
		`(true ? rtt : clock_offset) < 5ms`:  true,
		`(false ? rtt : clock_offset) < 5ms`: false,
	} {
		if got := matches(t, text, records["reply"]); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
