// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
)

// Transmitter is one thread's way to put probes on the wire. Counts may be
// called from any goroutine, everything else from the one that made it, which
// must be locked to its thread.
type Transmitter interface {
	// Batch is how many probes Send should be given now.
	Batch() int
	// Send paces and sends probes in order and returns how many it took. It is
	// fewer than given only with an error: ErrStopped, or an error that wraps
	// ErrDevice when the device cannot be sent through any more.
	Send(probes []probe.Probe) (taken int, err error)
	// Handed is how many of the probes taken were handed to the device so far,
	// the first ones first: each of them was accepted or refused, or nobody knows. It may be
	// asked from any goroutine.
	Handed() uint64
	// Drain waits until all probes taken were handed over, or the stop is set,
	// or the device fails. It ends sending and returns how many were not.
	Drain() (left int, err error)
	// Idle says that there was nothing to send for a while, so that being late
	// next time is no stall.
	Idle()
	// SetRate changes the rate of all threads together; each is to be told. It
	// may be called from any goroutine. The burst stays what it was.
	SetRate(rate pace.Rate) error
	// Counts is what has become of the probes that were handed over.
	Counts() Counts
	// Close frees the transmitter.
	Close() error
}

var (
	// ErrStopped says that the sweep's stop was set before all was sent.
	ErrStopped = errors.New("stopped")
	// ErrDevice says that the device is gone, down or without carrier.
	ErrDevice = errors.New("cannot send through the device any more")
)

// deviceExists asks the kernel for a device by its name.
func deviceExists(fd int, device string) error {
	request, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	return unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request)
}

// deviceError is why a transmitter gives its device up.
func deviceError(transmitter, device string, errno unix.Errno) error {
	return fmt.Errorf("%w: %s: transmitter %s: %w: is it up, and does it have carrier?", ErrDevice, device, transmitter, errno)
}

// Counts is a transmitter's account. Accepted, the sum of Refused and
// Unconfirmed are together what was handed.
type Counts struct {
	// Accepted frames went to the device.
	Accepted uint64
	// Refused frames did not, by errno.
	Refused map[unix.Errno]uint64
	// Unconfirmed frames were given to the kernel, which does not tell what
	// became of them.
	Unconfirmed uint64
	// Retries is how many times a refusal was only temporary.
	Retries uint64
	// Stalls is how often the schedule could not be kept.
	Stalls uint64
}

// Add adds another transmitter's account to this one.
func (c *Counts) Add(o Counts) {
	c.Accepted += o.Accepted
	c.Unconfirmed += o.Unconfirmed
	c.Retries += o.Retries
	c.Stalls += o.Stalls
	for errno, n := range o.Refused {
		if c.Refused == nil {
			c.Refused = map[unix.Errno]uint64{}
		}
		c.Refused[errno] += n
	}
}

// Config is what all transmitters need. (xdp takes key, source and headers from
// what its program was loaded with.)
type Config struct {
	// Device and Index name the interface. raw takes them only to look whether
	// the device is up, and to bind to it if BindToDevice is set.
	Device string
	Index  int
	// BindToDevice makes raw send through Device whatever the routes say.
	BindToDevice bool
	// Template writes the frames: with an Ethernet header for packet, without
	// for raw.
	Template *probe.Template
	// Pace is the thread's share of the rate.
	Pace pace.Config
	// Waiter waits for this thread.
	Waiter *pace.Waiter
}

func (c Config) validate() error {
	switch {
	case c.Template == nil:
		return errors.New("no template")
	case c.Waiter == nil:
		return errors.New("no waiter")
	}
	return nil
}

// NewPacket makes a transmitter that writes Ethernet frames to a device
// through an AF_PACKET socket (packet(7)) with PACKET_QDISC_BYPASS. It needs
// CAP_NET_RAW.
func NewPacket(c Config) (Transmitter, error) {
	return newBatcher("packet", c, openPacket)
}

// NewRaw makes a transmitter that writes IP packets, header included, to a raw
// socket (raw(7)); the kernel routes them and finds neighbours. It needs
// CAP_NET_RAW.
func NewRaw(c Config) (Transmitter, error) {
	return newBatcher("raw", c, openRaw)
}

func newBatcher(name string, c Config, open func(Config) (int, error)) (Transmitter, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("transmitter %s: %w", name, err)
	}
	pacer, err := pace.New(c.Pace)
	if err != nil {
		return nil, fmt.Errorf("transmitter %s: %w", name, err)
	}
	fd, err := open(c)
	if err != nil {
		return nil, fmt.Errorf("transmitter %s: %w", name, err)
	}
	return newMmsg(name, fd, c, pacer), nil
}

// openPacket opens the socket of NewPacket. Its protocol is 0, so that it
// receives nothing.
func openPacket(c Config) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open a packet socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bypass the queueing discipline: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: c.Index}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bind to %s: %w", c.Device, err)
	}
	growSendBuffer(fd)
	return fd, nil
}

// openRaw opens the socket of NewRaw. Without IP_RECVERR the kernel reports
// a full queue as success (ip(7)).
func openRaw(c Config) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return -1, fmt.Errorf("open a raw socket: %w", err)
	}
	for _, option := range []struct {
		name         string
		level, value int
	}{
		{"IP_HDRINCL", unix.IPPROTO_IP, unix.IP_HDRINCL},
		{"IP_RECVERR", unix.IPPROTO_IP, unix.IP_RECVERR},
		{"SO_BROADCAST", unix.SOL_SOCKET, unix.SO_BROADCAST},
	} {
		if err := unix.SetsockoptInt(fd, option.level, option.value, 1); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("set %s: %w", option.name, err)
		}
	}
	if c.BindToDevice {
		if err := unix.BindToDevice(fd, c.Device); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("bind to %s: %w", c.Device, err)
		}
	}
	growSendBuffer(fd)
	return fd, nil
}

// growSendBuffer lets some thousand frames wait in queues below the socket.
// Where it is refused (without CAP_NET_ADMIN) the default does, with retries.
func growSendBuffer(fd int) {
	const bytes = 4 << 20
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, bytes)
}

// linkRunning tells whether a device is up and has carrier.
func linkRunning(fd int, device string) bool {
	request, err := unix.NewIfreq(device)
	if err != nil {
		return false
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, request); err != nil {
		return false
	}
	const want = unix.IFF_UP | unix.IFF_RUNNING
	return request.Uint16()&want == want
}
