// SPDX-License-Identifier: Apache-2.0

package where

import (
	"fmt"
	"strings"
	"unicode"
)

// Error is what is wrong with an expression, or with a value that it met.
type Error struct {
	// Text is the expression as it was written.
	Text string
	// Offset is the place in it, in characters from 1; one more than it has for
	// its end.
	Offset int
	// Message says what is wrong there, in one line.
	Message string
}

// Error is one line.
func (e *Error) Error() string { return fmt.Sprintf("where: column %d: %s", e.Offset, e.Message) }

// snippetWidth is how many characters of a long expression are shown.
const snippetWidth = 76

// Snippet is two lines: the text, or a part of a long one, and a caret under the
// place. What does not print is shown as a blank.
func (e *Error) Snippet() string {
	text := []rune(e.Text)
	at := min(max(e.Offset-1, 0), len(text))
	from := 0
	if len(text) > snippetWidth {
		from = min(max(at-snippetWidth/2, 0), len(text)-snippetWidth)
		text = text[from : from+snippetWidth]
	}
	for i, r := range text {
		if !unicode.IsPrint(r) {
			text[i] = ' '
		}
	}
	return string(text) + "\n" + strings.Repeat(" ", at-from) + "^"
}
