// SPDX-License-Identifier: Apache-2.0

package route

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// LinkState is whether an interface can pass packets, and if not, why.
type LinkState uint8

const (
	// LinkUp is switched on and has carrier. Devices whose driver does not tell
	// (loopback, tunnels) count as having it.
	LinkUp LinkState = iota + 1
	// LinkDown is switched off.
	LinkDown
	// LinkNoCarrier is switched on, but without carrier, or not yet let on the
	// network (RFC 2863: dormant, lower layer down).
	LinkNoCarrier
	// LinkRemoved is gone, or moved to another network namespace.
	LinkRemoved
)

// String returns the state in words.
func (s LinkState) String() string {
	switch s {
	case LinkUp:
		return "up"
	case LinkDown:
		return "down"
	case LinkNoCarrier:
		return "no carrier"
	case LinkRemoved:
		return "removed"
	}
	return fmt.Sprintf("link state %d", uint8(s))
}

// LinkEvent is a change of an interface's state.
type LinkEvent struct {
	State LinkState
	// Err is set, and State is not, if the interface can be watched no longer.
	// It is the last event.
	Err error
}

// WatchLink reports changes of the interface's state, beginning with the first
// that differs from [LinkUp]; of the same state it reports only the first. The
// subscription exists when the function returns. The channel is closed after
// LinkRemoved, after an error, or soon after ctx ends. Changes that the reader is
// too slow for wait, and can then be joined, but the last one is never lost.
func WatchLink(ctx context.Context, ifindex int) (<-chan LinkEvent, error) {
	w, err := openWatch(ctx, ifindex)
	if err != nil {
		return nil, err
	}
	events := make(chan LinkEvent)
	go func() {
		defer close(events)
		defer w.close()
		last := LinkUp
		for {
			state, err := w.next()
			if ctx.Err() != nil {
				return
			}
			if err == nil && state == last {
				continue
			}
			last = state
			select {
			case events <- LinkEvent{State: state, Err: err}:
			case <-ctx.Done():
				return
			}
			if err != nil || state == LinkRemoved {
				return
			}
		}
	}()
	return events, nil
}

// WaitCarrier returns as soon as the interface is up, at once if it is. Its
// errors are that of ctx, a removed interface, and one that says what state the
// interface was in when timeout had passed.
func WaitCarrier(ctx context.Context, ifindex int, timeout time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	w, err := openWatch(limited, ifindex)
	if err != nil {
		return err
	}
	defer w.close()
	last := "not known"
	for {
		state, err := w.next()
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("wait for carrier on interface %d: %w", ifindex, ctx.Err())
		case limited.Err() != nil:
			return fmt.Errorf("wait for carrier on interface %d: its state is %s after %v: check the cable, or the other end of the link", ifindex, last, timeout)
		case err != nil:
			return err
		case state == LinkUp:
			return nil
		case state == LinkRemoved:
			return fmt.Errorf("wait for carrier on interface %d: the interface does not exist, or no longer", ifindex)
		}
		last = state.String()
	}
}

// linkWatch is a stream of states of one interface, the present one first.
type linkWatch struct {
	socket *socket
	index  int
	asked  uint32      // sequence number of the last request
	queue  []LinkState // received and not yet returned
	stop   func() bool // undoes the watch on the context
}

// openWatch subscribes to link updates; the end of ctx ends the stream with an
// error.
func openWatch(ctx context.Context, ifindex int) (*linkWatch, error) {
	socket, err := subscribe(unix.RTNLGRP_LINK)
	if err != nil {
		return nil, fmt.Errorf("watch interface %d: %w", ifindex, err)
	}
	w := &linkWatch{socket: socket, index: ifindex}
	if err := w.ask(); err != nil {
		socket.close()
		return nil, fmt.Errorf("watch interface %d: %w", ifindex, err)
	}
	w.stop = context.AfterFunc(ctx, socket.close) // closing wakes the reader
	return w, nil
}

func (w *linkWatch) close() {
	w.stop()
	w.socket.close()
}

// ask requests the present state. The answer comes in order with the updates,
// since it comes by the same socket.
func (w *linkWatch) ask() error {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(w.index)
	req.AddData(msg)
	w.asked = req.Seq
	return w.socket.send(req)
}

// next waits for the next state.
func (w *linkWatch) next() (LinkState, error) {
	for len(w.queue) == 0 {
		if err := w.receive(); err != nil {
			return 0, fmt.Errorf("watch interface %d: %w", w.index, err)
		}
	}
	s := w.queue[0]
	w.queue = w.queue[1:]
	return s, nil
}

func (w *linkWatch) receive() error {
	messages, err := w.socket.receive()
	if errors.Is(err, errLost) {
		return w.ask()
	}
	if err != nil {
		return err
	}
	for _, m := range messages {
		switch m.Header.Type {
		case unix.NLMSG_ERROR:
			errno := unix.Errno(-int32(nl.NativeEndian().Uint32(m.Data)))
			if m.Header.Seq != w.asked || errno == 0 {
				continue
			}
			if errno != unix.ENODEV {
				return errno
			}
			w.queue = append(w.queue, LinkRemoved)
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			info := nl.DeserializeIfInfomsg(m.Data)
			// Bridges announce their ports in a family of their own, and their
			// leaving as a removal.
			if int(info.Index) == w.index && info.Family == unix.AF_UNSPEC {
				w.queue = append(w.queue, stateOf(m.Header.Type, info.Flags))
			}
		}
	}
	return nil
}

// stateOf returns the state that a link message tells.
func stateOf(messageType uint16, flags uint32) LinkState {
	switch {
	case messageType == unix.RTM_DELLINK:
		return LinkRemoved
	case flags&unix.IFF_UP == 0:
		return LinkDown
	case flags&unix.IFF_RUNNING == 0:
		return LinkNoCarrier
	}
	return LinkUp
}
