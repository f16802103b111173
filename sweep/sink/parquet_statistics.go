// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/parquet-go/parquet-go/format"
)

// statistics are the extremes of a column's values, by which readers skip row
// groups. Addresses as text have none: their order means nothing.
func (c *stagedColumn) statistics() format.Statistics {
	var low, high []byte
	switch {
	case len(c.int32s) > 0:
		least, most := extremes(c.int32s)
		low = binary.LittleEndian.AppendUint32(nil, uint32(least))
		high = binary.LittleEndian.AppendUint32(nil, uint32(most))
	case len(c.int64s) > 0:
		least, most := extremes(c.int64s)
		low = binary.LittleEndian.AppendUint64(nil, uint64(least))
		high = binary.LittleEndian.AppendUint64(nil, uint64(most))
	case len(c.names) > 0:
		low, high = []byte(slices.Min(c.names)), []byte(slices.Max(c.names))
	case len(c.fixed) > 0:
		low, high = addrExtremes(c.fixed)
	case len(c.flags) > 0:
		low, high = []byte{slices.Min(c.flags)}, []byte{slices.Max(c.flags)}
	}
	return format.Statistics{MinValue: low, MaxValue: high}
}

// extremes are the least and the greatest value.
func extremes[T int32 | int64](values []T) (least, most T) {
	least, most = values[0], values[0]
	for _, v := range values[1:] {
		least, most = min(least, v), max(most, v)
	}
	return least, most
}

// addrExtremes are the least and the greatest address.
func addrExtremes(fixed []byte) (least, most []byte) {
	least, most = fixed[:addrLen], fixed[:addrLen]
	for i := addrLen; i < len(fixed); i += addrLen {
		addr := fixed[i : i+addrLen]
		if bytes.Compare(addr, least) < 0 {
			least = addr
		} else if bytes.Compare(addr, most) > 0 {
			most = addr
		}
	}
	return bytes.Clone(least), bytes.Clone(most)
}
