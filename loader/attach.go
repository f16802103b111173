// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// XDPMode is how an XDP program is attached to a device.
type XDPMode uint8

// The modes. Auto tries native first and falls back to generic.
const (
	Auto XDPMode = iota
	Native
	Generic
)

// ParseXDPMode reads auto, native or generic.
func ParseXDPMode(text string) (XDPMode, error) {
	for _, m := range []XDPMode{Auto, Native, Generic} {
		if text == m.String() {
			return m, nil
		}
	}
	return 0, fmt.Errorf("xdp mode %q: must be auto, native or generic", text)
}

func (m XDPMode) String() string {
	return [...]string{"auto", "native", "generic"}[m]
}

// Attach puts the filter on a device, once, and returns the mode that it got. The
// link is the process's own: when the process ends, however it ends, the
// kernel takes the program off.
//
// Native attach resets the link of many network cards: wait for carrier
// before sending.
func (r *Reply) Attach(device string, ifindex int, mode XDPMode) (XDPMode, error) {
	if r.used {
		return 0, errors.New("attach xdp: a reply filter serves one device once: load another")
	}
	l, got, err := attachXDP(r.objects.XsweepReply, device, ifindex, mode)
	if err == nil {
		r.link, r.used = l, true
	}
	return got, err
}

// attachXDP puts a program on a device and says in which mode.
func attachXDP(program *ebpf.Program, device string, ifindex int, mode XDPMode) (link.Link, XDPMode, error) {
	tries := []XDPMode{mode}
	if mode == Auto {
		tries = []XDPMode{Native, Generic}
	}
	var errs []error
	for _, m := range tries {
		flags := link.XDPDriverMode
		if m == Generic {
			flags = link.XDPGenericMode
		}
		l, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: ifindex, Flags: flags})
		if err == nil {
			return l, m, nil
		}
		// Neither mode can share the device with a program in the other.
		if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) {
			return nil, 0, occupiedError(device, ifindex)
		}
		errs = append(errs, fmt.Errorf("%s mode: %w", m, unwrapErrno(err)))
	}
	err := errors.Join(errs...)
	if len(errs) == 2 {
		err = fmt.Errorf("%w; %w", errs[0], errs[1])
	}
	switch {
	case errors.Is(err, unix.EPERM):
		return nil, 0, fmt.Errorf("attach xdp to %s: %w", device, privilegeError(err))
	case !deviceExists(ifindex): // the kernel calls that an invalid argument
		return nil, 0, fmt.Errorf("attach xdp to %s: %w", device, unix.ENODEV)
	case mode == Native:
		return nil, 0, fmt.Errorf("attach xdp to %s: %w: its driver may have no XDP, or its MTU or queues may not fit: use --xdp generic", device, err)
	default:
		return nil, 0, fmt.Errorf("attach xdp to %s: %w", device, err)
	}
}

func deviceExists(ifindex int) bool {
	_, err := netlink.LinkByIndex(ifindex)
	return !errors.As(err, new(netlink.LinkNotFoundError))
}

// Attached says whether the filter still sits on its device: with privileges
// anybody can take it off (`bpftool link detach`), and the device can vanish.
func (r *Reply) Attached() bool {
	if r.link == nil {
		return false
	}
	info, err := r.link.Info()
	if err != nil || info.XDP() == nil {
		return true // nobody said otherwise
	}
	return info.XDP().Ifindex != 0
}

// Detach takes the filter off its device and waits until it has judged its
// last packet; without a device it does nothing. Records still come out of the
// rings afterwards.
func (r *Reply) Detach() error {
	if r.link == nil {
		return nil
	}
	err := r.link.Close()
	r.link = nil
	if err != nil {
		return fmt.Errorf("detach xdp: %w", err)
	}
	// A change of a map of maps returns only when no program that could have
	// seen the old state runs any more (kernel, maybe_wait_bpf_programs): the
	// counters stand still then.
	if err := r.objects.Rings.Delete(r.barrier); err != nil {
		return fmt.Errorf("detach xdp: wait for the last packet: %w", err)
	}
	return nil
}

// AttachedXDP is an XDP program found on a device.
type AttachedXDP struct {
	ID   uint32 // the kernel's program id
	Name string // the program's name; empty if it could not be read
}

func (a AttachedXDP) String() string {
	if a.Name == "" {
		return fmt.Sprintf("id %d", a.ID)
	}
	return fmt.Sprintf("id %d, %s", a.ID, a.Name)
}

// FindXDP reports the program that is attached to a device, if any.
func FindXDP(ifindex int) (AttachedXDP, bool) {
	l, err := netlink.LinkByIndex(ifindex)
	if err != nil || l.Attrs().Xdp == nil || !l.Attrs().Xdp.Attached {
		return AttachedXDP{}, false
	}
	found := AttachedXDP{ID: l.Attrs().Xdp.ProgId}
	if p, err := ebpf.NewProgramFromID(ebpf.ProgramID(found.ID)); err == nil {
		defer p.Close()
		if info, err := p.Info(); err == nil {
			found.Name = info.Name
		}
	}
	return found, true
}

// ErrOccupied says that another XDP program sits on the device.
var ErrOccupied = errors.New("another XDP program is attached")

func occupiedError(device string, ifindex int) error {
	who := "it has gone by now: try again"
	if found, ok := FindXDP(ifindex); ok {
		who = found.String()
	}
	return fmt.Errorf("attach xdp to %s: %w (%s): a device takes one: "+
		"end the program that owns it (or `ip link set dev %s xdp off`), or choose another device with --interface",
		device, ErrOccupied, who, device)
}

// unwrapErrno reduces a library's chain of words to the system's error.
func unwrapErrno(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
