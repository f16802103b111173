// SPDX-License-Identifier: Apache-2.0

package where

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"xsweep/sweep/reply"
	"xsweep/sweep/sink"
)

// page describes the language.
const page = "../../docs/where.md"

// example is a line of the page: an expression and, in its comment, the records
// that it is true of.
type example struct{ text, records string }

// blocks are the fenced blocks of a sort.
func blocks(page, sort string) []string {
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+sort+"\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		found = append(found, m[1])
	}
	return found
}

func examples(page string) (found []example) {
	for _, block := range blocks(page, "where") {
		for line := range strings.Lines(block) {
			text, names, _ := strings.Cut(strings.TrimSpace(line), " // ")
			found = append(found, example{strings.TrimSpace(text), names})
		}
	}
	return found
}

func readPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPageRecords(t *testing.T) {
	var out bytes.Buffer
	w := sink.NewWriter(&out, sink.Config{Format: sink.JSONLines, Fields: sink.AllFields()})
	if err := w.Write([]reply.Record{records["reply"], records["error"]}); err != nil {
		t.Fatal(err)
	}
	if got := blocks(readPage(t), "json"); len(got) != 1 || got[0] != out.String() {
		t.Errorf("the page has the records\n%s\nwant\n%s", got, out.String())
	}
}

func TestPageExamples(t *testing.T) {
	found := examples(readPage(t))
	if len(found) < 40 {
		t.Fatalf("only %d examples", len(found))
	}
	for _, e := range found {
		var of []string
		for _, name := range []string{"reply", "error"} {
			if matches(t, e.text, records[name]) {
				of = append(of, name)
			}
		}
		if of == nil {
			of = []string{"neither"}
		}
		if got := strings.Join(of, ", "); got != e.records {
			t.Errorf("%s: true of %s, but the page says %q", e.text, got, e.records)
		}
	}
}

func TestPageErrors(t *testing.T) {
	found := blocks(readPage(t), "where-error")
	if len(found) != 3 {
		t.Fatalf("%d errors, want 3", len(found))
	}
	for _, block := range found {
		text, _, _ := strings.Cut(block, "\n")
		_, err := Compile(text)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: error %v", text, err)
		} else if got := e.Snippet() + "\n" + e.Error() + "\n"; got != block {
			t.Errorf("the page has\n%swant\n%s", block, got)
		}
	}
}

// The tables of the page name what there is.
func TestPageTables(t *testing.T) {
	text := readPage(t)
	rows := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z]+) \\| .*\\| (.*?) ?\\|$").FindAllStringSubmatch(text, -1)
	if len(rows) != len(columns) {
		t.Fatalf("the page has %d columns, want %d", len(rows), len(columns))
	}
	for i, c := range columns {
		article := "a "
		if strings.ContainsRune("aeiou", rune(rows[i][2][0])) {
			article = "an "
		}
		if rows[i][1] != c.column || article+rows[i][2] != c.typ.String() || (rows[i][3] != "") != c.nullable {
			t.Errorf("the page has %q, want %s, %v, nullable %v", rows[i][0], c.column, c.typ, c.nullable)
		}
	}
	for name := range functions {
		if !strings.Contains(text, "`"+name+"(") {
			t.Errorf("the page does not have the function %s", name)
		}
	}
	for name := range methods {
		if !strings.Contains(text, "`."+name+"()`") {
			t.Errorf("the page does not have the method %s", name)
		}
	}
}
