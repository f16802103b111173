// SPDX-License-Identifier: Apache-2.0

package target

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxLine is the longest line of a target file, in bytes, its end included.
const maxLine = 64 << 10

var byteOrderMark = []byte("\xef\xbb\xbf")

// ParseFile reads the targets of a file, in the file's order. A line has any
// number of targets, each as for [Parse], separated by spaces or tabs; a # and
// what follows it are a comment. Lines end with LF or CRLF and have at most
// 64 KiB. A UTF-8 byte order mark at the beginning is skipped.
//
// The file's name is for Target.Where and for errors, which are one line and
// begin "name:line: ". The first error ends the reading; no targets are
// returned with it.
//
// Host names are looked up one after the other, so a file with very many takes
// as long as its look-ups; ctx ends that.
func ParseFile(ctx context.Context, resolver Resolver, name string, r io.Reader) ([]Target, error) {
	f := fileParser{ctx: ctx, resolver: resolver, name: name}
	lines := bufio.NewReaderSize(r, maxLine)
	for number := 1; ; number++ {
		line, err := lines.ReadSlice('\n')
		atEnd := err == io.EOF
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			err = fmt.Errorf("line is longer than %d bytes; put fewer targets on a line", maxLine)
		case err == nil || atEnd:
			if number == 1 {
				line = bytes.TrimPrefix(line, byteOrderMark)
			}
			err = f.addLine(number, line)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		if atEnd {
			return f.targets, nil
		}
	}
}

type fileParser struct {
	ctx      context.Context
	resolver Resolver
	name     string
	targets  []Target
	// texts holds the strings of many targets: with a million lines, separate
	// ones would take most of the time.
	texts strings.Builder
}

// textBlock is how many bytes of strings are allocated at a time.
const textBlock = 64 << 10

// addLine reads the targets of a line, which stays the caller's.
func (f *fileParser) addLine(number int, line []byte) error {
	line = bytes.TrimSuffix(line, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if k := bytes.IndexByte(line, '#'); k >= 0 {
		line = line[:k]
	}
	where := ""
	for {
		for len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			line = line[1:]
		}
		if len(line) == 0 {
			return nil
		}
		word, err := nextWord(line)
		if err != nil {
			return err
		}
		line = line[len(word):]
		if where == "" {
			where = f.where(number)
		}
		if len(f.targets) == cap(f.targets) { // double it; append alone would copy far more often
			f.targets = slices.Grow(f.targets, len(f.targets)+16)
		}
		if f.targets, err = appendTargets(f.ctx, f.resolver, f.targets, f.keep(word), where); err != nil {
			return err
		}
	}
}

// nextWord returns line up to the first space or tab.
func nextWord(line []byte) ([]byte, error) {
	ascii, end := true, 0
	for ; end < len(line) && line[end] != ' ' && line[end] != '\t'; end++ {
		c := line[end]
		if c < ' ' || c == 0x7f {
			return nil, notText(c)
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	word := line[:end]
	if !ascii && !utf8.Valid(word) {
		return nil, notText(firstInvalid(word))
	}
	return word, nil
}

// where returns name and line number as Target.Where has them.
func (f *fileParser) where(number int) string {
	var digits [20]byte
	line := strconv.AppendInt(digits[:0], int64(number), 10)
	start := f.room(len(f.name) + 1 + len(line))
	f.texts.WriteString(f.name)
	f.texts.WriteByte(':')
	f.texts.Write(line)
	return f.texts.String()[start:]
}

// keep returns word as a string.
func (f *fileParser) keep(word []byte) string {
	start := f.room(len(word))
	f.texts.Write(word)
	return f.texts.String()[start:]
}

// room makes sure that n more bytes fit into the block, and returns where they
// will begin. Strings cut from an earlier block keep that block.
func (f *fileParser) room(n int) int {
	if f.texts.Cap()-f.texts.Len() < n {
		f.texts = strings.Builder{}
		f.texts.Grow(max(n, textBlock))
	}
	return f.texts.Len()
}

func notText(c byte) error {
	return fmt.Errorf("is not text (byte 0x%02x); expected UTF-8 lines of addresses, prefixes, ranges or host names", c)
}

// firstInvalid returns the first byte of word that is no UTF-8.
func firstInvalid(word []byte) byte {
	for len(word) > 0 {
		r, size := utf8.DecodeRune(word)
		if r == utf8.RuneError && size == 1 {
			return word[0]
		}
		word = word[size:]
	}
	return 0
}
