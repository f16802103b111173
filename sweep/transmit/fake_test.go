// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
)

// kernel stands in for the kernel: it takes frames in order until one fails,
// and tells why only where that one is the first of a call, as sendmmsg(2)
// does.
type kernel struct {
	thread
	// fail says what is wrong with a frame this time; 0 is nothing.
	fail func(index uint64) unix.Errno
	// most is how many frames a call takes; 0 is no limit.
	most int
	// entered, if set, is called first in each call with the first frame.
	entered func(first payload)

	calls int
	taken []payload
	began []int64 // when each taken frame's call began
}

// ipHeaders is where the ICMP data begins in a bare IP frame.
const ipHeaders = 28

func (k *kernel) sendmmsg(_ int, messages []mmsghdr) (int, unix.Errno) {
	now := k.clock.Now()
	k.calls++
	for i := range messages {
		iov := messages[i].hdr.Iov
		p := readPayload(unsafe.Slice(iov.Base, iov.Len)[ipHeaders:])
		if i == 0 && k.entered != nil {
			k.entered(p)
		}
		if k.most > 0 && i == k.most {
			return i, 0
		}
		if errno := k.fail(p.index); errno != 0 {
			if i > 0 {
				return i, 0
			}
			return 0, errno
		}
		k.taken = append(k.taken, p)
		k.began = append(k.began, now)
	}
	return len(messages), 0
}

func (k *kernel) indexes() []uint64 {
	indexes := []uint64{}
	for _, p := range k.taken {
		indexes = append(indexes, p.index)
	}
	return indexes
}

// newFake makes a transmitter on the fake kernel, whose device is up.
func newFake(t testing.TB, rate pace.Rate) (*mmsg, *kernel) {
	t.Helper()
	k := &kernel{thread: newThread(t), fail: func(uint64) unix.Errno { return 0 }}
	pacer, err := pace.New(pace.Config{Rate: rate})
	if err != nil {
		t.Fatal(err)
	}
	m := newMmsg("raw", -1, Config{
		Device: "dev9", Template: newTemplate(t, lab.SenderAddr.Netip(), false, probe.PayloadLen), Waiter: k.waiter,
	}, pacer)
	m.sendmmsg = k.sendmmsg
	m.running = func() bool { return true }
	return m, k
}

// sequence is the numbers from first to below end, except some.
func sequence(first, end uint64, except ...uint64) []uint64 {
	numbers := []uint64{}
next:
	for i := first; i < end; i++ {
		for _, e := range except {
			if i == e {
				continue next
			}
		}
		numbers = append(numbers, i)
	}
	return numbers
}

// handedExactly checks that what Send returned is what the counts say.
func handedExactly(t *testing.T, m Transmitter, handed int) {
	t.Helper()
	c := m.Counts()
	sum := c.Accepted
	for _, n := range c.Refused {
		sum += n
	}
	if sum != uint64(handed) {
		t.Errorf("%d handed, but the counts come to %d: %+v", handed, sum, c)
	}
}

// ordered checks that send times never fall and lie before their system call.
func ordered(t *testing.T, k *kernel) {
	t.Helper()
	for i, p := range k.taken {
		if p.sent > k.began[i] {
			t.Errorf("frame %d was stamped %d ns after its system call began", p.index, p.sent-k.began[i])
		}
		if i > 0 && p.sent < k.taken[i-1].sent {
			t.Errorf("frame %d was stamped before frame %d", p.index, k.taken[i-1].index)
		}
	}
}
