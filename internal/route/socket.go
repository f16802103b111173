// SPDX-License-Identifier: Apache-2.0

package route

import (
	"errors"
	"os"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// errLost says that the kernel had more to say than the socket could hold. What
// had been queued is gone as well, so that there is room for the answer to a new
// question: as long as the queue is not empty, the kernel drops everything.
var errLost = errors.New("netlink messages were lost")

// socket is a netlink socket that hears one multicast group. Questions sent by
// it are answered on it, in order with the notifications. It belongs to the
// network namespace of the thread that opened it.
type socket struct {
	file   *os.File
	conn   syscall.RawConn
	buffer []byte
}

// subscribe opens a socket. Notifications queue up from here on.
func subscribe(group uint) (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), "netlink") // closed by its finalizer at the latest
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (group - 1)}); err != nil {
		file.Close()
		return nil, os.NewSyscallError("bind", err)
	}
	conn, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &socket{file: file, conn: conn, buffer: make([]byte, nl.RECEIVE_BUFFER_SIZE)}, nil
}

// close wakes a waiting reader with an error. It may be called more than once
// and from any goroutine.
func (s *socket) close() { s.file.Close() }

func (s *socket) send(req *nl.NetlinkRequest) error {
	var sent error
	err := s.conn.Write(func(fd uintptr) bool {
		sent = unix.Sendto(int(fd), req.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		return sent != unix.EAGAIN
	})
	if err != nil {
		return err
	}
	return os.NewSyscallError("sendto", sent)
}

// receive waits for messages of the kernel. They are valid until the next call.
func (s *socket) receive() ([]syscall.NetlinkMessage, error) {
	for {
		n, from, err := s.read(true)
		if err == unix.ENOBUFS {
			return nil, s.drain()
		}
		if err != nil {
			return nil, err
		}
		if a, ok := from.(*unix.SockaddrNetlink); ok && a.Pid == nl.PidKernel {
			return syscall.ParseNetlinkMessage(s.buffer[:n])
		}
	}
}

// drain empties the queue and returns errLost.
func (s *socket) drain() error {
	for {
		switch _, _, err := s.read(false); err {
		case nil, unix.ENOBUFS:
		case unix.EAGAIN:
			return errLost
		default:
			return err
		}
	}
}

// read takes one datagram, or returns EAGAIN if it may not wait for it.
func (s *socket) read(wait bool) (n int, from unix.Sockaddr, err error) {
	closed := s.conn.Read(func(fd uintptr) bool {
		for {
			n, from, err = unix.Recvfrom(int(fd), s.buffer, 0)
			if err != unix.EINTR {
				break
			}
		}
		return !wait || err != unix.EAGAIN
	})
	if closed != nil {
		err = closed
	}
	return n, from, err
}
