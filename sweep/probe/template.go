// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net"
	"net/netip"
	"time"
)

// Sizes in bytes.
const (
	ethernetLen = 14
	ipv4Len     = 20
	icmpLen     = 8

	// PayloadLen is what the data of an echo request holds that brings back when
	// it was sent and which it was: send time, index and attempt, tag.
	PayloadLen = 20
	// MaxDataLen is the most data that an echo request can have.
	MaxDataLen = 65535 - ipv4Len - icmpLen

	timestampsLen = 12 // originate, receive and transmit (RFC 792)
	maskLen       = 4  // (RFC 950)
)

// HeaderLen is what a probe has in front of the ICMP data, without an Ethernet
// header.
const HeaderLen = ipv4Len + icmpLen

// Offsets from the start of the IP header.
const (
	offTOS        = 1
	offID         = 4
	offFlags      = 6
	offTTL        = 8
	offIPChecksum = 10
	offSource     = 12
	offTarget     = 16
	offICMP       = ipv4Len
	offChecksum   = offICMP + 2
	offCookie     = offICMP + 4
	offData       = offICMP + icmpLen
	offSent       = offData
	offIndex      = offSent + 8
	offTag        = offIndex + 8
	offOriginate  = offData
)

// dontFragment is a flag of the IP header (RFC 791).
const dontFragment = 0x4000

// TemplateConfig describes the probes of one sweep on one device.
type TemplateConfig struct {
	// Key is the sweep's secret.
	Key [16]byte
	// Source is the IPv4 address that probes come from.
	Source netip.Addr
	// Flows are what the probes' Flow numbers stand for, at most MaxFlows, the first
	// of them from Source and without an offset; nil stands for that one alone.
	Flows []Flow
	// SourceMAC and NextHop are the Ethernet addresses of the device and of
	// the gateway. Both nil: frames start with the IP header.
	SourceMAC, NextHop net.HardwareAddr
	// Kinds are those of the probes; none stands for Echo.
	Kinds []Kind
	// DataLen is the length of an echo request's ICMP data in bytes, at most
	// MaxDataLen. With less than PayloadLen nothing brings back when a probe was
	// sent and which it was. (The other kinds have the length that their RFC says.)
	DataLen int
	// Pattern fills the data of echo requests behind the payload, again and
	// again; nil stands for the bytes 0, 1, 2, ... by their place in the data.
	Pattern []byte
	// TOS is the type of service octet of the IP header.
	TOS uint8
	// DontFragment forbids routers to cut probes up.
	DontFragment bool
	// UTOffset is what makes CLOCK_MONOTONIC nanoseconds since a midnight UT, for
	// timestamp requests.
	UTOffset int64
}

func (c TemplateConfig) validate() error {
	switch {
	case !c.Source.Is4():
		return fmt.Errorf("probe: source %v is not an IPv4 address", c.Source)
	case (c.SourceMAC == nil) != (c.NextHop == nil):
		return errors.New("probe: an Ethernet header needs both its addresses")
	case c.NextHop != nil && (len(c.SourceMAC) != 6 || len(c.NextHop) != 6):
		return fmt.Errorf("probe: Ethernet addresses %v and %v: must have 6 bytes", c.SourceMAC, c.NextHop)
	case c.DataLen < 0 || c.DataLen > MaxDataLen:
		return fmt.Errorf("probe: %d bytes of ICMP data: must be 0 to %d", c.DataLen, MaxDataLen)
	}
	for _, k := range c.Kinds {
		if k >= NumKinds {
			return fmt.Errorf("probe: %v", k)
		}
	}
	return c.validateFlows()
}

// Template writes probes into frames. It does not change after it was made,
// so that several threads may share one.
type Template struct {
	auth     Authenticator
	ip       int  // offset of the IP header
	tagged   bool // echo requests have room for the payload
	utOffset uint64
	named    []Flow // the flows as they were given
	flows    []flow
	kinds    []Kind
	shapes   [NumKinds]Shape
}

// Shape is what all probes of a kind share.
type Shape struct {
	Kind Kind
	// Frame is a whole frame, without what changes from probe to probe.
	Frame []byte
	// Sums of the words that are the same in every probe, little-endian: the
	// Internet checksum does not care in which byte order it is summed, as
	// long as it is stored in the same (RFC 1071, section 2 B).
	IPSum, ICMPSum uint64
}

// NewTemplate makes the template of a sweep's probes.
func NewTemplate(c TemplateConfig) (*Template, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if len(c.Kinds) == 0 {
		c.Kinds = []Kind{Echo}
	}
	t := &Template{
		auth: NewAuthenticator(c.Key), tagged: c.DataLen >= PayloadLen, utOffset: uint64(c.UTOffset), kinds: c.Kinds,
	}
	if c.NextHop != nil {
		t.ip = ethernetLen
	}
	for _, k := range c.Kinds {
		t.shapes[k] = c.shape(k)
	}
	if t.named = c.Flows; len(c.Flows) == 0 {
		t.named = []Flow{{Source: c.Source}}
	}
	source := c.Source.As4()
	for _, f := range t.named {
		t.flows = append(t.flows, newFlow(f, binary.LittleEndian.Uint32(source[:])))
	}
	return t, nil
}

// shape makes what all probes of a kind share.
func (c TemplateConfig) shape(k Kind) Shape {
	dataLen := k.DataLen(c.DataLen)
	var ethernet []byte
	if c.NextHop != nil {
		ethernet = append(append(append(ethernet, c.NextHop...), c.SourceMAC...), 0x08, 0x00)
	}
	frame := append(ethernet, make([]byte, HeaderLen+dataLen)...)
	ip := frame[len(ethernet):]
	ip[0] = 4<<4 | ipv4Len/4
	ip[offTOS] = c.TOS
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	if c.DontFragment {
		binary.BigEndian.PutUint16(ip[offFlags:], dontFragment)
	}
	ip[9] = 1 // ICMP
	source := c.Source.As4()
	copy(ip[offSource:], source[:])
	ip[offICMP] = k.Type()
	if data := ip[offData:]; k == Echo {
		first := 0
		if len(data) >= PayloadLen {
			first = PayloadLen
		}
		for i := first; i < len(data); i++ {
			data[i] = byte(i)
			if len(c.Pattern) > 0 {
				data[i] = c.Pattern[(i-first)%len(c.Pattern)]
			}
		}
	}
	return Shape{Kind: k, Frame: frame, IPSum: sumWords(ip[:ipv4Len]), ICMPSum: sumWords(ip[offICMP:])}
}

// Kinds are those that the template can write.
func (t *Template) Kinds() []Kind { return t.kinds }

// Flows are those that a probe's Flow numbers.
func (t *Template) Flows() []Flow { return t.named }

// Shape is what all probes of a kind share. It must not be changed.
func (t *Template) Shape(k Kind) Shape { return t.shapes[k] }

// Tagged says whether echo requests bring back when they were sent.
func (t *Template) Tagged() bool { return t.tagged }

// UTOffset is the configuration's.
func (t *Template) UTOffset() int64 { return int64(t.utOffset) }

// Len is the length of a kind's frames in bytes.
func (t *Template) Len(k Kind) int { return len(t.shapes[k].Frame) }

// MaxLen is the length of the longest frames in bytes.
func (t *Template) MaxLen() int {
	longest := 0
	for _, k := range t.kinds {
		longest = max(longest, t.Len(k))
	}
	return longest
}

// MessageLen is the length of a kind's ICMP message in bytes.
func (t *Template) MessageLen(k Kind) int { return t.Len(k) - t.ip - ipv4Len }

// LinkLen is what frames have in front of the IP header, in bytes.
func (t *Template) LinkLen() int { return t.ip }

// Init writes what all probes of a kind share. A frame needs it once for a kind;
// Address and Stamp rewrite all that changes.
func (t *Template) Init(frame []byte, k Kind) { copy(frame, t.shapes[k].Frame) }

// Address makes the frame a probe for p's target, but for its send time.
func (t *Template) Address(frame []byte, p Probe) {
	ip := frame[t.ip:]
	_ = ip[HeaderLen-1]
	id := uint16(p.Index)
	binary.LittleEndian.PutUint16(ip[offID:], id)
	ip[offTTL] = p.HopLimit
	target, flow := bits.ReverseBytes32(p.Target), &t.flows[p.Flow]
	binary.LittleEndian.PutUint32(ip[offSource:], flow.source)
	binary.LittleEndian.PutUint32(ip[offTarget:], target)
	sum := t.shapes[p.Kind].IPSum + uint64(id) + uint64(p.HopLimit) + uint64(target) + flow.sum
	binary.LittleEndian.PutUint16(ip[offIPChecksum:], ^fold(sum))

	binary.LittleEndian.PutUint32(ip[offCookie:], flow.cookie(t.auth, target))
	if p.Kind == Echo && t.tagged {
		binary.LittleEndian.PutUint64(ip[offIndex:], p.Word())
	}
}

// Stamp sets the send time of an addressed frame of a kind, CLOCK_MONOTONIC in
// nanoseconds, as far as the kind has one, and the checksum.
func (t *Template) Stamp(frame []byte, k Kind, sentNS uint64) {
	ip := frame[t.ip:]
	sum := t.shapes[k].ICMPSum + uint64(binary.LittleEndian.Uint32(ip[offCookie:]))
	switch {
	case k == Echo && t.tagged:
		index := binary.LittleEndian.Uint64(ip[offIndex:])
		tag := t.auth.Tag(sentNS, index)
		binary.LittleEndian.PutUint64(ip[offSent:], sentNS)
		binary.LittleEndian.PutUint32(ip[offTag:], tag)
		sum += sentNS&0xffffffff + sentNS>>32 + index&0xffffffff + index>>32 + uint64(tag)
	case k == Timestamp:
		originate := bits.ReverseBytes32(MillisecondsUT(sentNS, t.utOffset))
		binary.LittleEndian.PutUint32(ip[offOriginate:], originate)
		sum += uint64(originate)
	}
	binary.LittleEndian.PutUint16(ip[offChecksum:], ^fold(sum))
}

// Frame makes a whole frame for p, sent at sentNS, in memory of its own.
func (t *Template) Frame(p Probe, sentNS uint64) []byte {
	frame := make([]byte, t.Len(p.Kind))
	t.Init(frame, p.Kind)
	t.Address(frame, p)
	t.Stamp(frame, p.Kind, sentNS)
	return frame
}

// MillisecondsUT is the time of day that CLOCK_MONOTONIC in nanoseconds stands
// for, in milliseconds since midnight UT (RFC 792), given what makes it
// nanoseconds since some midnight.
func MillisecondsUT(monotonicNS, utOffset uint64) uint32 {
	const day = uint64(24 * time.Hour / time.Millisecond)
	return uint32((monotonicNS + utOffset) / uint64(time.Millisecond) % day)
}
