// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
	"xsweep/sweep/target"
)

// benchKey is a sweep's secret where what is measured needs a known one.
var benchKey = [16]byte{'b', 'e', 'n', 'c', 'h'}

// newTemplate makes the probes of a sweep from the lab's sender side, with so
// many bytes of data.
func newTemplate(dataLen int) (*probe.Template, error) {
	return probe.NewTemplate(probe.TemplateConfig{
		Key: benchKey, Source: lab.SenderAddr.Netip(),
		SourceMAC: lab.SenderMAC, NextHop: lab.ResponderMAC,
		DataLen: dataLen,
	})
}

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// fixedFrames sends the same batch of probes again and again: the least that
// a program can do that sends through such a socket.
type fixedFrames struct {
	fd       int
	messages []mmsghdr
}

// silent lists as many addresses as a batch has frames, none of which answers
// in the lab.
func silent(c lab.Config) []target.Addr {
	var silent []target.Addr
	for a := prefix(range524k).First; len(silent) < pace.Burst && prefix(range524k).Contains(a); a++ {
		if !c.Host(a).Live {
			silent = append(silent, a)
		}
	}
	return silent
}

// newFixedFrames makes a batch of probes, one for each address.
func newFixedFrames(to []target.Addr) (*fixedFrames, error) {
	template, err := newTemplate(probe.PayloadLen)
	if err != nil {
		return nil, err
	}
	device, err := net.InterfaceByName(lab.SenderDevice)
	if err != nil {
		return nil, fmt.Errorf("find the lab's device: %w", err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	f := &fixedFrames{fd: fd, messages: make([]mmsghdr, len(to))}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		f.close()
		return nil, fmt.Errorf("bypass the queueing discipline: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: device.Index}); err != nil {
		f.close()
		return nil, fmt.Errorf("bind to %s: %w", device.Name, err)
	}
	iovecs := make([]unix.Iovec, len(to))
	for i := range f.messages {
		frame := template.Frame(probe.Probe{Target: uint32(to[i]), Attempt: 1, HopLimit: 64}, 0)
		iovecs[i].Base = &frame[0]
		iovecs[i].SetLen(len(frame))
		f.messages[i].hdr.Iov = &iovecs[i]
		f.messages[i].hdr.SetIovlen(1)
	}
	return f, nil
}

// send sends about n frames, for at most limit, and returns how many the
// device took.
func (f *fixedFrames) send(n int, limit time.Duration) (accepted int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := time.Now()
	for sent := 0; sent < n && time.Since(start) < limit; {
		k, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(f.fd), uintptr(unsafe.Pointer(&f.messages[0])), uintptr(len(f.messages)),
			unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			sent += int(k)
			accepted += int(k)
		case unix.EINTR:
		case unix.ENOBUFS, unix.EAGAIN: // one frame found no room
			sent++
		default:
			return accepted, fmt.Errorf("send fixed frames: %w", errno)
		}
	}
	return accepted, nil
}

func (f *fixedFrames) close() { unix.Close(f.fd) }
