// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
)

// responderSocket opens a packet socket on lab1 that only sends.
func responderSocket(t *testing.T, l *lab.Lab) int {
	t.Helper()
	fd := -1
	err := l.AtResponder(func() (err error) {
		device, err := net.InterfaceByName(lab.ResponderDevice)
		if err != nil {
			return err
		}
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: device.Index})
	})
	if fd >= 0 {
		t.Cleanup(func() { unix.Close(fd) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}
