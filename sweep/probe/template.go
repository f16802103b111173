// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net"
	"net/netip"
)

// Sizes in bytes.
const (
	ethernetLen = 14
	ipv4Len     = 20
	icmpLen     = 8

	// PayloadLen is what a probe's data holds at least: send time, index and
	// attempt, tag.
	PayloadLen = 20
)

// Offsets from the start of the IP header.
const (
	offID         = 4
	offTTL        = 8
	offIPChecksum = 10
	offTarget     = 16
	offICMP       = ipv4Len
	offChecksum   = offICMP + 2
	offCookie     = offICMP + 4
	offSent       = offICMP + icmpLen
	offIndex      = offSent + 8
	offTag        = offIndex + 8
)

// TemplateConfig describes the probes of one sweep on one device.
type TemplateConfig struct {
	// Key is the sweep's secret.
	Key [16]byte
	// Source is the IPv4 address that probes come from.
	Source netip.Addr
	// SourceMAC and NextHop are the Ethernet addresses of the device and of
	// the gateway. Both nil: frames start with the IP header.
	SourceMAC, NextHop net.HardwareAddr
	// DataLen is the length of the ICMP data in bytes, at least PayloadLen.
	DataLen int
}

func (c TemplateConfig) validate() error {
	switch {
	case !c.Source.Is4():
		return fmt.Errorf("probe: source %v is not an IPv4 address", c.Source)
	case (c.SourceMAC == nil) != (c.NextHop == nil):
		return errors.New("probe: an Ethernet header needs both its addresses")
	case c.NextHop != nil && (len(c.SourceMAC) != 6 || len(c.NextHop) != 6):
		return fmt.Errorf("probe: Ethernet addresses %v and %v: must have 6 bytes", c.SourceMAC, c.NextHop)
	case c.DataLen < PayloadLen || c.DataLen > 65535-ipv4Len-icmpLen:
		return fmt.Errorf("probe: %d bytes of ICMP data: must be %d to %d", c.DataLen, PayloadLen, 65535-ipv4Len-icmpLen)
	}
	return nil
}

// Template writes probes into frames. It does not change after it was made,
// so that several threads may share one.
type Template struct {
	auth   Authenticator
	source uint32 // little-endian word of the packet's bytes
	ip     int    // offset of the IP header
	frame  []byte // all that is the same in every probe

	// Sums of the words that are the same in every probe, little-endian: the
	// Internet checksum does not care in which byte order it is summed, as
	// long as it is stored in the same (RFC 1071, section 2 B).
	ipSum, icmpSum uint64
}

// NewTemplate makes the template of a sweep's probes.
func NewTemplate(c TemplateConfig) (*Template, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	t := &Template{auth: NewAuthenticator(c.Key)}
	if c.NextHop != nil {
		t.ip = ethernetLen
	}
	t.frame = make([]byte, t.ip+ipv4Len+icmpLen+c.DataLen)
	if c.NextHop != nil {
		copy(t.frame, c.NextHop)
		copy(t.frame[6:], c.SourceMAC)
		binary.BigEndian.PutUint16(t.frame[12:], 0x0800)
	}
	ip := t.frame[t.ip:]
	ip[0] = 4<<4 | ipv4Len/4
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	ip[9] = 1 // ICMP
	source := c.Source.As4()
	copy(ip[12:], source[:])
	t.source = binary.LittleEndian.Uint32(source[:])
	ip[offICMP] = 8 // echo request
	for i := offICMP + icmpLen + PayloadLen; i < len(ip); i++ {
		ip[i] = byte(i - offICMP - icmpLen)
	}
	t.ipSum = sumWords(ip[:ipv4Len])
	t.icmpSum = sumWords(ip[offICMP:])
	return t, nil
}

// Len is the length of a frame in bytes.
func (t *Template) Len() int { return len(t.frame) }

// MessageLen is the length of a probe's ICMP message in bytes.
func (t *Template) MessageLen() int { return len(t.frame) - t.ip - ipv4Len }

// Sums are those of the words that are the same in every probe, of IP header
// and ICMP message, little-endian: what a program needs that finishes frames in
// the kernel.
func (t *Template) Sums() (ip, icmp uint64) { return t.ipSum, t.icmpSum }

// Header is what every frame begins with, up to the ICMP code.
func (t *Template) Header() []byte { return t.frame[:t.ip+offICMP+2] }

// Init writes what all probes share. A frame needs it once; Address and Stamp
// rewrite all that changes.
func (t *Template) Init(frame []byte) { copy(frame, t.frame) }

// Address makes the frame a probe for p's target, but for its send time.
func (t *Template) Address(frame []byte, p Probe) {
	ip := frame[t.ip:]
	_ = ip[offTag+3]
	id := uint16(p.Index)
	binary.LittleEndian.PutUint16(ip[offID:], id)
	ip[offTTL] = p.HopLimit
	target := bits.ReverseBytes32(p.Target)
	binary.LittleEndian.PutUint32(ip[offTarget:], target)
	sum := t.ipSum + uint64(id) + uint64(p.HopLimit) + uint64(target)
	binary.LittleEndian.PutUint16(ip[offIPChecksum:], ^fold(sum))

	binary.LittleEndian.PutUint32(ip[offCookie:], t.auth.cookie(t.source, target))
	binary.LittleEndian.PutUint64(ip[offIndex:], IndexAttempt(p.Index, p.Attempt))
}

// Stamp sets the send time of an addressed frame, CLOCK_MONOTONIC in
// nanoseconds, and with it the tag and the checksum.
func (t *Template) Stamp(frame []byte, sentNS uint64) {
	ip := frame[t.ip:]
	_ = ip[offTag+3]
	index := binary.LittleEndian.Uint64(ip[offIndex:])
	tag := t.auth.Tag(sentNS, index)
	binary.LittleEndian.PutUint64(ip[offSent:], sentNS)
	binary.LittleEndian.PutUint32(ip[offTag:], tag)
	sum := t.icmpSum + uint64(binary.LittleEndian.Uint32(ip[offCookie:])) +
		sentNS&0xffffffff + sentNS>>32 + index&0xffffffff + index>>32 + uint64(tag)
	binary.LittleEndian.PutUint16(ip[offChecksum:], ^fold(sum))
}
