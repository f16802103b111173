// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// packetRing takes the frames that arrive at a device without a system call: a
// TPACKET_V2 ring (packet(7)), with one frame a slot. The kernel fills slots in
// order; whoever reads gives them back in the same.
type packetRing struct {
	fd     int
	memory []byte
	slot   int // bytes
	slots  int
	next   int
	lost   uint64
}

const (
	ringSlots = 8192
	ringBlock = 1 << 16 // bytes, a multiple of every slot
	// slotOverhead is what a slot has beside a frame: its header, the address that
	// the kernel adds, and alignment.
	slotOverhead = 96
)

// openRing opens a ring for frames of all protocols on a device of the thread's
// network namespace, where frames have up to so many bytes.
func openRing(ifindex, frame int) (*packetRing, error) {
	r := &packetRing{slot: 2048, slots: ringSlots, fd: -1}
	for r.slot < frame+slotOverhead {
		r.slot *= 2
	}
	var err error
	if r.fd, err = packetSocketOn(ifindex, 0); err != nil {
		return nil, err
	}
	request := &unix.TpacketReq{
		Block_size: ringBlock, Block_nr: uint32(r.slot * r.slots / ringBlock),
		Frame_size: uint32(r.slot), Frame_nr: uint32(r.slots),
	}
	err = errors.Join(
		unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2),
		unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptTpacketReq(r.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, request),
	)
	if err == nil {
		r.memory, err = unix.Mmap(r.fd, 0, r.slot*r.slots, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	}
	if err == nil { // only now, so that nothing comes before there is a ring
		err = unix.Bind(r.fd, &unix.SockaddrLinklayer{Ifindex: ifindex, Protocol: unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a ring for packets: %w", err), r.close())
	}
	return r, nil
}

// packetSocketOn opens a packet socket bound to a device. Protocol 0 receives
// nothing.
func packetSocketOn(ifindex int, protocol uint16) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open a packet socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: ifindex, Protocol: protocol}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bind a packet socket: %w", err)
	}
	return fd, nil
}

// receive calls f with frames that have come, at most so many, and says how many
// there were. f must not keep a frame.
func (r *packetRing) receive(most int, f func(frame []byte)) int {
	for n := range most {
		at := r.memory[r.next*r.slot : (r.next+1)*r.slot]
		header := (*unix.Tpacket2Hdr)(unsafe.Pointer(&at[0]))
		if atomic.LoadUint32(&header.Status)&unix.TP_STATUS_USER == 0 {
			return n
		}
		f(at[header.Mac:][:header.Snaplen])
		atomic.StoreUint32(&header.Status, unix.TP_STATUS_KERNEL)
		r.next = (r.next + 1) % r.slots
	}
	return most
}

// countLost adds what the ring had no room for since the last call, and returns
// all.
func (r *packetRing) countLost() (uint64, error) {
	s, err := unix.GetsockoptTpacketStats(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0, fmt.Errorf("read the counters of a ring: %w", err)
	}
	r.lost += uint64(s.Drops)
	return r.lost, nil
}

func (r *packetRing) close() error {
	var err error
	if r.memory != nil {
		err = unix.Munmap(r.memory)
	}
	return errors.Join(err, unix.Close(r.fd))
}
