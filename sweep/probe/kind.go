// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is what a probe asks.
type Kind uint8

// The kinds.
const (
	Echo      Kind = iota // echo request (RFC 792)
	Timestamp             // timestamp request (RFC 792)
	Mask                  // address mask request (RFC 950)
	NumKinds
)

type kindEntry struct {
	name           string
	request, reply uint8 // ICMP types
}

var kindTable = [NumKinds]kindEntry{
	Echo:      {"echo", 8, 0},
	Timestamp: {"timestamp", 13, 14},
	Mask:      {"mask", 17, 18},
}

func (k Kind) String() string {
	if k < NumKinds {
		return kindTable[k].name
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Type is the ICMP type of the kind's requests.
func (k Kind) Type() uint8 { return kindTable[k].request }

// ReplyType is the ICMP type of their answers.
func (k Kind) ReplyType() uint8 { return kindTable[k].reply }

// DataLen is how many bytes of ICMP data a kind's requests have: size, where one
// can choose.
func (k Kind) DataLen(size int) int {
	switch k {
	case Timestamp:
		return timestampsLen
	case Mask:
		return maskLen
	}
	return size
}

// ParseKinds reads kinds separated by commas, such as echo,timestamp. Each may
// stand there once. Its errors are one line and quote the text.
func ParseKinds(text string) ([]Kind, error) {
	var kinds []Kind
	for name := range strings.SplitSeq(text, ",") {
		k := slices.IndexFunc(kindTable[:], func(e kindEntry) bool { return e.name == strings.TrimSpace(name) })
		switch {
		case k < 0:
			return nil, fmt.Errorf("probe %q: must be echo, timestamp or mask, or several of them with commas", name)
		case slices.Contains(kinds, Kind(k)):
			return nil, fmt.Errorf("probe %q: stands there twice", name)
		}
		kinds = append(kinds, Kind(k))
	}
	return kinds, nil
}
