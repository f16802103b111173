// SPDX-License-Identifier: Apache-2.0

package where

import (
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// Nothing panics; every error has one line and a place in the text; a filter
// says the same of the same record twice.
func FuzzFilter(f *testing.F) {
	for _, bench := range typical {
		f.Add(bench.text, uint64(1))
	}
	page, err := os.ReadFile(page)
	if err != nil {
		f.Fatal(err)
	}
	for _, example := range examples(string(page)) {
		f.Add(example.text, uint64(2))
	}
	for _, text := range []string{
		"", "rtt", "5", "5ms", ".5s", "1..5s", "1.2.3.4", "0x", "`", "'\\", "/*", "//", "b'", "#", "a?.b", "[", "{", "ttl in 1..2..3",
		"max(ttl,ttl)", "ttl|len()", "let a = 1; a", "::now()", "not in", "x not y", "-9223372036854775808", "ttl ?: 1", "(ttl ? 1.5 : 2.5) in [1.5]",
		"if ttl {1} else {2}", "all(1, {#})", "time.Hour", "$env", "1h.5m", "rtt ?? rtt ?? 1s", "ttl / code > 1", "\xff", "µ", "1µs", "ttl ** 9999 > 3",
	} {
		f.Add(text, uint64(3))
	}
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		check := func(err error) {
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%q: error %v", text, err)
			}
			if e.Offset < 1 || e.Offset > utf8.RuneCountInString(text)+1 || e.Message == "" || strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("%q: column %d: %q", text, e.Offset, e.Message)
			}
			if lines := strings.Split(e.Snippet(), "\n"); len(lines) != 2 || utf8.RuneCountInString(lines[1]) > snippetWidth+1 {
				t.Fatalf("%q: snippet %q", text, e.Snippet())
			}
		}
		filter, err := Compile(text)
		if err != nil {
			check(err)
			return
		}
		rng := rand.New(rand.NewPCG(seed, 0))
		for range 20 {
			r := random(rng)
			matched, err := filter.Match(&r)
			if err != nil {
				check(err)
			}
			if again, _ := filter.Match(&r); again != matched && !strings.Contains(text, "now") {
				t.Fatalf("%q: %v, then %v", text, matched, again)
			}
		}
	})
}
