// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"net/netip"
	"strconv"
	"time"
)

// octets are the decimal texts of all bytes.
var octets = func() (table [256]struct {
	text [3]byte
	len  uint8
}) {
	for v := range table {
		text := strconv.Itoa(v)
		copy(table[v].text[:], text)
		table[v].len = uint8(len(text))
	}
	return table
}()

// appendOctet adds three bytes always and takes back those that are too many:
// that is quicker than to copy one, two or three.
func appendOctet(b []byte, v uint8) []byte {
	octet := &octets[v]
	n := len(b) + int(octet.len)
	return append(b, octet.text[0], octet.text[1], octet.text[2])[:n]
}

func appendAddr(b []byte, addr netip.Addr) []byte {
	if !addr.Is4() {
		return addr.AppendTo(b)
	}
	a := addr.As4()
	b = append(appendOctet(b, a[0]), '.')
	b = append(appendOctet(b, a[1]), '.')
	b = append(appendOctet(b, a[2]), '.')
	return appendOctet(b, a[3])
}

func appendUint(b []byte, v uint64) []byte { return strconv.AppendUint(b, v, 10) }

func appendUintIf(known bool, b []byte, v uint64) ([]byte, bool) {
	if !known {
		return b, false
	}
	return appendUint(b, v), true
}

// second remembers the text of the last second that it was asked for: most
// records arrive in the same one as the record before.
type second struct {
	unix int64
	text []byte
}

// append adds a time in UTC: RFC 3339 with nanoseconds.
func (s *second) append(b []byte, t time.Time) []byte {
	if unix := t.Unix(); unix != s.unix || len(s.text) == 0 {
		s.unix, s.text = unix, t.UTC().AppendFormat(s.text[:0], "2006-01-02T15:04:05.")
	}
	b = append(b, s.text...)
	var digits [10]byte
	digits[9] = 'Z'
	rest := uint32(t.Nanosecond())
	for i := 8; i >= 0; i-- {
		digits[i] = byte('0' + rest%10)
		rest /= 10
	}
	return append(b, digits[:]...)
}
