// SPDX-License-Identifier: Apache-2.0

package route

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
)

// Counters are what an interface counts, in frames and bytes since it exists
// (struct rtnl_link_stats64 of the kernel). Which drops a device counts, and
// whether frames that an XDP program takes are in RxPackets, is up to its driver.
type Counters struct {
	TxPackets, TxBytes, TxErrors, TxDropped uint64
	RxPackets, RxBytes, RxErrors, RxDropped uint64
	// RxMissed is frames that the device dropped for want of buffers.
	RxMissed uint64
}

// ReadCounters returns the present counters of an interface.
func ReadCounters(ifindex int) (Counters, error) {
	link, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		return Counters{}, fmt.Errorf("read counters of interface %d: %w", ifindex, err)
	}
	s := link.Attrs().Statistics
	if s == nil {
		return Counters{}, fmt.Errorf("read counters of interface %d: %w", ifindex, errors.ErrUnsupported)
	}
	return Counters{
		TxPackets: s.TxPackets, TxBytes: s.TxBytes, TxErrors: s.TxErrors, TxDropped: s.TxDropped,
		RxPackets: s.RxPackets, RxBytes: s.RxBytes, RxErrors: s.RxErrors, RxDropped: s.RxDropped,
		RxMissed: s.RxMissedErrors,
	}, nil
}
