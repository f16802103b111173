// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"iter"

	"xsweep/loader"
)

// Found is what a sweep has got since it was last saved. The zero value is
// empty; it is emptied by Reset, and keeps its memory.
type Found struct {
	answers  map[answerKind][]byte
	refusals []byte
	buffer   []byte
}

// answerKind is what the answers of a block have in common.
type answerKind struct{ request, attempt uint8 }

// A log is, behind its plan, a sequence of blocks: a header of 8 bytes and then
// entries of one size. All numbers are little-endian.
//
//	byte 0     kind: 1 answers, 2 refusals
//	byte 1     of answers: the ICMP type of the requests
//	byte 2     of answers: the attempt, from 1; 0 where it is unknown
//	byte 3     0
//	bytes 4-7  number of entries
//
// An answer is an address of 4 bytes. A refusal is the address of its target, that
// of who sent it, ICMP type and code: 10 bytes.
const (
	answersBlock  = 1
	refusalsBlock = 2
	blockHeader   = 8
	answerLen     = 4
	refusalLen    = 10
)

// Answer notes a reply of a target, to an attempt of the kind of probe whose
// requests have that ICMP type.
func (f *Found) Answer(target uint32, request, attempt uint8) {
	if f.answers == nil {
		f.answers = map[answerKind][]byte{}
	}
	kind := answerKind{request, attempt}
	f.answers[kind] = binary.LittleEndian.AppendUint32(f.answers[kind], target)
}

// Refusal notes an error.
func (f *Found) Refusal(r loader.Refusal) {
	f.refusals = binary.LittleEndian.AppendUint32(f.refusals, r.Target)
	f.refusals = binary.LittleEndian.AppendUint32(f.refusals, r.From)
	f.refusals = append(f.refusals, r.Type, r.Code)
}

// Join adds what another has.
func (f *Found) Join(o *Found) {
	if f.answers == nil {
		f.answers = map[answerKind][]byte{}
	}
	for kind, entries := range o.answers {
		f.answers[kind] = append(f.answers[kind], entries...)
	}
	f.refusals = append(f.refusals, o.refusals...)
}

// Reset forgets everything.
func (f *Found) Reset() {
	for kind := range f.answers {
		f.answers[kind] = f.answers[kind][:0]
	}
	f.refusals = f.refusals[:0]
}

// bytes are the blocks. They are valid until they are asked for again.
func (f *Found) bytes() []byte {
	f.buffer = f.buffer[:0]
	for kind, entries := range f.answers {
		f.block(answersBlock, kind, entries, answerLen)
	}
	f.block(refusalsBlock, answerKind{}, f.refusals, refusalLen)
	return f.buffer
}

func (f *Found) block(kind uint8, of answerKind, entries []byte, size int) {
	if len(entries) == 0 {
		return
	}
	f.buffer = append(f.buffer, kind, of.request, of.attempt, 0)
	f.buffer = binary.LittleEndian.AppendUint32(f.buffer, uint32(len(entries)/size))
	f.buffer = append(f.buffer, entries...)
}

// Answers yields the replies that the log has, many at a time; they are valid
// until the next ones are. What went wrong on the way is written to failed.
func (f *File) Answers(failed *error) iter.Seq[loader.Answers] {
	return func(yield func(loader.Answers) bool) {
		var targets []uint32
		*failed = f.walk(answersBlock, func(header, entries []byte) bool {
			targets = targets[:0]
			for ; len(entries) > 0; entries = entries[answerLen:] {
				targets = append(targets, binary.LittleEndian.Uint32(entries))
			}
			return yield(loader.Answers{Request: header[1], Attempt: header[2], Targets: targets})
		})
	}
}

// Refusals yields the errors that the log has. What went wrong on the way is
// written to failed.
func (f *File) Refusals(failed *error) iter.Seq[loader.Refusal] {
	return func(yield func(loader.Refusal) bool) {
		*failed = f.walk(refusalsBlock, func(_, entries []byte) bool {
			for ; len(entries) > 0; entries = entries[refusalLen:] {
				r := loader.Refusal{
					Target: binary.LittleEndian.Uint32(entries), From: binary.LittleEndian.Uint32(entries[4:]),
					Type: entries[8], Code: entries[9],
				}
				if !yield(r) {
					return false
				}
			}
			return true
		})
	}
}

// atOnce is how many entries of a block are read at a time.
const atOnce = 1 << 20

// walk calls visit with the entries of all blocks of a kind, some at a time,
// until it has had enough.
func (f *File) walk(kind uint8, visit func(header, entries []byte) bool) error {
	if f.state == nil {
		return nil
	}
	at := int64(planPos + len(f.plan))
	r := bufio.NewReader(io.NewSectionReader(f.log, at, f.size-at))
	var header [blockHeader]byte
	var entries []byte
	for {
		_, err := io.ReadFull(r, header[:])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return f.shortLog(err)
		}
		size := answerLen
		switch header[0] {
		case answersBlock:
		case refusalsBlock:
			size = refusalLen
		default:
			return f.named(fmt.Errorf("%w: its log has a block of kind %d", ErrDamaged, header[0]))
		}
		left := int(binary.LittleEndian.Uint32(header[4:]))
		if header[0] != kind {
			if _, err := r.Discard(left * size); err != nil {
				return f.shortLog(err)
			}
			continue
		}
		for left > 0 {
			n := min(left, atOnce)
			if len(entries) < n*size {
				entries = make([]byte, n*size)
			}
			if _, err := io.ReadFull(r, entries[:n*size]); err != nil {
				return f.shortLog(err)
			}
			if !visit(header[:], entries[:n*size]) {
				return nil
			}
			left -= n
		}
	}
}

func (f *File) shortLog(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = fmt.Errorf("%w: a block of its log ends early", ErrDamaged)
	}
	return f.named(err)
}
