// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
)

// How long a frame that the device has no room for is tried again. Once one
// was given up, those behind it get the short time until one goes through: a
// device that takes nothing must not hold the sweep for long.
const (
	patience      = int64(50 * time.Millisecond)
	shortPatience = int64(time.Millisecond)
	firstBackoff  = int64(20 * time.Microsecond)
	maxBackoff    = int64(time.Millisecond)
)

// maxErrno bounds the table of refusals; Linux's errnos end at 133.
const maxErrno = 256

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// mmsg sends batches with sendmmsg(2). All memory is taken when it is made.
type mmsg struct {
	name     string
	device   string
	fd       int
	template *probe.Template
	pacer    *pace.Pacer
	waiter   *pace.Waiter

	frames    [][]byte
	kinds     []probe.Kind // that frames were last made for
	iovecs    []unix.Iovec
	addresses []unix.RawSockaddrInet4
	messages  []mmsghdr

	patience int64

	// deaf is set where the kernel takes frames for a device without carrier
	// and drops them in silence: its queueing discipline then says "congestion",
	// which the IP layer takes for success (net_xmit_errno).
	deaf bool

	handed   atomic.Uint64
	accepted atomic.Uint64
	retries  atomic.Uint64
	refused  [maxErrno]atomic.Uint64

	// The system calls, as fields so that tests can stand in for the kernel.
	sendmmsg func(fd int, messages []mmsghdr) (int, unix.Errno)
	running  func() bool
}

func newMmsg(name string, fd int, c Config, pacer *pace.Pacer) *mmsg {
	m := &mmsg{
		name: name, device: c.Device, fd: fd, template: c.Template, pacer: pacer, waiter: c.Waiter,
		frames:    make([][]byte, pace.Burst),
		kinds:     make([]probe.Kind, pace.Burst),
		iovecs:    make([]unix.Iovec, pace.Burst),
		addresses: make([]unix.RawSockaddrInet4, pace.Burst),
		messages:  make([]mmsghdr, pace.Burst),
		patience:  patience,
		deaf:      name == "raw",
		sendmmsg:  sendmmsg,
	}
	m.running = func() bool { return linkRunning(m.fd, m.device) }
	// One block of memory, each frame on cache lines of its own.
	length := c.Template.MaxLen()
	stride := (length + 63) &^ 63
	memory := make([]byte, stride*pace.Burst)
	for i := range m.frames {
		m.addresses[i].Family = unix.AF_INET
		m.frames[i] = memory[i*stride:][:length:length]
		m.iovecs[i].Base = &m.frames[i][0]
		m.kinds[i] = probe.NumKinds // none yet
		m.messages[i].hdr.Iov = &m.iovecs[i]
		m.messages[i].hdr.SetIovlen(1)
		if name == "raw" {
			m.messages[i].hdr.Name = (*byte)(unsafe.Pointer(&m.addresses[i]))
			m.messages[i].hdr.Namelen = unix.SizeofSockaddrInet4
		}
	}
	return m
}

func (m *mmsg) Batch() int { return m.pacer.Batch() }

// Handed is what Send has returned: it hands over what it takes.
func (m *mmsg) Handed() uint64 { return m.handed.Load() }

func (m *mmsg) Drain() (int, error) { return 0, nil }

func (m *mmsg) Idle() { m.pacer.Idle() }

func (m *mmsg) SetRate(rate pace.Rate) error {
	if err := m.pacer.SetRate(rate); err != nil {
		return fmt.Errorf("transmitter %s: %w", m.name, err)
	}
	return nil
}

func (m *mmsg) Send(probes []probe.Probe) (int, error) {
	done := 0
	for done < len(probes) {
		n := min(len(probes)-done, m.pacer.Batch())
		handed, err := m.sendBatch(probes[done : done+n])
		m.handed.Add(uint64(handed))
		done += handed
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

func (m *mmsg) sendBatch(probes []probe.Probe) (int, error) {
	for i, p := range probes {
		if m.kinds[i] != p.Kind {
			m.kinds[i] = p.Kind
			m.template.Init(m.frames[i], p.Kind)
			m.iovecs[i].SetLen(m.template.Len(p.Kind))
		}
		m.template.Address(m.frames[i], p)
		// Only messages that point at their address need it, but a store costs
		// less than the question.
		binary.BigEndian.PutUint32(m.addresses[i].Addr[:], p.Target)
	}
	for {
		now := m.waiter.Now()
		due := m.pacer.Next(now)
		if due <= now {
			break
		}
		if !m.waiter.Until(due) {
			return 0, ErrStopped
		}
	}
	if m.waiter.Stopped() {
		return 0, ErrStopped
	}
	m.pacer.Sent(len(probes))
	return m.flush(len(probes))
}

// stamp gives frames from first to below end their send times.
func (m *mmsg) stamp(first, end int) {
	for i := first; i < end; i++ {
		m.template.Stamp(m.frames[i], m.kinds[i], uint64(m.waiter.Now()))
	}
}

// flush sends the first n frames and returns how many were accepted or
// refused. sendmmsg stops at a frame that fails and says why only when that
// frame is the first of a call, so each failure is met twice.
func (m *mmsg) flush(n int) (int, error) {
	m.stamp(0, n)
	next := 0
	giveUp, backoff := int64(0), firstBackoff
	for next < n {
		sent, errno := m.sendmmsg(m.fd, m.messages[next:n])
		if sent > 0 {
			next += sent
			if m.deaf && !m.running() {
				// Nobody can say which of these have gone: none is claimed.
				m.refused[unix.ENETDOWN].Add(uint64(sent))
				return next, m.deviceError(unix.ENETDOWN)
			}
			m.accepted.Add(uint64(sent))
			m.patience, giveUp, backoff = patience, 0, firstBackoff
			continue
		}
		switch errno {
		case unix.EINTR:
			continue
		case unix.ENETDOWN, unix.ENXIO, unix.ENODEV, unix.EBADF:
			m.refuse(errno)
			return next + 1, m.deviceError(errno)
		case unix.EAGAIN, unix.ENOBUFS:
			now := m.waiter.Now()
			if giveUp == 0 {
				giveUp = now + m.patience
			}
			if now < giveUp {
				m.retries.Add(1)
				if !m.waiter.Until(now + backoff) {
					return next, ErrStopped
				}
				backoff = min(2*backoff, maxBackoff)
				m.stamp(next, n) // the wait must not count as round trip
				continue
			}
			m.patience = shortPatience
		}
		m.refuse(errno)
		next++
		giveUp, backoff = 0, firstBackoff
		if !m.running() {
			return next, m.deviceError(errno)
		}
	}
	return next, nil
}

func (m *mmsg) refuse(errno unix.Errno) {
	m.refused[min(int(errno), maxErrno-1)].Add(1)
}

func (m *mmsg) deviceError(errno unix.Errno) error { return deviceError(m.name, m.device, errno) }

func (m *mmsg) Counts() Counts {
	c := Counts{Accepted: m.accepted.Load(), Retries: m.retries.Load(), Stalls: m.pacer.Stalls()}
	for errno := range m.refused {
		if n := m.refused[errno].Load(); n > 0 {
			if c.Refused == nil {
				c.Refused = map[unix.Errno]uint64{}
			}
			c.Refused[unix.Errno(errno)] = n
		}
	}
	return c
}

func (m *mmsg) Close() error {
	if err := unix.Close(m.fd); err != nil {
		return fmt.Errorf("close transmitter %s: %w", m.name, err)
	}
	return nil
}

// sendmmsg is the system call, which golang.org/x/sys/unix has no wrapper
// for. It never blocks.
func sendmmsg(fd int, messages []mmsghdr) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages[0])), uintptr(len(messages)),
		unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
