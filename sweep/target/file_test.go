// SPDX-License-Identifier: Apache-2.0

package target

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestParseFile(t *testing.T) {
	const file = "\xef\xbb\xbf# comment with junk \x00\xff\r\n" +
		"192.0.2.1\r\n" +
		"\n" +
		"  192.0.2.0/30\t198.51.100.1-3   # two on a line\n" +
		"203.0.113.5#no space\n" +
		"\t \r\n" +
		"host.example\n" +
		"192.0.2.9" // no line end
	want := []string{
		"192.0.2.1 192.0.2.1 list:2",
		"192.0.2.0/30 192.0.2.0/30 list:4",
		"198.51.100.1-198.51.100.3 198.51.100.1-3 list:4",
		"203.0.113.5 203.0.113.5 list:5",
		"192.0.2.5 host.example list:7",
		"192.0.2.7 host.example list:7",
		"198.51.100.9 host.example list:7",
		"192.0.2.9 192.0.2.9 list:8",
	}
	for name, reader := range map[string]func(io.Reader) io.Reader{
		"whole":            func(r io.Reader) io.Reader { return r },
		"one byte a read":  iotest.OneByteReader,
		"data with an EOF": iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			targets, err := ParseFile(t.Context(), testNames(), "list", reader(strings.NewReader(file)))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, target := range targets {
				got = append(got, target.Range.String()+" "+target.Text+" "+target.Where)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestParseFileWithoutTargets(t *testing.T) {
	for _, file := range []string{"", "\n", "# nothing\n", "\xef\xbb\xbf", " \t\r\n\r\n"} {
		targets, err := ParseFile(t.Context(), nil, "list", strings.NewReader(file))
		if err != nil || len(targets) != 0 {
			t.Errorf("ParseFile of %q = %v, %v", file, targets, err)
		}
	}
}

// TestParseFileManyLines crosses many blocks of kept strings.
func TestParseFileManyLines(t *testing.T) {
	const lines = 50_000
	var file strings.Builder
	for k := range lines {
		fmt.Fprintf(&file, "%s\n", Addr(k*77777))
	}
	targets, err := ParseFile(t.Context(), nil, "a/list", strings.NewReader(file.String()))
	if err != nil || len(targets) != lines {
		t.Fatalf("%d targets, error %v", len(targets), err)
	}
	for k, got := range targets {
		a := Addr(k * 77777)
		want := Target{Range{a, a}, a.String(), fmt.Sprintf("a/list:%d", k+1)}
		if got != want {
			t.Fatalf("target %d is %v, want %v", k, got, want)
		}
	}
}

func TestParseFileErrors(t *testing.T) {
	const notText = "; expected UTF-8 lines of addresses, prefixes, ranges or host names"
	longest := strings.Repeat(" ", maxLine-len("192.0.2.1\n")) + "192.0.2.1\n"
	for _, tt := range []struct{ file, want string }{
		{"192.0.2.1\r\n\r\n192.0.2.300\r\n", `list:3: target "192.0.2.300": octet "300" is over 255; expected four octets, as in 192.0.2.1`},
		{"192.0.2.1 1.2.3", `list:1: target "1.2.3": has 3 octets; expected four octets, as in 192.0.2.1`},
		{"# fine\nnosuch.example\n", `list:2: target "nosuch.example": unknown host name: lookup nosuch.example: no such host (check the spelling, or give its address)`},
		{"\x7fELF\x02\x01", `list:1: is not text (byte 0x7f)` + notText},
		{"192.0.2.1\n192.0.2.\x00\n", `list:2: is not text (byte 0x00)` + notText},
		{"\xff\xfe1\x009\x00", `list:1: is not text (byte 0x00)` + notText},
		{"ab\xc3\xa9\xe9c", `list:1: is not text (byte 0xe9)` + notText},
		{"192.0.2.1\r192.0.2.2\r", `list:1: is not text (byte 0x0d)` + notText},
		{"192.0.2.1\n\xef\xbb\xbf192.0.2.2", `list:2: target "\ufeff192.0.2.2": character '\ufeff' is in no host name; write international names in their xn-- form`},
		{longest + longest + " " + longest, `list:3: line is longer than 65536 bytes; put fewer targets on a line`},
		{longest + strings.Repeat("#", 2*maxLine), `list:2: line is longer than 65536 bytes; put fewer targets on a line`},
	} {
		targets, err := ParseFile(t.Context(), testNames(), "list", strings.NewReader(tt.file))
		if err == nil || err.Error() != tt.want || targets != nil {
			t.Errorf("ParseFile of %.40q: %d targets, error\n%v\nwant\n%s", tt.file, len(targets), err, tt.want)
		}
	}
}

func TestParseFileReadError(t *testing.T) {
	broken := errors.New("disk on fire")
	r := io.MultiReader(strings.NewReader("192.0.2.1\n192.0."), iotest.ErrReader(broken))
	_, err := ParseFile(t.Context(), nil, "list", r)
	if !errors.Is(err, broken) || err.Error() != "list:2: disk on fire" {
		t.Errorf("error %v", err)
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte("192.0.2.1\r\n# comment\n\n192.0.2.0/30\t198.51.100.1-3\nhost.example\n"))
	f.Add([]byte("\xef\xbb\xbf192.0.2.1"))
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Fuzz(func(t *testing.T, file []byte) {
		checkParsed(t, string(file), func(resolver Resolver) ([]Target, error) {
			return ParseFile(t.Context(), resolver, "list", strings.NewReader(string(file)))
		})
	})
}
