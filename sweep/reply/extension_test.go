// SPDX-License-Identifier: Apache-2.0

package reply

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseExtensions(t *testing.T) {
	for _, tc := range examples {
		t.Run(tc.name, func(t *testing.T) {
			input := bytes.Clone(tc.ext)
			got, err := ParseExtensions(input)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(input, tc.ext) {
				t.Error("the parser has changed its input")
			}
			// The record must not hang on a buffer that is used again.
			clear(input)
			if diff := cmp.Diff(&tc.want, got, equalRecords, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("extensions (-want +got):\n%s", diff)
			}
		})
	}
}

// kinds of errors, of which every error must be exactly one.
var extensionErrors = []error{ErrExtensionVersion, ErrExtensionChecksum, ErrExtensionMalformed}

// checkError holds the error against all or nothing: one kind, and no part of a
// record. nil means any kind.
func checkError(t testing.TB, e *Extensions, err, want error) {
	t.Helper()
	if e != nil {
		t.Errorf("%v, and yet %+v", err, e)
	}
	kinds := 0
	for _, kind := range extensionErrors {
		if errors.Is(err, kind) {
			kinds++
		}
	}
	if kinds != 1 || want != nil && !errors.Is(err, want) {
		t.Errorf("error %v: should be %v", err, want)
	}
	if err != nil && (strings.Contains(err.Error(), "\n") || len(err.Error()) > 120) {
		t.Errorf("error %q: should be one short line", err)
	}
}

// with is b with bytes from an offset on replaced, and the checksum right
// again if there was one.
func with(b []byte, offset int, v ...byte) []byte {
	changed := bytes.Clone(b)
	copy(changed[offset:], v)
	if b[2]|b[3] != 0 {
		return sum(changed)
	}
	return changed
}

// Structures that lie. Each has a good object in front that must not survive,
// and each is tried with a checksum and without.
func TestHostileExtensions(t *testing.T) {
	const first = 4 // where the first object begins
	second := first + len(tunnel)
	both := unsummed(tunnel, arrived)
	sub := second + 4 // where the sub-objects begin
	for _, tc := range []struct {
		name string
		ext  []byte
		want error
	}{
		{"nothing", nil, ErrExtensionMalformed},
		{"an object's length is 0", with(both, second, 0, 0), ErrExtensionMalformed},
		{"an object's length is 1", with(both, second, 0, 1), ErrExtensionMalformed},
		{"an object's length is 3", with(both, second, 0, 3), ErrExtensionMalformed},
		{"an object's length is no multiple of 4", with(both, second, 0, byte(len(arrived)-1)), ErrExtensionMalformed},
		{"an unknown object of 11 bytes", with(unsummed(tunnel, strange), second, 0, 11), ErrExtensionMalformed},
		{"an unknown object of 6 bytes, another behind it", with(unsummed(tunnel, strange), second, 0, 6, 9, 9, 0, 0, 0, 6), ErrExtensionMalformed},
		{"an object ends a word beyond the end", with(both, second, 0, byte(len(arrived)+4)), ErrExtensionMalformed},
		{"an object ends far beyond the end", with(both, second, 0xff, 0xfc), ErrExtensionMalformed},
		{"an object reaches into the next", with(both, first, 0, byte(len(tunnel)+8)), ErrExtensionMalformed},
		{"an object swallows the next", with(unsummed(arrived, tunnel), first+4+4+8, 0xff), ErrExtensionMalformed},
		{"an object inside another", unsummed(tunnel, object(2, 0b00001111, arrived)), ErrExtensionMalformed},
		{"half a header behind the last object", append(unsummed(tunnel), 0, 4), ErrExtensionMalformed},
		{"padding behind the last object", append(unsummed(tunnel), 0, 0, 0, 0), ErrExtensionMalformed},
		{"two label stacks", unsummed(tunnel, tunnel), ErrExtensionMalformed},
		{"a stack without labels", unsummed(arrived, stack()), ErrExtensionMalformed},
		{"a role twice", unsummed(arrived, object(2, 0)), ErrExtensionMalformed},
		{"five interfaces", unsummed(object(2, 0), object(2, 0x40), object(2, 0x80), object(2, 0xc0), object(2, 0x40)), ErrExtensionMalformed},
		{"no index", unsummed(tunnel, object(2, 0b00001000)), ErrExtensionMalformed},
		{"no address family", unsummed(tunnel, object(2, 0b00000100)), ErrExtensionMalformed},
		{"no address", unsummed(tunnel, object(2, 0b00000100, []byte{0, 1, 0, 0})), ErrExtensionMalformed},
		{"an IPv6 address of 12 bytes", unsummed(tunnel, object(2, 0b00000100, []byte{0, 2, 0, 0}, make([]byte, 12))), ErrExtensionMalformed},
		{"address family 0", with(both, sub+4, 0, 0), ErrExtensionMalformed},
		{"address family 3", with(both, sub+4, 0, 3), ErrExtensionMalformed},
		{"address family 256", with(both, sub+4, 1, 0), ErrExtensionMalformed},
		{"family 2 with an IPv4 address", with(both, sub+4, 0, 2), ErrExtensionMalformed},
		{"no name", unsummed(tunnel, object(2, 0b00000010)), ErrExtensionMalformed},
		{"a name of length 0", with(both, sub+12, 0), ErrExtensionMalformed},
		{"a name of length 3", with(both, sub+12, 3), ErrExtensionMalformed},
		{"a name of length 13", with(both, sub+12, 13), ErrExtensionMalformed},
		{"a name over the MTU", with(both, sub+12, 16), ErrExtensionMalformed},
		{"a name beyond its object", with(both, sub+12, 20), ErrExtensionMalformed},
		{"a name beyond its object, in the next", with(unsummed(arrived, tunnel), first+4+12, 20), ErrExtensionMalformed},
		{"a name of 68 bytes", unsummed(tunnel, object(2, 0b00000010, ifName(strings.Repeat("n", 67)))), ErrExtensionMalformed},
		{"no MTU", unsummed(tunnel, object(2, 0b00000001)), ErrExtensionMalformed},
		{"no object", unsummed(), ErrExtensionMalformed},
		{"more than a frame", unsummed(tunnel, object(9, 9, make([]byte, 1500-4-len(tunnel)))), ErrExtensionMalformed},
		{"version 0", with(both, 0, 0x00), ErrExtensionVersion},
		{"version 1", with(both, 0, 0x10), ErrExtensionVersion},
		{"version 3", with(both, 0, 0x30), ErrExtensionVersion},
		{"version 2 in the wrong half", with(both, 0, 0x02), ErrExtensionVersion},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ParseExtensions(tc.ext)
			checkError(t, got, err, tc.want)
			if len(tc.ext) >= 4 {
				got, err = ParseExtensions(sum(tc.ext))
				checkError(t, got, err, tc.want)
			}
		})
	}
	// As long as allowed is not too long.
	if _, err := ParseExtensions(unsummed(tunnel, object(9, 9, make([]byte, 1500-4-len(tunnel)-4)))); err != nil {
		t.Error(err)
	}
}

// Every single bit that is changed on the way makes the checksum wrong, or
// the version.
func TestExtensionChecksum(t *testing.T) {
	for _, tc := range examples {
		if tc.name == "no checksum" {
			continue
		}
		for bit := range 8 * len(tc.ext) {
			broken := bytes.Clone(tc.ext)
			broken[bit/8] ^= 0x80 >> (bit % 8)
			if broken[2]|broken[3] == 0 {
				continue // then none was sent
			}
			got, err := ParseExtensions(broken)
			want := ErrExtensionChecksum
			if bit < 4 {
				want = ErrExtensionVersion
			}
			checkError(t, got, err, want)
		}
	}
}

// Each structure cut at every byte, with the checksum it had, with the right
// one, and with none: an error, unless the cut is between two objects and the
// checksum does not tell.
func TestExtensionsCut(t *testing.T) {
	for _, tc := range examples {
		// Where objects end, and what had been said by then.
		whole := map[int]bool{}
		for at := 4; at < len(tc.ext); {
			at += int(tc.ext[at])<<8 | int(tc.ext[at+1])
			whole[at] = true
		}
		for n := range len(tc.ext) {
			cut := tc.ext[:n:n]
			got, err := ParseExtensions(cut)
			if sent := n >= 4 && cut[2]|cut[3] != 0; n < 4 || sent || !whole[n] {
				checkError(t, got, err, nil)
			}
			if n < 4 {
				continue
			}
			for _, cut := range [][]byte{sum(cut), unsummed(cut[4:])} {
				got, err := ParseExtensions(cut)
				if !whole[n] {
					checkError(t, got, err, ErrExtensionMalformed)
				} else if err != nil {
					t.Errorf("%s, cut after %d of %d bytes, between objects: %v", tc.name, n, len(tc.ext), err)
				}
			}
		}
	}
}

func TestFindExtensions(t *testing.T) {
	ext := structure(tunnel, arrived)
	for _, tc := range []struct {
		name    string
		message []byte
		want    []byte // nil where none is announced
	}{
		{"unreachable", message(3, 32, 128, ext), ext},
		{"time exceeded", message(11, 32, 128, ext), ext},
		{"parameter problem", message(12, 32, 128, ext), ext},
		{"a longer quote", message(11, 33, 132, ext), ext},
		{"the longest quote", message(11, 255, 1020, ext), ext},
		{"the parser shall complain of the version", message(11, 32, 128, []byte{0x10, 0, 0, 0}), []byte{0x10, 0, 0, 0}},
		{"less than a header", message(11, 32, 128, ext[:3]), ext[:3]},

		{"nothing", nil, nil},
		{"seven bytes", message(11, 32, 0, nil)[:7], nil},
		{"a header alone", message(11, 0, 0, nil), nil},
		{"a quote of 8 bytes", message(3, 0, 28, nil), nil},
		{"a length and nothing behind the quote", message(3, 32, 128, nil), nil},
		{"a short quote with its length and nothing behind", message(3, 7, 28, nil), nil},

		{"echo reply", message(0, 32, 128, ext), nil},
		{"source quench", message(4, 32, 128, ext), nil},
		{"redirect", message(5, 32, 128, ext), nil},
		{"timestamp reply", message(14, 32, 128, ext), nil},
		{"an unknown type", message(200, 32, 128, ext), nil},

		{"a length beyond the end", message(11, 33, 128, nil), []byte{}},
		{"a length far beyond the end", message(11, 255, 128, ext), []byte{}},
		{"a length that is too short", message(11, 31, 124, ext), []byte{}},
		{"a length of one word", message(11, 1, 128, ext), []byte{}},
		{"a length without a quote", message(11, 32, 0, nil), []byte{}},

		{"no length, but a structure", message(11, 0, 128, ext), ext},
		{"no length, the shortest structure", message(3, 0, 128, structure(object(9, 9))), structure(object(9, 9))},
		{"no length, another type", message(5, 0, 128, ext), nil},
		{"no length, no checksum", message(11, 0, 128, unsummed(tunnel, arrived)), nil},
		{"no length, a wrong checksum", message(11, 0, 128, append(bytes.Clone(ext[:len(ext)-1]), 0xff)), nil},
		{"no length, another version", message(11, 0, 128, with(ext, 0, 0x10)), nil},
		{"no length, a header alone", message(11, 0, 128, structure()), nil},
		{"no length, a quote that ends where a structure could begin", message(11, 0, 128, nil), nil},
		{"no length, a structure elsewhere", message(11, 0, 132, ext), nil},
		{"no length, all quote", message(11, 0, 548, nil), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := FindExtensions(tc.message)
			if ok != (tc.want != nil) || !bytes.Equal(got, tc.want) {
				t.Errorf("% x, %v; want % x", got, ok, tc.want)
			}
			if !ok && got != nil {
				t.Errorf("none, and yet % x", got)
			}
			// What is announced and is not there ends as an error of its kind.
			if ok && len(tc.want) < 4 {
				e, err := ParseExtensions(got)
				checkError(t, e, err, ErrExtensionMalformed)
			}
		})
	}
}

// Each message cut at every byte: never more than what is there, and never a
// record, since the checksum covers what is gone.
func TestMessageCut(t *testing.T) {
	for _, tc := range examples {
		if tc.name == "no checksum" {
			continue
		}
		for _, length := range []uint8{0, 32, 40} {
			quote := max(4*int(length), 128)
			m := message(11, length, quote, tc.ext)
			for n := range len(m) {
				ext, ok := FindExtensions(m[:n:n])
				if !ok {
					continue
				}
				e, err := ParseExtensions(ext)
				checkError(t, e, err, nil)
			}
		}
	}
}

// encodeExtensions is the parser backwards. A field that is zero is not sent.
func encodeExtensions(e *Extensions) []byte {
	var objects [][]byte
	if len(e.MPLS) > 0 {
		var labels [][]byte
		for _, l := range e.MPLS {
			var bottom uint8
			if l.Bottom {
				bottom = 1
			}
			labels = append(labels, label(l.Label, l.Class, bottom, l.TTL))
		}
		objects = append(objects, stack(labels...))
	}
	for _, n := range e.Interfaces {
		cType := uint8(n.Role) << 6
		var parts [][]byte
		add := func(bit uint8, part []byte) {
			cType |= bit
			parts = append(parts, part)
		}
		if n.Index != 0 {
			add(8, word(n.Index))
		}
		if n.Addr.IsValid() {
			add(4, address5837(n.Addr.String()))
		}
		if n.Name != "" {
			add(2, ifName(n.Name))
		}
		if n.MTU != 0 {
			add(1, word(n.MTU))
		}
		objects = append(objects, object(2, cType, parts...))
	}
	return structure(objects...)
}

// checkExtensions judges whatever the parser makes of whatever bytes.
func checkExtensions(t *testing.T, b []byte) {
	before := bytes.Clone(b)
	e, err := ParseExtensions(b)
	if !bytes.Equal(before, b) {
		t.Error("the parser has changed its input")
	}
	if err != nil {
		checkError(t, e, err, nil)
		return
	}
	if b[0]>>4 != 2 || len(b)%4 != 0 || len(b) < 8 {
		t.Errorf("% x is taken for a structure", b)
	}
	// Two values stand for the same sum: of zero, all ones is the one that is sent.
	if right := sum(b); b[2]|b[3] != 0 && !bytes.Equal(right, b) && (right[2]|right[3] != 0 || b[2]&b[3] != 0xff) {
		t.Errorf("% x: wrong checksum", b)
	}
	if 4*len(e.MPLS) > len(b) || len(e.Interfaces) > 4 {
		t.Errorf("%d labels and %d interfaces of %d bytes", len(e.MPLS), len(e.Interfaces), len(b))
	}
	for _, n := range e.Interfaces {
		if n.Role >= numRoles || len(n.Name) > 63 || strings.HasSuffix(n.Name, "\x00") || n.Name != "" && !bytes.Contains(b, []byte(n.Name)) {
			t.Errorf("interface %+v of % x", n, b)
		}
	}
	checkText(t, e)
	if len(e.MPLS)+len(e.Interfaces) == 0 {
		return
	}
	again, err := ParseExtensions(encodeExtensions(e))
	if err != nil {
		t.Fatalf("encoded again: %v", err)
	}
	if diff := cmp.Diff(e, again, equalRecords, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("encoded again (-first +second):\n%s", diff)
	}
}

func FuzzParseExtensions(f *testing.F) {
	for _, tc := range examples {
		f.Add(tc.ext)
		f.Add(append(unsummed(), tc.ext[4:]...))
		f.Add(tc.ext[:len(tc.ext)-1])
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		checkExtensions(t, b)
		// Behind a checksum that is right, mutations reach the objects.
		if len(b) >= 4 {
			checkExtensions(t, sum(b))
		}
	})
}

func FuzzFindExtensions(f *testing.F) {
	for _, tc := range examples {
		f.Add(message(11, 32, 128, tc.ext))
		f.Add(message(3, 0, 128, tc.ext))
		f.Add(message(12, 40, 160, tc.ext))
	}
	f.Add(message(3, 0, 28, nil))
	f.Add(message(5, 32, 128, structure(tunnel)))
	f.Add([]byte{11})
	f.Fuzz(func(t *testing.T, m []byte) {
		before := bytes.Clone(m)
		ext, ok := FindExtensions(m)
		if !bytes.Equal(before, m) {
			t.Error("the message has changed")
		}
		if !ok {
			if ext != nil {
				t.Errorf("none, and yet % x", ext)
			}
			return
		}
		if m[0] != 3 && m[0] != 11 && m[0] != 12 {
			t.Errorf("type %d has extensions", m[0])
		}
		if !bytes.HasSuffix(m, ext) || len(ext) > 0 && len(m)-len(ext) < 136 {
			t.Errorf("% x in % x", ext, m)
		}
		if m[5] == 0 && (len(m)-len(ext) != 136 || ext[0]>>4 != 2) {
			t.Errorf("no length, and yet % x", ext)
		}
		if m[5] != 0 && len(ext) > 0 && len(m)-len(ext) != 8+4*int(m[5]) {
			t.Errorf("length %d, but % x", m[5], ext)
		}
		checkExtensions(t, ext)
	})
}
