// SPDX-License-Identifier: Apache-2.0

package reply

// InitialTTL is the smallest customary initial TTL that is not below the TTL
// of a reply as it arrived: 32, 64, 128 or 255.
func InitialTTL(ttl uint8) uint8 {
	switch {
	case ttl <= 32:
		return 32
	case ttl <= 64:
		return 64
	case ttl <= 128:
		return 128
	}
	return 255
}

// Hops estimates how many routers the reply passed: its initial TTL minus
// what was left. Distances over 64 mislead it.
func (r *Record) Hops() uint8 { return InitialTTL(r.TTL) - r.TTL }

// OS is the family of operating systems that the initial TTL suggests: a
// hint, since every system lets its default be changed. It is empty for an
// initial value that says nothing.
func (r *Record) OS() string {
	switch InitialTTL(r.TTL) {
	case 64:
		return "unix"
	case 128:
		return "windows"
	case 255:
		return "network"
	}
	return ""
}
