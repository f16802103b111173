// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// frameSender sends frames as they are, many with one system call.
type frameSender struct {
	fd       int
	messages []unix.Mmsghdr
	vectors  []unix.Iovec
}

// senderBuffer is the memory, in bytes, of frames that the device has not freed.
const senderBuffer = 16 << 20

// openSender opens a sender on a device of the thread's network namespace.
func openSender(ifindex int) (*frameSender, error) {
	fd, err := packetSocketOn(ifindex, 0)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, senderBuffer),
	)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("set up a socket to send frames: %w", err)
	}
	const most = 2 * delayBatch // each frame can come twice
	return &frameSender{fd: fd, messages: make([]unix.Mmsghdr, 0, most), vectors: make([]unix.Iovec, 0, most)}, nil
}

// add puts a frame into the batch. It must stay as it is until flush.
func (s *frameSender) add(frame []byte) {
	s.vectors = append(s.vectors, unix.Iovec{Base: &frame[0], Len: uint64(len(frame))})
	var m unix.Mmsghdr
	m.Hdr.Iov = &s.vectors[len(s.vectors)-1] // the capacity suffices for any batch: it stays there
	m.Hdr.Iovlen = 1
	s.messages = append(s.messages, m)
}

// flush sends the batch. A frame that the device refuses is left out, alone.
func (s *frameSender) flush() (sent, refused uint64) {
	for rest := s.messages; len(rest) > 0; {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&rest[0])), uintptr(len(rest)), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			refused++
			rest = rest[1:]
		default:
			sent += uint64(n)
			rest = rest[n:]
		}
	}
	s.messages, s.vectors = s.messages[:0], s.vectors[:0]
	return sent, refused
}

func (s *frameSender) close() error { return unix.Close(s.fd) }
