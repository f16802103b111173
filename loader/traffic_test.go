// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"xsweep/loader"
)

// patience bounds every wait for the kernel.
const patience = 10 * time.Second

// sender puts frames on a device.
type sender int

func newSender(t testing.TB, d device) sender {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: d.index}); err != nil {
		t.Fatal(err)
	}
	return sender(fd)
}

func (s sender) send(frame []byte) error {
	_, err := unix.Write(int(s), frame)
	return err
}

// await asks again and again until the filter's counters are as wanted.
func (f *filter) await(t testing.TB, what string, wanted func(loader.ReplyStats) bool) loader.ReplyStats {
	t.Helper()
	for start := time.Now(); ; runtime.Gosched() {
		s, err := f.Stats()
		if err != nil {
			t.Fatal(err)
		}
		if wanted(s) {
			return s
		}
		if time.Since(start) > patience {
			t.Fatalf("%s: verdicts are %v", what, s.Verdicts)
		}
	}
}

// Attached, the filter judges what arrives on the device, in both modes:
// replies from the wire, once each.
func TestAttachedFilterJudges(t *testing.T) {
	for _, mode := range []loader.XDPMode{loader.Native, loader.Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			const hosts = 300
			c := defaultConfig()
			f, a := load(t, c), newAnswerer(t, c)
			here, there := vethPair(t)
			if _, err := f.Attach(here.name, here.index, mode); err != nil {
				t.Fatal(err)
			}
			s := newSender(t, there)
			for i := range uint32(hosts) {
				frame := a.reply(t, echo{slash16.lo + i, uint64(i), 1, monotonic(t), 64})
				for range 2 {
					if err := s.send(frame); err != nil {
						t.Fatal(err)
					}
				}
				// veth's ring holds 256 frames.
				f.await(t, fmt.Sprintf("host %d", i), func(s loader.ReplyStats) bool {
					return s.Verdicts[loader.Duplicate] == uint64(i)+1
				})
			}
			if err := f.Detach(); err != nil {
				t.Fatal(err)
			}
			records := f.drain(t)
			if len(records) != hosts {
				t.Fatalf("%d records of %d hosts", len(records), hosts)
			}
			for _, r := range records {
				if r.Target-slash16.lo >= hosts || r.Attempt != 1 || loader.Verdict(r.Verdict) != loader.First {
					t.Errorf("got %+v", r)
				}
			}
		})
	}
}

// After Detach the counters stand still and add up, though frames keep
// arriving all the while.
func TestDetachUnderFire(t *testing.T) {
	for _, mode := range []loader.XDPMode{loader.Native, loader.Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			c := defaultConfig()
			f, a := load(t, c), newAnswerer(t, c)
			here, there := vethPair(t)
			s := newSender(t, there)
			frame := a.reply(t, echo{slash16.lo, 1, 1, 1, 64})
			if _, err := f.Attach(here.name, here.index, mode); err != nil {
				t.Fatal(err)
			}
			stop, done := make(chan struct{}), make(chan error, 1)
			go func() {
				for {
					select {
					case <-stop:
						done <- nil
						return
					default:
					}
					if err := s.send(frame); err != nil && err != unix.ENOBUFS {
						done <- err
						return
					}
				}
			}()
			f.await(t, "fire", func(s loader.ReplyStats) bool { return s.Judged > 2000 })
			if err := f.Detach(); err != nil {
				t.Error(err)
			}
			first, err := f.Stats()
			if err != nil {
				t.Fatal(err)
			}
			var sum uint64
			for _, n := range first.Verdicts {
				sum += n
			}
			if sum != first.Judged {
				t.Errorf("%d judged, %d verdicts", first.Judged, sum)
			}
			if second, err := f.Stats(); err != nil || second != first {
				t.Errorf("the counters went on after Detach: judged %d, then %d (%v)", first.Judged, second.Judged, err)
			}
			close(stop)
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}
