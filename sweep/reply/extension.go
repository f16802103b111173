// SPDX-License-Identifier: Apache-2.0

package reply

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Extensions are the objects that a router attached to an error message
// (RFC 4884), as far as they are known here.
type Extensions struct {
	// MPLS is the label stack with which the probe arrived (RFC 4950), top first.
	MPLS []Label
	// Interfaces are what the router tells of its own (RFC 5837), in its order,
	// each role once at most.
	Interfaces []Interface
}

// Label is one entry of an MPLS label stack (RFC 4950, section 5; RFC 3032).
type Label struct {
	Label  uint32 // 20 bits
	Class  uint8  // traffic class (RFC 5462), 3 bits
	Bottom bool   // of the stack
	TTL    uint8
}

// Role is what an interface did with the probe (RFC 5837, section 4.1).
type Role uint8

// The roles, as on the wire.
const (
	Incoming    Role = iota // the IP interface on which the probe arrived
	SubIncoming             // the part of it, such as a member of a bundle
	Outgoing                // by which it would have left
	NextHop                 // to which it would have gone
	numRoles
)

// Interface is what a router tells of one of its interfaces (RFC 5837). Zero
// fields were not told.
type Interface struct {
	Role  Role
	Index uint32     // ifIndex (RFC 2863)
	Addr  netip.Addr // IPv4 or IPv6
	Name  string     // as it was sent, at most 63 bytes
	MTU   uint32
}

// Why an extension structure is not believed. Each error of [ParseExtensions]
// is one of these, with detail.
var (
	ErrExtensionVersion   = errors.New("ICMP extension of another version")
	ErrExtensionChecksum  = errors.New("ICMP extension with a wrong checksum")
	ErrExtensionMalformed = errors.New("malformed ICMP extension")
)

const (
	// extendable messages are an ICMP header, the quote of at least minQuote bytes,
	// and the structure.
	icmpHeaderLen = 8
	minQuote      = 128
	wordLen       = 4

	extensionVersion   = 2
	extensionHeaderLen = 4
	objectHeaderLen    = 4
	// maxExtensionLen bounds what is parsed. RFC 4884 allows whole messages of 576
	// bytes; a frame's worth is more than any router has to say.
	maxExtensionLen = 1500

	classMPLS      = 1
	classInterface = 2
	typeStack      = 1 // of class MPLS: the stack as it arrived

	maxNameLen = 64 // with its length octet
)

// What an interface object's C-Type announces, in the order in which it stands
// there (RFC 5837, section 4.1). The role is in its two high bits.
const (
	hasIndex = 1 << (3 - iota)
	hasAddr
	hasName
	hasMTU
	roleShift = 6
)

// ExtensionFault names what is wrong with extensions, as summaries do: version,
// checksum or malformed. ok is false for errors of anything else.
func ExtensionFault(err error) (name string, ok bool) {
	switch {
	case errors.Is(err, ErrExtensionVersion):
		return "version", true
	case errors.Is(err, ErrExtensionChecksum):
		return "checksum", true
	case errors.Is(err, ErrExtensionMalformed):
		return "malformed", true
	}
	return "", false
}

// FindExtensions finds the extension structure of an ICMP error message, which
// begins with its ICMP header and ends where the IP packet does. ok says whether
// the message announces one; whether that is any good is for [ParseExtensions]
// to say. A length attribute that cannot be true gives an empty structure, so
// that it too ends as ErrExtensionMalformed and is counted.
//
// Without a length attribute a structure behind exactly 128 bytes is taken too,
// as routers from before RFC 4884 send it, but only with the right version and the
// right checksum (sections 5.2 and 5.5): everything else is simply a long quote.
func FindExtensions(message []byte) (ext []byte, ok bool) {
	if len(message) < icmpHeaderLen {
		return nil, false
	}
	switch kind, known := KindOf(message[0]); {
	case !known:
		return nil, false
	case kind != Unreachable && kind != TimeExceeded && kind != ParameterProblem:
		return nil, false
	}
	quote := wordLen * int(message[5])
	end := icmpHeaderLen + quote
	switch {
	case quote == 0:
		return findUnannounced(message)
	case end == len(message):
		return nil, false
	case quote < minQuote || end > len(message):
		return message[len(message):], true
	}
	return message[end:], true
}

// findUnannounced finds a structure without a length attribute.
func findUnannounced(message []byte) (ext []byte, ok bool) {
	const start = icmpHeaderLen + minQuote
	if len(message) < start+extensionHeaderLen+objectHeaderLen {
		return nil, false
	}
	ext = message[start:]
	if ext[0]>>4 != extensionVersion || !checksumRight(ext) {
		return nil, false
	}
	return ext, true
}

// ParseExtensions reads an extension structure from its header to the end of
// the message. Objects of unknown classes and types are skipped. A structure
// that is wrong anywhere gives an error and nothing else.
func ParseExtensions(b []byte) (*Extensions, error) {
	switch {
	case len(b) < extensionHeaderLen:
		return nil, malformed("%d bytes: no header", len(b))
	case b[0]>>4 != extensionVersion:
		return nil, fmt.Errorf("%w: %d", ErrExtensionVersion, b[0]>>4)
	case len(b) > maxExtensionLen:
		return nil, malformed("%d bytes: at most %d", len(b), maxExtensionLen)
	case len(b)%wordLen != 0:
		return nil, malformed("%d bytes: no whole words", len(b))
	}
	// Zero means that none was sent.
	if sum := binary.BigEndian.Uint16(b[2:]); sum != 0 && !checksumRight(b) {
		return nil, fmt.Errorf("%w: 0x%04x", ErrExtensionChecksum, sum)
	}
	if len(b) == extensionHeaderLen {
		return nil, malformed("no object")
	}
	e := new(Extensions)
	for rest := b[extensionHeaderLen:]; len(rest) > 0; {
		// Whole words are left, so there is a header's worth.
		length := int(binary.BigEndian.Uint16(rest))
		if length < objectHeaderLen || length > len(rest) || length%wordLen != 0 {
			return nil, malformed("object of %d bytes with %d left", length, len(rest))
		}
		if err := e.parseObject(rest[2], rest[3], rest[objectHeaderLen:length]); err != nil {
			return nil, err
		}
		rest = rest[length:]
	}
	return e, nil
}

func (e *Extensions) parseObject(class, cType uint8, payload []byte) error {
	switch {
	case class == classMPLS && cType == typeStack:
		return e.parseStack(payload)
	case class == classInterface:
		return e.parseInterface(cType, payload)
	}
	return nil
}

func (e *Extensions) parseStack(payload []byte) error {
	switch {
	case len(payload) == 0:
		return malformed("label stack without labels")
	case e.MPLS != nil:
		// One stands for the whole stack (RFC 4950, section 5).
		return malformed("two label stacks")
	}
	e.MPLS = make([]Label, 0, len(payload)/wordLen)
	for ; len(payload) > 0; payload = payload[wordLen:] {
		entry := binary.BigEndian.Uint32(payload)
		e.MPLS = append(e.MPLS, Label{
			Label:  entry >> 12,
			Class:  uint8(entry >> 9 & 7),
			Bottom: entry>>8&1 != 0,
			TTL:    uint8(entry),
		})
	}
	return nil
}

// parseInterface reads what cType announces. Data behind that is ignored, as
// are cType's reserved bits: RFC 5837, section 4.1, asks for both.
func (e *Extensions) parseInterface(cType uint8, payload []byte) error {
	n := Interface{Role: Role(cType >> roleShift)}
	for i := range e.Interfaces {
		if e.Interfaces[i].Role == n.Role {
			return malformed("two interfaces in the role %v", n.Role) // section 4.5
		}
	}
	p := words{rest: payload}
	if cType&hasIndex != 0 {
		n.Index = p.uint32("ifIndex")
	}
	if cType&hasAddr != 0 {
		n.Addr = p.addr()
	}
	if cType&hasName != 0 {
		n.Name = p.name()
	}
	if cType&hasMTU != 0 {
		n.MTU = p.uint32("MTU")
	}
	if p.err != nil {
		return p.err
	}
	e.Interfaces = append(e.Interfaces, n)
	return nil
}

// words reads the parts of an object one after the other, until one is wrong.
type words struct {
	rest []byte
	err  error
}

// take takes n bytes; nil where there are not so many, or something was wrong
// before.
func (w *words) take(n int, what string) []byte {
	if w.err != nil {
		return nil
	}
	if n > len(w.rest) {
		w.err = malformed("%s of %d bytes with %d left", what, n, len(w.rest))
		return nil
	}
	b := w.rest[:n]
	w.rest = w.rest[n:]
	return b
}

func (w *words) uint32(what string) uint32 {
	if b := w.take(wordLen, what); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// addr reads an address sub-object (RFC 5837, section 4.2): address family,
// two reserved bytes, address.
func (w *words) addr() netip.Addr {
	header := w.take(wordLen, "address family")
	if header == nil {
		return netip.Addr{}
	}
	var length int
	switch family := binary.BigEndian.Uint16(header); family {
	case 1:
		length = 4
	case 2:
		length = 16
	default:
		w.err = malformed("address family %d", family)
		return netip.Addr{}
	}
	addr, _ := netip.AddrFromSlice(w.take(length, "address"))
	return addr
}

// name reads a name sub-object (RFC 5837, section 4.3): its length, then the
// name, padded with zeros to whole words.
func (w *words) name() string {
	if w.err != nil {
		return ""
	}
	if len(w.rest) == 0 {
		w.err = malformed("no room for a name")
		return ""
	}
	length := int(w.rest[0])
	if length == 0 || length%wordLen != 0 || length > maxNameLen {
		w.err = malformed("name of %d bytes", length)
		return ""
	}
	b := w.take(length, "name")
	if b == nil {
		return ""
	}
	return strings.TrimRight(string(b[1:]), "\x00")
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrExtensionMalformed, fmt.Sprintf(format, args...))
}

// checksumRight says whether the Internet checksum that b holds is that of b
// (RFC 1071): then the ones' complement sum of all is all ones.
func checksumRight(b []byte) bool {
	var sum uint64
	for ; len(b) >= 2; b = b[2:] {
		sum += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return sum == 0xffff
}
