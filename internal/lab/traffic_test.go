// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"xsweep/sweep/target"
)

// patience bounds each wait for something that must come.
const patience = 20 * time.Second

// packetSocket opens a socket on lab0 of the caller's namespace.
func packetSocket(protocol uint16) (int, error) {
	device, err := net.InterfaceByName(SenderDevice)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 256<<20),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 20_000}),
		unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: device.Index, Protocol: protocol<<8 | protocol>>8}),
	)
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// heard is what came back from one address.
type heard struct {
	replies int
	ttl     uint8
}

// exchange sends echo requests to each address of set, probes times over, and
// collects replies until expected says that there are so many as must come.
// The rate is that of one system call a frame.
func exchange(set target.Set, probes int, expected func() (int, bool)) (replies map[target.Addr]heard, took time.Duration, err error) {
	in, err := packetSocket(unix.ETH_P_IP)
	if err != nil {
		return nil, 0, err
	}
	defer unix.Close(in)
	out, err := packetSocket(0)
	if err != nil {
		return nil, 0, err
	}
	defer unix.Close(out)

	var sent atomic.Bool
	replies = map[target.Addr]heard{}
	received := make(chan error, 1)
	go func() {
		buf := make([]byte, 2048)
		deadline := time.Now().Add(patience)
		total := 0
		for {
			n, _, err := unix.Recvfrom(in, buf, 0)
			switch {
			case err == nil:
				if from, ttl, ok := parseReply(buf[:n]); ok {
					total++
					replies[from] = heard{replies[from].replies + 1, ttl}
				}
				continue
			case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR):
				received <- err
				return
			}
			// Nothing for a while: all may be there.
			if sent.Load() {
				if n, done := expected(); done && total >= n {
					received <- nil
					return
				}
			}
			if time.Now().After(deadline) {
				received <- errors.New("replies are missing")
				return
			}
		}
	}()
	begin := time.Now()
	for k := range probes {
		for a := range set.All() {
			if _, err := unix.Write(out, echoRequest(a, uint32(k))); err != nil {
				return nil, 0, err
			}
		}
	}
	took = time.Since(begin)
	sent.Store(true)
	err = <-received
	if dropped, e := unix.GetsockoptTpacketStats(in, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		if err = e; err == nil && dropped.Drops > 0 {
			err = errors.New("the test's own socket lost replies")
		}
	}
	return replies, took, err
}

// sweep exchanges in a lab in place, and checks that as many replies come as
// the lab's counters say.
func sweep(t testing.TB, l *Lab, set target.Set, probes int) (map[target.Addr]heard, Stats, time.Duration) {
	t.Helper()
	requests := uint64(set.Len()) * uint64(probes)
	replies, took, err := exchange(set, probes, func() (int, bool) {
		s, err := l.Stats()
		return int(s.Answered - s.RepliesRefused), err == nil && s.EchoRequests+s.RequestsRefused == requests
	})
	s := stats(t, l)
	if err != nil {
		t.Fatalf("%v; %d of %d addresses answered; lab: %+v", err, len(replies), set.Len(), s)
	}
	total := 0
	for _, h := range replies {
		total += h.replies
	}
	if uint64(total) != s.Answered-s.RepliesRefused {
		t.Errorf("%d replies arrived, but the lab sent %d and %d found no room", total, s.Answered, s.RepliesRefused)
	}
	return replies, s, took
}
