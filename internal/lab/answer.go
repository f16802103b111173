// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"xsweep/sweep/probe"
	"xsweep/sweep/reply"
	"xsweep/sweep/target"
)

// This file is the Go twin of what bpf/simnet.bpf.c and its headers make of one
// request. The C says why things are as they are.

// flaw is what is wrong with a broken host's answers: enum flaw of
// bpf/include/simnet.h.
type flaw uint8

const (
	flawReplyChecksum flaw = iota
	flawReplyHeader
	flawReplyLength
	flawReplyCookie
	flawReplyCode
	flawErrorChecksum
	flawErrorHeader
	flawErrorLength
	flawQuoteShort
	flawQuoteCookie
	flawQuoteSource
	flawQuoteProtocol
	flawObjectsChecksum
	flawObjectsLength
	flawNone
	flawCount = flawNone

	flawFirstOfErrors = flawErrorChecksum
)

// valid says that an answer is one in spite of its flaw, which is then in its
// extension objects: a receiver knows nothing of these, but all else.
func (f flaw) valid() bool {
	return f == flawNone || f == flawObjectsChecksum || f == flawObjectsLength
}

// Lengths in bytes.
const (
	ipLen         = 20
	icmpLen       = 8
	timestampLen  = 20 // ICMP message
	maskLen       = 12 // ICMP message
	quoteMax      = 508
	quoteExtended = 128
)

// Networks that routers and their interfaces have addresses from.
const (
	routers    = target.Addr(0xcb007100) // 203.0.113.0/24
	interfaces = target.Addr(0xc6336400) // 198.51.100.0/24
)

const codeFragmentationNeeded = 4

var pathMTUs = [...]uint16{296, 576, 1006, 1280, 1400}

// routerOctet is the last octet of a router's address, 1 to 254.
func routerOctet(d uint64) target.Addr { return target.Addr(1 + (d&0xff)*254>>8) }

// question is a probe as far as it decides about the answer.
type question struct {
	kind   probe.Kind
	ttl    uint8 // as it was sent
	length int   // bytes of IP packet
	df     bool
	hasTag bool // the first 20 bytes of ICMP data are time, index, attempt and tag
}

// echoProbe is what a sweep sends if it is not told otherwise.
var echoProbe = question{kind: probe.Echo, ttl: 64, length: ipLen + icmpLen + probe.PayloadLen, hasTag: true}

// answer is what comes back for one probe.
type answer struct {
	flaw      flaw
	kind      reply.Kind
	from      target.Addr
	code, ttl uint8
	size      int // bytes of ICMP message
	tagged    bool
	quotedTTL uint8
	mtu       uint16
	gateway   target.Addr
	pointer   uint8
	mask      uint32
	clock     uint64 // draw of a timestamp reply, for clockShows
	objects   *reply.Extensions
}

// world is simnet with a configuration.
type world struct {
	draws
	live, loss, duplicate uint64
	behaviours            [NumBehaviours]uint64
}

func newWorld(c Config) *world {
	return &world{
		newDraws(c.Seed),
		threshold(c.Live), threshold(c.Loss), threshold(c.Duplicate), c.Behaviours.thresholds(),
	}
}

// answer is what comes back from a for its k-th probe, counted from 0, and how
// many times.
func (w *world) answer(a target.Addr, k int, q question) (r answer, copies int) {
	if !w.below(a, drawLive, w.live) {
		return answer{}, 0
	}
	behaviour := w.behaviour(a, &w.behaviours)
	if behaviour == SilentHost || w.loss != 0 && w.below(a, drawLoss+drawNumber(k), w.loss) {
		return answer{}, 0
	}
	initial, hops := w.path(a)
	r.flaw = flawNone
	switch {
	case max(q.ttl, 1) <= hops:
		r.kind = reply.TimeExceeded
		w.routerError(&r, a, max(q.ttl, 1), q)
	case w.refuses(behaviour, a, k, q):
		w.refuse(&r, behaviour, a)
		w.routerError(&r, a, max(hops, 1), q)
	case !behaviour.answers(q.kind):
		return answer{}, 0
	default:
		r.from, r.ttl = a, initial-hops
		r.kind, _ = reply.KindOf(q.kind.ReplyType())
		switch q.kind {
		case probe.Echo:
			r.size, r.tagged = q.length-ipLen, q.hasTag
		case probe.Timestamp:
			r.size, r.clock = timestampLen, w.draw(a, drawClock)
		case probe.Mask:
			r.size = maskLen
			r.mask = ^uint32(0) << (32 - (8 + w.draw(a, drawMask)>>32*23>>32))
		}
		if behaviour == Broken {
			r.flaw = flawOf(w.draw(a, drawDetail))
		}
	}
	if w.below(a, drawDuplicate, w.duplicate) {
		return r, 2
	}
	return r, 1
}

func flawOf(detail uint64) flaw { return flaw((detail >> 38 & 0xffff) * uint64(flawCount) >> 16) }

func pathMTU(detail uint64) uint16 {
	return pathMTUs[(detail>>4&0xff)*uint64(len(pathMTUs))>>8]
}

// answers says whether a host that behaves so answers such probes.
func (b Behaviour) answers(k probe.Kind) bool {
	switch b {
	case EchoOnly:
		return k == probe.Echo
	case TimestampOnly:
		return k == probe.Timestamp
	case MaskOnly:
		return k == probe.Mask
	}
	return b != SilentHost
}

// refuses says whether a router has something against the k-th probe.
func (w *world) refuses(b Behaviour, a target.Addr, k int, q question) bool {
	switch b {
	case Unreachable, ParameterProblem:
		return true
	case Redirect, SourceQuench:
		return k == 0
	case PathMTU:
		return q.df && q.length > int(pathMTU(w.draw(a, drawDetail)))
	case Broken:
		return flawOf(w.draw(a, drawDetail)) >= flawFirstOfErrors
	}
	return false
}

// refuse fills in what the error says.
func (w *world) refuse(r *answer, b Behaviour, a target.Addr) {
	d := w.draw(a, drawDetail)
	r.kind, r.code = reply.Unreachable, uint8(d&15)
	switch b {
	case PathMTU:
		r.code = codeFragmentationNeeded
	case Redirect:
		r.kind, r.code = reply.Redirect, uint8(d>>12&3)
		r.gateway = routers + routerOctet(d>>14)
	case SourceQuench:
		r.kind, r.code = reply.SourceQuench, 0
	case ParameterProblem:
		r.kind, r.code = reply.ParameterProblem, uint8((d>>22&0xff)*3>>8)
		r.pointer = uint8((d >> 30 & 0xff) * 28 >> 8)
	case Broken:
		r.flaw = flawOf(d)
	}
	if r.kind == reply.Unreachable && r.code == codeFragmentationNeeded {
		r.mtu = pathMTU(d)
	}
}

// routerError fills in what an error is like that comes from the router at a hop.
func (w *world) routerError(r *answer, a target.Addr, hop uint8, q question) {
	habits, objects := w.draw(a, drawRouter+drawNumber(hop)), w.draw(a, drawObjects+drawNumber(hop))
	r.from = routers + routerOctet(habits)
	r.ttl = 64 - (hop - 1)
	if habits>>8&1 == 1 {
		r.ttl = 255 - (hop - 1)
	}
	r.quotedTTL = max(q.ttl, 1) - (hop - 1)
	if r.kind == reply.TimeExceeded && habits>>9&63 == 0 {
		r.code = 1
	}

	quote := ipLen + 8
	switch habits >> 15 & 3 {
	case 0:
	case 1:
		quote = ipLen + 28
	default:
		quote = q.length
	}
	quote = min(quote, q.length, quoteMax)
	if r.flaw == flawQuoteShort {
		quote = ipLen + 4
	}
	if r.kind == reply.Unreachable || r.kind == reply.TimeExceeded || r.kind == reply.ParameterProblem {
		r.objects = objectsOf(habits, objects, r.flaw)
	}
	r.size = icmpLen + quote
	if r.objects != nil {
		r.size = icmpLen + quoteExtended + objectsLen(r.objects)
		quote = min(quote, quoteExtended) &^ 3
	}
	r.tagged = q.hasTag && quote >= ipLen+icmpLen+probe.PayloadLen
	if r.flaw != flawNone {
		r.objects = nil
	}
}

// objectsOf is what a router attaches to an error, nil if nothing.
func objectsOf(habits, d uint64, f flaw) *reply.Extensions {
	attached := habits >> 24 & 7
	switch f {
	case flawObjectsChecksum, flawObjectsLength:
		attached |= 5
	case flawQuoteShort:
		return nil
	}
	x := new(reply.Extensions)
	switch attached {
	case 5:
		x.MPLS = labelsOf(habits, d)
	case 6:
		x.Interfaces = interfacesOf(d)
	case 7:
		x.MPLS, x.Interfaces = labelsOf(habits, d), interfacesOf(d)
	default:
		return nil
	}
	return x
}

func labelsOf(habits, objects uint64) []reply.Label {
	labels := make([]reply.Label, 1+(habits>>27&3)*3>>2)
	for i := range labels {
		d := mix(objects + uint64(i))
		labels[i] = reply.Label{
			Label: uint32(d & 0xfffff), Class: uint8(d >> 20 & 7), TTL: uint8(d >> 24),
			Bottom: i == len(labels)-1,
		}
	}
	return labels
}

func interfacesOf(d uint64) []reply.Interface {
	i := reply.Interface{Role: reply.Role(d >> 4 & 3)}
	has := d & 15
	if has == 0 {
		has = 8
	}
	if has&8 != 0 {
		i.Index = 1 + uint32(d>>6&0x3ff)
	}
	if has&4 != 0 {
		i.Addr = (interfaces | target.Addr(d>>16&0xff)).Netip()
	}
	if has&2 != 0 {
		i.Name = fmt.Sprintf("ge-0/0/%d", d>>24&7)
	}
	if has&1 != 0 {
		i.MTU = [...]uint32{1500, 4470, 9000, 9216}[d>>27&3]
	}
	return []reply.Interface{i}
}

// objectsLen is the length of an extension structure in bytes.
func objectsLen(x *reply.Extensions) int {
	n := 4
	if len(x.MPLS) > 0 {
		n += 4 + 4*len(x.MPLS)
	}
	for _, i := range x.Interfaces {
		n += 4
		if i.Index != 0 {
			n += 4
		}
		if i.Addr.IsValid() {
			n += 8
		}
		if i.Name != "" {
			n += 12
		}
		if i.MTU != 0 {
			n += 4
		}
	}
	return n
}

// day is one in milliseconds.
const day = 86_400_000

// clockShows is what a host's clock shows when the sender's shows originate.
func clockShows(d uint64, originate uint32) uint32 {
	now := originate % day
	switch d >> 60 {
	case 11, 12:
		return (now + day - 1000 + uint32((d&0xffff)*2000>>16)) % day
	case 13, 14:
		return (now + day - day/4 + uint32((d&0xffffffff)*(day/2)>>32)) % day
	case 15:
		return 1<<31 | (now + uint32(d))
	}
	return now
}

// record is r as a sweep sees it that probed a.
func (r *answer) record(a target.Addr) reply.Record {
	record := reply.Record{
		Addr: a.Netip(), From: r.from.Netip(),
		Kind: r.kind, Type: r.kind.Type(), Code: r.code,
		TTL: r.ttl, Size: uint16(r.size),
		RTT: reply.RTTUnknown, ClockOffset: reply.OffsetUnknown,
		QuotedTTL: r.quotedTTL, MTU: r.mtu, Pointer: r.pointer, Extensions: r.objects,
	}
	if r.gateway != 0 {
		record.Gateway = r.gateway.Netip()
	}
	if r.kind == reply.AddressMaskReply {
		var mask [4]byte
		binary.BigEndian.PutUint32(mask[:], r.mask)
		record.Mask = netip.AddrFrom4(mask)
	}
	return record
}
