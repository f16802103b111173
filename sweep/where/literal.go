// SPDX-License-Identifier: Apache-2.0

package where

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// scanner looks through an expression for what the library's lexer does not
// know, and checks numbers, whose errors the library reports behind them.
//
// A duration is replaced by a name of the same length, so that every place
// stays where it was: 1.5ms becomes ___ms. The library takes it for an
// identifier, and durations says by its place what it is.
type scanner struct {
	text      []rune
	plain     []rune
	at        int
	durations durations
	// open is where a string or comment begins that does not end.
	open int
}

// durations are what scan has replaced, by place.
type durations map[int]time.Duration

// fault is a message and its place, from 0.
type fault struct {
	at      int
	message string
}

func (f *fault) Error() string { return f.message }

func faultf(at int, format string, args ...any) *fault {
	return &fault{at, fmt.Sprintf(format, args...)}
}

func scan(text []rune) (*scanner, error) {
	s := &scanner{text: text, plain: slices.Clone(text), durations: durations{}, open: -1}
	for s.at < len(text) {
		if err := s.step(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// peek is the rune so far ahead, 0 behind the end.
func (s *scanner) peek(ahead int) rune {
	if s.at+ahead < len(s.text) {
		return s.text[s.at+ahead]
	}
	return 0
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

// isWord says whether the library takes r for part of an identifier.
func isWord(r rune) bool {
	return r == '_' || r == '$' || unicode.IsLetter(r) || unicode.IsDigit(r)
}

// step goes past one string, comment, word, number or other rune.
func (s *scanner) step() error {
	switch r := s.peek(0); {
	case r == '"' || r == '\'':
		s.skipString(r)
	case r == '`':
		s.skipPast(1, "`")
	case r == '/' && s.peek(1) == '/':
		s.skipPast(2, "\n")
	case r == '/' && s.peek(1) == '*':
		s.skipPast(2, "*/")
	case r == '.' && s.peek(1) == '.':
		s.at += 2
	case isDigit(r), r == '.' && isDigit(s.peek(1)) && !s.behindValue():
		return s.number()
	case isWord(r):
		s.skipWord()
	default:
		s.at++
	}
	return nil
}

// behindValue says whether a dot here takes something from what stands before.
func (s *scanner) behindValue() bool {
	return s.at > 0 && (isWord(s.text[s.at-1]) || strings.ContainsRune(")]?", s.text[s.at-1]))
}

func (s *scanner) skipWord() {
	for isWord(s.peek(0)) {
		s.at++
	}
}

func (s *scanner) skipString(quote rune) {
	start := s.at
	for s.at++; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case quote:
			s.at++
			return
		case '\n': // the library refuses it
			s.unclosed(start)
			return
		case '\\':
			s.at++
		}
	}
	s.unclosed(start)
}

// unclosed keeps the first place: all behind it is in doubt.
func (s *scanner) unclosed(start int) {
	if s.open < 0 {
		s.open = start
	}
}

// skipPast goes so far ahead and then behind the next end.
func (s *scanner) skipPast(ahead int, end string) {
	start := s.at
	for s.at += ahead; s.at < len(s.text); s.at++ {
		if strings.HasPrefix(string(s.text[s.at:min(s.at+len(end), len(s.text))]), end) {
			s.at += len(end)
			return
		}
	}
	s.unclosed(start)
}

// digits goes past a number without sign and exponent.
func (s *scanner) digits() {
	for isDigit(s.peek(0)) || s.peek(0) == '_' {
		s.at++
	}
	if s.peek(0) != '.' || s.peek(1) == '.' {
		return
	}
	for s.at++; isDigit(s.peek(0)) || s.peek(0) == '_'; {
		s.at++
	}
}

func (s *scanner) number() error {
	start := s.at
	if s.peek(0) == '0' && strings.ContainsRune("xXoObB", s.peek(1)) {
		s.skipWord()
		return s.checkNumber(start)
	}
	s.digits()
	switch r := s.peek(0); {
	case r == '.' && isDigit(s.peek(1)):
		for isDigit(s.peek(0)) || strings.ContainsRune("./", s.peek(0)) {
			s.at++
		}
		return faultf(start, `%s is no number: addresses stand in quotes`, string(s.text[start:s.at]))
	case (r == 'e' || r == 'E') && (isDigit(s.peek(1)) || strings.ContainsRune("+-", s.peek(1)) && isDigit(s.peek(2))):
		s.at += 2
		s.skipWord()
	case isWord(r):
		return s.duration(start)
	}
	return s.checkNumber(start)
}

// checkNumber says what is wrong with a number. The library reads it again.
func (s *scanner) checkNumber(start int) error {
	text := string(s.text[start:s.at])
	plain := strings.ReplaceAll(text, "_", "")
	var err error
	switch {
	case len(plain) > 1 && plain[0] == '0' && strings.ContainsAny(plain[1:2], "xXoObB"):
		_, err = strconv.ParseInt(plain, 0, 64)
	case strings.ContainsAny(plain, ".eE"):
		_, err = strconv.ParseFloat(plain, 64)
	default:
		_, err = strconv.ParseInt(plain, 10, 64)
	}
	if err != nil {
		return faultf(start, "%s is no number, or one that is too large", text)
	}
	return nil
}

// duration reads the rest of a duration: units and further numbers.
func (s *scanner) duration(start int) error {
	for {
		for isWord(s.peek(0)) && !isDigit(s.peek(0)) {
			s.at++
		}
		if !isDigit(s.peek(0)) && (s.peek(0) != '.' || !isDigit(s.peek(1))) {
			break
		}
		s.digits()
	}
	text := string(s.text[start:s.at])
	d, err := time.ParseDuration(text)
	if err != nil {
		return faultf(start, "%s is neither number nor duration: write durations as in 300us, 1.5ms, 1h30m, up to 292 years", text)
	}
	s.durations[start] = d
	for i := start; i < s.at; i++ {
		if !unicode.IsLetter(s.plain[i]) {
			s.plain[i] = '_'
		}
	}
	return nil
}
