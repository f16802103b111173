// SPDX-License-Identifier: Apache-2.0

package probe

import "encoding/binary"

// fold reduces a sum of 16- or 32-bit words to the 16 bits of the Internet
// checksum (RFC 1071), not yet complemented.
func fold(sum uint64) uint16 {
	sum = sum&0xffffffff + sum>>32
	sum = sum&0xffffffff + sum>>32
	sum = sum&0xffff + sum>>16
	sum = sum&0xffff + sum>>16
	return uint16(sum)
}

// sumWords adds up data as little-endian 32-bit words, the last one padded
// with zeros.
func sumWords(data []byte) uint64 {
	var sum uint64
	for ; len(data) >= 4; data = data[4:] {
		sum += uint64(binary.LittleEndian.Uint32(data))
	}
	var last [4]byte
	copy(last[:], data)
	return sum + uint64(binary.LittleEndian.Uint32(last[:]))
}
