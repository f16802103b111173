// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

func TestParseKinds(t *testing.T) {
	for text, want := range map[string][]Kind{
		"echo":                {Echo},
		"timestamp":           {Timestamp},
		"mask, echo":          {Mask, Echo},
		"echo,timestamp,mask": {Echo, Timestamp, Mask},
	} {
		if got, err := ParseKinds(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":               `probe "": must be`,
		"ping":           `probe "ping": must be`,
		"Echo":           `probe "Echo": must be`,
		"echo,":          `probe "": must be`,
		"echo,mask,echo": `probe "echo": stands there twice`,
	} {
		if got, err := ParseKinds(text); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if got := NumKinds.String(); got != "kind 3" {
		t.Errorf("an unknown kind is %q", got)
	}
}

// Probes of every kind, as an independent decoder sees them.
func TestKindsDecode(t *testing.T) {
	// A quarter past one in the night of 2 January 1970, by a clock that began
	// a second after midnight of the first.
	const offset, sent, originate = int64(time.Second), uint64(25*time.Hour + 15*time.Minute + 7*time.Millisecond - time.Second + 999999), 4_500_007
	for name, tc := range map[string]struct {
		config TemplateConfig
		kind   Kind
		want   []byte // ICMP data
	}{
		"no data":           {TemplateConfig{}, Echo, nil},
		"data without tag":  {TemplateConfig{DataLen: 5}, Echo, []byte{0, 1, 2, 3, 4}},
		"a pattern":         {TemplateConfig{DataLen: 19, Pattern: []byte("abc")}, Echo, []byte("abcabcabcabcabcabca")},
		"timestamp":         {TemplateConfig{Kinds: []Kind{Timestamp}, UTOffset: offset}, Timestamp, append(binary.BigEndian.AppendUint32(nil, originate), make([]byte, 8)...)},
		"timestamp of more": {TemplateConfig{Kinds: []Kind{Echo, Timestamp}, DataLen: 100, UTOffset: offset}, Timestamp, append(binary.BigEndian.AppendUint32(nil, originate), make([]byte, 8)...)},
		"mask":              {TemplateConfig{Kinds: []Kind{Mask, Echo}}, Mask, make([]byte, 4)},
	} {
		for _, tos := range []uint8{0, 0xb8} {
			c := tc.config
			c.Key, c.Source, c.TOS, c.DontFragment = testKey, testSource, tos, tos != 0
			template, err := NewTemplate(c)
			if err != nil {
				t.Fatal(err)
			}
			p := Probe{Index: 77, Target: 0xf0000001, Attempt: 1, HopLimit: 3, Kind: tc.kind}
			packet := gopacket.NewPacket(template.Frame(p, sent), layers.LayerTypeIPv4, gopacket.Default)
			if failure := packet.ErrorLayer(); failure != nil {
				t.Fatalf("%s: %v", name, failure.Error())
			}
			if err, wrong := packet.VerifyChecksums(); err != nil || len(wrong) > 0 {
				t.Errorf("%s: checksums %v %v", name, err, wrong)
			}
			ip, icmp := packet.Layer(layers.LayerTypeIPv4).(*layers.IPv4), packet.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
			if ip.TOS != tos || (ip.Flags == layers.IPv4DontFragment) != (tos != 0) || ip.TTL != 3 || int(ip.Length) != HeaderLen+len(tc.want) {
				t.Errorf("%s: %+v", name, ip)
			}
			if icmp.TypeCode.Type() != tc.kind.Type() || icmp.TypeCode.Code() != 0 || !bytes.Equal(icmp.Payload, tc.want) {
				t.Errorf("%s: %v, data % x, want % x", name, icmp.TypeCode, icmp.Payload, tc.want)
			}
			if template.Len(tc.kind) != HeaderLen+len(tc.want) || template.MessageLen(tc.kind) != 8+len(tc.want) || template.LinkLen() != 0 {
				t.Errorf("%s: %d bytes, of them %d of ICMP", name, template.Len(tc.kind), template.MessageLen(tc.kind))
			}
		}
	}
}

// Behind the payload the pattern begins anew.
func TestPatternBehindPayload(t *testing.T) {
	template, err := NewTemplate(TemplateConfig{Key: testKey, Source: testSource, DataLen: PayloadLen + 5, Pattern: []byte{0xca, 0xfe}})
	if err != nil {
		t.Fatal(err)
	}
	frame := template.Frame(Probe{Target: 1, Attempt: 1}, 5)
	if got, want := frame[HeaderLen+PayloadLen:], []byte{0xca, 0xfe, 0xca, 0xfe, 0xca}; !bytes.Equal(got, want) || !template.Tagged() {
		t.Errorf("% x, want % x", got, want)
	}
}

func TestMillisecondsUT(t *testing.T) {
	const day = uint64(24 * time.Hour)
	for _, tc := range []struct {
		now, offset uint64
		want        uint32
	}{
		{0, 0, 0}, {999_999, 0, 0}, {1_000_000, 0, 1}, {day - 1, 0, 86_399_999}, {day, 0, 0}, {day / 2, 19_000*day + day/2 + 5_000_000, 5},
	} {
		if got := MillisecondsUT(tc.now, tc.offset); got != tc.want {
			t.Errorf("%d + %d: %d, want %d", tc.now, tc.offset, got, tc.want)
		}
	}
}
